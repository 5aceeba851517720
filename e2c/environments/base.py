"""What every provider of hosts offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from e2c.model.frozen import Frozen
from e2c.model.host import Host
from e2c.model.plan import PlannedHost

Progress = Callable[[str], None]
"""Receives one clause per step of long work, for whoever shows it."""


class Claim(Frozen):
    """What identifies the resources of one experiment on one testbed, so that they can always be found again.

    Written into the state *before* anything is acquired.

    Attributes:
        provider: name of the provider.
        experiment: identity of the experiment, unique on this controller.
        scenario: absolute path of the scenario folder.
        job_name: name of the reservation.
        walltime_s: length asked, in seconds.
        resources: the provider's own identifiers (JSON values).
    """

    provider: str
    experiment: str
    scenario: str
    job_name: str
    walltime_s: int
    resources: dict[str, Any] = {}


class Provider(Protocol):
    """Acquires hosts on one testbed.

    ``acquire`` either returns all hosts, reachable by ssh, or raises :class:`e2c.errors.TestbedError`
    and leaves nothing behind.
    """

    name: str

    def check(self) -> None:
        """Refuse early, with the remedy, when this machine or account cannot use the testbed."""

    def claim(self, *, experiment: str, scenario: str, job_name: str, walltime_s: int) -> Claim:
        """Name what is going to be acquired; touches nothing."""

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], progress: Progress) -> tuple[Host, ...]:
        """Acquire the planned hosts, in their order; what an earlier attempt of the claim left is released first."""

    def enable_netem(self, claim: Claim, progress: Progress) -> str:
        """Make sure that ``tc ... netem`` works on the hosts; returns how (``kernel`` or ``switch``)."""

    def release(self, claim: Claim, progress: Progress) -> list[str]:
        """Free everything of the claim, also after a crash, also twice; returns what was freed, one clause each."""

    def find(self, scenario: str) -> list[Claim]:
        """Claims of that scenario that still hold resources, without help of any state file."""
