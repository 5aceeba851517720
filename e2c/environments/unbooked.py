"""What testbeds whose machines are not booked for a time have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from e2c.environments.base import Claim, Progress
from e2c.environments.naming import job_name as unique_name
from e2c.errors import TestbedError
from e2c.model.reservation import Reservation


class Unbooked:
    """The parts of :class:`e2c.environments.base.Provider` that answer "nothing is booked here"."""

    name: str
    reserves = False
    lasts: ClassVar[str] = "machines of {name} have no walltime"
    """Why a reservation there cannot be lengthened."""

    def claim(
        self, *, experiment: str, scenario: str, job_name: str, walltime_s: int, settings: Mapping[str, Any]
    ) -> Claim:
        """Name what is going to be acquired; touches nothing."""
        return Claim(
            provider=self.name,
            experiment=experiment,
            scenario=scenario,
            job_name=unique_name(job_name, scenario),
            walltime_s=walltime_s,
            settings=dict(settings),
            resources=self._resources(experiment),
        )

    def _resources(self, experiment: str) -> dict[str, Any]:  # noqa: ARG002
        """What a claim says beyond the settings."""
        return {}

    def reservations(self, claim: Claim) -> list[Reservation]:  # noqa: ARG002
        """None: nothing is booked."""
        return []

    def extend(self, claim: Claim, seconds: int, progress: Progress) -> list[Reservation]:  # noqa: ARG002
        """Refuse: there is nothing to lengthen.

        Raises:
            TestbedError: always.
        """
        raise TestbedError(self.lasts.format(name=self.name))
