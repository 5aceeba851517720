"""Whether testbeds can be used from this machine and account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from e2c import plugins
from e2c.environments.base import Finding
from e2c.errors import E2CError
from e2c.experiment import check
from e2c.experiment.asking import ask
from e2c.experiment.experiment import provider
from e2c.plan import build

CREDENTIALS = "credentials"
"""The aspect whose failure means that the testbed was never set up here."""


@dataclass(frozen=True)
class Examined:
    """What was found about one testbed.

    Attributes:
        testbed: its name.
        asked: somebody named it, or the given scenario uses it.
        findings: in the order in which they were looked at.
    """

    testbed: str
    asked: bool
    findings: tuple[Finding, ...]

    @property
    def state(self) -> Literal["ok", "failed", "not set up"]:
        """``not set up`` where credentials are missing or nothing could be looked at."""
        wrong = [finding for finding in self.findings if finding.ok is False]
        if any(finding.aspect == CREDENTIALS for finding in wrong):
            return "not set up"
        if wrong:
            return "failed"
        return "ok" if any(finding.ok for finding in self.findings) else "not set up"


def settings_of(scenario: Path, testbed: str | None) -> dict[str, dict[str, Any]]:
    """The testbeds that a scenario takes hosts from, with the keys it gives them.

    Args:
        testbed: the one that plays all others, if any.

    Raises:
        ScenarioError: the files are wrong; the message shows every problem.
    """
    found = check.examine(scenario, None, "layers-services", testbed=testbed)
    plan = build.require(found.plan, found.problems)
    return {name: plan.testbeds.get(name, {}) for name in dict.fromkeys(host.provider for host in plan.hosts)}


def examine(asked: Sequence[str], settings: Mapping[str, Mapping[str, Any]], limit_s: float) -> list[Examined]:
    """Look at testbeds, all at the same time.

    Args:
        asked: names of testbeds; none: all that are installed.
        settings: the scenario's keys of each testbed, where there is a scenario.
        limit_s: seconds after which a testbed that says nothing counts as failed.
    """
    names = list(asked) or plugins.names(plugins.ENVIRONMENTS)
    answers = ask({name: partial(_findings, name, settings.get(name, {})) for name in names}, limit_s)
    made = []
    for name, answer in answers.items():
        if answer is None:
            late = Finding(
                aspect="answer",
                ok=False,
                text=f"nothing was found out within {limit_s:g} s",
                remedy="Try again, or allow more time with --timeout SECONDS",
            )
            made.append(Examined(name, bool(asked), (late,)))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            made.append(Examined(name, bool(asked), answer))
    return made


def _findings(name: str, settings: Mapping[str, Any]) -> tuple[Finding, ...]:
    if name not in plugins.names(plugins.ENVIRONMENTS):
        text = "this version cannot acquire hosts there"
        remedy = "Rehearse the scenario on this machine with --testbed local"
        return (Finding(aspect="provider", ok=False, text=text, remedy=remedy),)
    try:
        return tuple(provider(name).examine(settings))
    except E2CError as error:
        return (Finding(aspect="provider", ok=False, text=str(error).rstrip("."), remedy=error.hint or ""),)
    except ImportError as error:
        text = f"the provider cannot be loaded: {error}"
        return (Finding(aspect="provider", ok=False, text=text, remedy="Install what it needs"),)
