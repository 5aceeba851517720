"""What every provider of hosts offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from e2c.errors import TestbedError
from e2c.model.frozen import Frozen
from e2c.model.host import Board, Host
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation

Progress = Callable[[str], None]
"""Receives one clause per step of long work, for whoever shows it."""


class Claim(Frozen):
    """What identifies the resources of one experiment on one testbed, so that they can always be found again.

    Written into the state *before* anything is acquired.

    Attributes:
        provider: name of the provider.
        experiment: identity of the experiment, unique on this controller.
        scenario: absolute path of the scenario folder.
        job_name: name of the reservation on the testbed, unique for the scenario (see :meth:`Provider.claim`).
        walltime_s: length asked, in seconds.
        settings: the testbed's keys of the scenario, validated; never a secret.
        resources: the provider's own identifiers (JSON values).
    """

    provider: str
    experiment: str
    scenario: str
    job_name: str
    walltime_s: int
    settings: dict[str, Any] = {}
    resources: dict[str, Any] = {}


class Acquisition(Frozen):
    """What a provider gave: hosts that answer to ssh, and boards, which do not; both in the order they were planned."""

    hosts: tuple[Host, ...] = ()
    boards: tuple[Board, ...] = ()


class Finding(Frozen):
    """One thing that was looked at to tell whether a testbed can be used.

    Attributes:
        aspect: what was looked at: ``credentials``, ``API``, ``ssh`` ...
        ok: whether it is as it must be; ``None``: could not be looked at, because of an earlier finding.
        text: what was found, one clause.
        remedy: what to do about it, a full clause; empty where nothing is wrong.
    """

    aspect: str
    ok: bool | None
    text: str
    remedy: str = ""


class SettingsError(TestbedError):
    """What the scenario says of a testbed is not so; told at its place in the file where that is known.

    Attributes:
        testbed: name of the testbed.
        places: way below the testbed's keys to each value that is not so, and what is wrong there.
    """

    def __init__(
        self, what: str, testbed: str, places: Sequence[tuple[tuple[str | int, ...], str]], *, why: str, hint: str
    ) -> None:
        super().__init__(what, why=why, hint=hint)
        self.testbed = testbed
        self.places = tuple(places)


class Watch:
    """Receives what happens while a provider works.

    Called with a clause, it tells of a step. ``waiting`` repeats what is being waited for, in the testbed's own words;
    ``reserved`` hands over a reservation, or its new state, the moment the testbed gave it a number, so that it is
    written down before anything else happens.
    """

    def __init__(
        self,
        say: Progress,
        waiting: Progress | None = None,
        reserved: Callable[[Reservation], None] | None = None,
    ) -> None:
        self._say = say
        self.waiting: Progress = waiting or (lambda _: None)
        self.reserved: Callable[[Reservation], None] = reserved or (lambda _: None)

    def __call__(self, text: str) -> None:
        """Tell of a step, one clause."""
        self._say(text)


class Provider(Protocol):
    """Acquires hosts on one testbed.

    ``acquire`` either returns everything that was planned, all hosts reachable by ssh, or raises
    :class:`e2c.errors.TestbedError`; whoever called it releases the claim then.

    ``reserves`` tells that machines are booked there for a time: several such testbeds in one experiment get a common
    slot first (:func:`e2c.environments.slot.secure`).

    ``wiped``, where it is there and false, tells that what is put on machines stays there when they are released, so
    that plugins of services have to end these before.
    """

    name: str
    reserves: bool

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse early, with the remedy, when this machine or account cannot use the testbed.

        Args:
            settings: the testbed's keys of the scenario.
        """

    def examine(self, settings: Mapping[str, Any]) -> list[Finding]:
        """Everything that must be right to use the testbed, looked at in turn, never raising for what is wrong."""

    def claim(
        self, *, experiment: str, scenario: str, job_name: str, walltime_s: int, settings: Mapping[str, Any]
    ) -> Claim:
        """Name what is going to be acquired; touches nothing.

        ``Claim.job_name`` is made of the scenario's own and a mark of its folder, so that two scenarios never take, or
        release, each other's machines.
        """

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
        """Acquire the planned hosts; what runs under the claim's name already is taken up again, not asked twice."""

    def enable_netem(self, claim: Claim, hosts: Sequence[Host], progress: Progress) -> str:
        """Make sure that ``tc ... netem`` works on the hosts; returns how (``kernel`` or ``switch``)."""

    def release(self, claim: Claim, progress: Progress) -> list[str]:
        """Free everything of the claim, also after a crash, also twice; returns what was freed, one clause each."""

    def reservations(self, claim: Claim) -> list[Reservation]:
        """The reservations of the claim that live now, as the testbed tells them; empty where it books nothing."""

    def extend(self, claim: Claim, seconds: int, progress: Progress) -> list[Reservation]:
        """Lengthen the reservations.

        Raises:
            TestbedError: the testbed does not allow it.
        """

    def find(self, scenario: str) -> list[Claim]:
        """Claims of that scenario that still hold resources, without help of any state file.

        Empty, and quickly so, where the testbed was never set up on this machine (no credentials).
        """
