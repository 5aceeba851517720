"""Grid'5000: machines booked for a time, reached by ssh through its access machine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from e2c.environments import naming
from e2c.environments.base import Acquisition, Claim, Finding, Progress, Watch
from e2c.environments.enos import agent
from e2c.environments.g5k import credentials, dates, kavlan
from e2c.environments.g5k import hosts as nodes
from e2c.environments.limits import Limits, limits
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation
from e2c.remote.keys import require_unlocked

NAME = "g5k"
QUICK_S = 60
"""Beyond the time limits of what an action waits for: start of the process, short requests."""


class Grid5000Provider:
    """Fulfils :class:`e2c.environments.base.Provider` on Grid'5000; EnOSlib does the work, in a process of its own."""

    name = NAME
    reserves = True

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse before anything is booked what could not work.

        Raises:
            TestbedError: no credentials, they are refused, the ssh key that is named has a passphrase that no agent
                knows, or the API does not answer.
        """
        credentials.read()
        key = credentials.found_key(settings)
        if key is not None:
            require_unlocked(key)
        for finding in self._ask(
            "examine", {"settings": dict(settings), "ssh": False}, limits().api_timeout * 4 + QUICK_S
        ):
            found = Finding.model_validate(finding)
            if found.ok is False:
                raise TestbedError(found.text, where="Grid'5000", hint=found.remedy or None)

    def examine(self, settings: Mapping[str, Any]) -> list[Finding]:
        """Credentials, API, account and ssh, in turn."""
        if not credentials.present():
            missing = f"no credentials: there is no {credentials.file()}"
            return [Finding(aspect="credentials", ok=False, text=missing, remedy=credentials.HOW)]
        found = self._ask("examine", {"settings": dict(settings), "ssh": True}, limits().api_timeout * 6 + QUICK_S)
        return [Finding.model_validate(finding) for finding in found]

    def claim(
        self, *, experiment: str, scenario: str, job_name: str, walltime_s: int, settings: Mapping[str, Any]
    ) -> Claim:
        """Name what is going to be booked; touches nothing.

        A name and a walltime among the testbed's keys go before the plan's.
        """
        return Claim(
            provider=self.name,
            experiment=experiment,
            scenario=scenario,
            job_name=naming.job_name(str(settings.get("job_name") or job_name), scenario),
            walltime_s=dates.seconds(settings.get("walltime"), walltime_s),
            settings=dict(settings),
        )

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
        """Book, deploy and open what is planned; jobs that live under the claim's name are taken up again.

        Raises:
            TestbedError: refused, failed, or not ready within a time limit.
        """
        bounds = limits()
        credentials.public_key(claim.settings, claim.scenario)
        limit = (
            _until_start(claim, bounds) + bounds.slot_window + bounds.ssh_timeout + bounds.api_timeout * 10 + QUICK_S
        )
        if claim.settings.get("env_name"):
            limit += bounds.deploy_timeout
        given = self._ask("acquire", _of(claim, hosts), limit, watch)
        try:
            return Acquisition(hosts=nodes.connect(claim, given, kavlan.families(hosts), bounds, watch))
        except TestbedError as error:
            raise self._over(claim, error) or error from error

    def _over(self, claim: Claim, failure: TestbedError) -> TestbedError | None:
        """The real reason why nodes do not answer, when it is that their job has ended."""
        try:
            living = self.reservations(claim)
        except TestbedError:
            return None
        if any(reservation.state == "running" for reservation in living):
            return None
        walltime = dates.duration(claim.walltime_s)
        return TestbedError(
            f"job {claim.job_name} ended before its machines were ready",
            where="Grid'5000",
            why=f"its walltime of {walltime} was over, or it was deleted; by then, {failure.what}",
            hint="Write a longer walltime into layers_services.yaml, then deploy again",
        )

    def enable_netem(self, claim: Claim, hosts: Sequence[Host], progress: Progress) -> str:  # noqa: ARG002
        """Load the kernel's netem on the nodes and make sure that ``tc`` is there; links are measured afterwards.

        Raises:
            RemoteError: a node has no ``tc``.
        """
        nodes.enable_netem(hosts)
        return "kernel"

    def release(self, claim: Claim, progress: Progress) -> list[str]:
        """End the connections to its nodes, delete every living job of the claim and see that it is gone.

        Raises:
            TestbedError: a job could not be deleted, or nobody could be asked: it may still hold machines.
        """
        if not credentials.present():
            raise TestbedError(
                f"the jobs named {claim.job_name} could not be deleted",
                where="Grid'5000",
                why=f"there is no {credentials.file()} any more",
                hint=credentials.HOW,
            )
        nodes.close(claim)
        limit = limits().release_timeout + limits().api_timeout * 6 + QUICK_S
        freed: list[str] = self._ask("release", _of(claim), limit, Watch(progress))
        return freed

    def reservations(self, claim: Claim) -> list[Reservation]:
        """The living jobs of the claim."""
        found = self._ask("reservations", _of(claim), limits().api_timeout * 4 + QUICK_S)
        return [Reservation.model_validate(reservation) for reservation in found]

    def extend(self, claim: Claim, seconds: int, progress: Progress) -> list[Reservation]:
        """Ask for more time.

        Raises:
            TestbedError: refused, in Grid'5000's own words.
        """
        request = {**_of(claim), "seconds": seconds}
        limit = limits().api_timeout * 6 + QUICK_S
        return [Reservation.model_validate(one) for one in self._ask("extend", request, limit, Watch(progress))]

    def find(self, scenario: str) -> list[Claim]:
        """Claims of that scenario whose jobs live, as the testbed tells."""
        if not credentials.present():
            return []
        found = self._ask("find", {"scenario": scenario}, limits().api_timeout * 4 + QUICK_S)
        return [Claim.model_validate(claim) for claim in found]

    def _ask(self, action: str, request: dict[str, Any], limit_s: float, watch: Watch | None = None) -> Any:
        return agent.run(action, {"provider": self.name, **request}, watch or Watch(lambda _: None), limit_s)


def _of(claim: Claim, hosts: Sequence[PlannedHost] | None = None) -> dict[str, Any]:
    request: dict[str, Any] = {"claim": claim.model_dump(mode="json")}
    if hosts is not None:
        request["hosts"] = [host.model_dump(mode="json") for host in hosts]
    return request


def _until_start(claim: Claim, bounds: Limits) -> float:
    """Seconds within which the job must run, counted from now."""
    start = dates.parse(claim.settings.get("reservation"))
    return max(0.0, (start or 0) - time.time()) + bounds.start_timeout
