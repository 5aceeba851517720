"""The errors a user can meet: sentences that say what, where, why and what to do next.

Whatever is not an :class:`E2CError` is a fault of this program and is shown as such.
"""

from __future__ import annotations


class E2CError(Exception):
    """Something the user can act on.

    Args:
        what: the failure, one clause without a final full stop.
        where: a place the user knows: ``file:line:column``, a host, a command.
        why: the reason, where it is known; several lines of others' words begin with the end of a line.
        hint: what to do next, a full clause.

    ``str()`` gives one sentence (two with the hint); lines of others' words stay as they are, between the two.
    ``exit_code`` is the command's exit code.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, why: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.why = why
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        hint = self.hint and f"{self.hint}{'' if self.hint.endswith('?') else '.'}"
        if self.why and self.why.startswith("\n"):
            return f"{text}:{self.why}\n{hint}" if hint else f"{text}:{self.why}"
        if self.why:
            text = f"{text}: {self.why}"
        return f"{text}. {hint}" if hint else f"{text}."


class ScenarioError(E2CError, ValueError):
    """A file of the scenario is wrong."""


class StateError(E2CError):
    """The experiment is not in the state that the command needs."""


class BusyError(StateError):
    """Another command works on the same scenario."""

    exit_code = 75  # EX_TEMPFAIL


class TestbedError(E2CError):
    """A testbed could not give, shape or release what was asked."""

    __test__ = False  # the name begins like a test class; pytest must not collect it


class MissingToolError(TestbedError):
    """A program or privilege that this machine needs is absent."""


class RemoteError(E2CError):
    """A command or play failed on one or more hosts."""


class ServiceError(E2CError):
    """A service of the scenario could not be deployed, asked, saved or ended."""


class EmulationError(E2CError):
    """Links are not what the scenario asks."""


class ProvenanceError(E2CError):
    """The provenance service or its database failed."""


class DataflowError(ProvenanceError, ValueError):
    """A dataflow specification is wrong."""


class QueryError(ProvenanceError, ValueError):
    """An SQL statement was refused."""
