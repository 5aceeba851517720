"""What the child process does on Grid'5000 (see :mod:`e2c.environments.enos.worker`).

EnOSlib is imported only where machines are booked: releasing them must work whatever becomes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2c.environments.base import Acquisition, Claim, Watch
from e2c.environments.g5k import api, dates
from e2c.environments.g5k.examination import examine
from e2c.environments.g5k.jobs import extend, release
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation

if TYPE_CHECKING:
    from enoslib.infra.provider import Provider

__all__ = ["acquire", "asked_start", "examine", "extend", "find", "provider", "release", "reservations"]


def provider(claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Provider:
    """The provider of EnOSlib that books the planned hosts; sites and clusters are read, nothing is touched."""
    from e2c.environments.g5k.booking import Booking
    from e2c.environments.g5k.order import configure

    return Booking(configure(claim, hosts, watch))


def asked_start(claim: Claim) -> float | None:
    """The start that the scenario asks for, seconds since the epoch; ``None``: as soon as possible."""
    return dates.parse(claim.settings.get("reservation"))


def acquire(claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
    """Book the planned hosts, or take up their job; deploy the image; open the firewall."""
    from e2c.environments.g5k.booking import acquire as book

    return book(claim, hosts, watch)


def reservations(claim: Claim) -> list[Reservation]:
    """The living jobs of the claim."""
    living, silent = api.living(api.connect(), claim.resources.get("sites"), claim.job_name)
    if silent and not living:
        raise next(iter(silent.values()))
    return [job.reservation() for job in living]


def find(scenario: str) -> list[Claim]:
    """One claim per name of a living job of the scenario.

    Where a site did not answer, a claim names no sites: its release asks all of them.
    """
    living, silent = api.living_of(api.connect(), scenario)
    if silent and not living:
        raise next(iter(silent.values()))
    names: dict[str, list[api.Job]] = {}
    for job in living:
        names.setdefault(job.name, []).append(job)
    return [_claim(scenario, name, found, whole=not silent) for name, found in names.items()]


def _claim(scenario: str, name: str, found: Sequence[api.Job], *, whole: bool) -> Claim:
    return Claim(
        provider="g5k",
        experiment=name,
        scenario=scenario,
        job_name=name,
        walltime_s=max(job.walltime_s for job in found),
        resources={"sites": sorted({job.site for job in found})} if whole else {},
    )
