"""FIT IoT-LAB, the controller's side: claims, one child process per action on its API, and ssh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2c.config.units import parse_walltime
from e2c.environments import limits
from e2c.environments.base import Acquisition, Claim, Finding, Progress, Watch
from e2c.environments.discovery import discover
from e2c.environments.enos import agent
from e2c.environments.iotlab import credentials
from e2c.environments.iotlab.profiles import job_name as named
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation
from e2c.remote import shell, sockets
from e2c.remote.keys import require_unlocked

MARGIN_S = 60
"""Seconds beyond the adapter's own limits before its process is stopped."""
NETEM = "modprobe sch_netem 2>/dev/null; PATH=$PATH:/usr/sbin:/sbin; command -v tc || { echo it has no tc >&2; false; }"


class IotLabProvider:
    """Fulfils :class:`e2c.environments.base.Provider` on FIT IoT-LAB.

    A8 and Raspberry Pi nodes become hosts, reached through the machine of their site; all others become boards.

    ``Claim.settings`` holds, beside the keys of ``iotlab``, the ``profiles`` of ``monitoring_iotlab``;
    ``Claim.resources`` holds ``artifacts_dir``, where firmwares are.
    """

    name = "iotlab"
    reserves = True

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse before anything is booked what could not work.

        Raises:
            TestbedError: no credentials, they are refused, the key file does not exist or has a passphrase that no
                agent knows, or the API does not answer.
        """
        credentials.user()
        key = credentials.keyfile(settings)
        if key is not None:
            require_unlocked(Path(key))
        for answer in self._run("examine", Watch(_quiet), self._asking(), settings=dict(settings), ssh=False):
            found = Finding.model_validate(answer)
            if found.ok is False:
                raise TestbedError(found.text, hint=found.remedy or None)

    def examine(self, settings: Mapping[str, Any]) -> list[Finding]:
        """Credentials, the API, and ssh to the site."""
        try:
            user = credentials.user()
        except TestbedError as error:
            text = error.what if error.why is None else f"{error.what}: {error.why}"
            missing = Finding(aspect="credentials", ok=False, text=f"{text} ({error.where})", remedy=error.hint or "")
            text = "not looked at, because there are no credentials"
            return [missing, *(Finding(aspect=aspect, ok=None, text=text) for aspect in ("API", "ssh"))]
        found = Finding(aspect="credentials", ok=True, text=f"account {user} in {credentials.path()}")
        try:
            answers = self._run("examine", Watch(_quiet), self._asking(), settings=dict(settings), ssh=True)
        except TestbedError as error:
            return [found, Finding(aspect="API", ok=False, text=error.what, remedy=error.hint or "")]
        return [found, *(Finding.model_validate(answer) for answer in answers)]

    def claim(
        self, *, experiment: str, scenario: str, job_name: str, walltime_s: int, settings: Mapping[str, Any]
    ) -> Claim:
        """Name what is going to be acquired; touches nothing."""
        return Claim(
            provider=self.name,
            experiment=experiment,
            scenario=scenario,
            job_name=named(settings.get("job_name") or job_name, scenario),
            walltime_s=parse_walltime(settings["walltime"]) if "walltime" in settings else walltime_s,
            settings=dict(settings),
        )

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
        """Book the nodes, or take up the experiment of that name; flash boards, wait until hosts answer to ssh.

        Raises:
            TestbedError: not everything that was planned could be had.
        """
        if not hosts:
            return Acquisition()
        credentials.user()
        credentials.keyfile(claim.settings)
        within = limits.limits()
        limit_s = within.start_timeout + within.slot_window + within.deploy_timeout + 20 * within.api_timeout
        planned = [host.model_dump(mode="json") for host in hosts]
        given = Acquisition.model_validate(self._run("acquire", watch, limit_s, **_claim(claim), hosts=planned))
        if not given.hosts:
            return given
        folder = _sockets(claim)
        sockets.remove(folder)  # nodes that were booted anew know nothing of earlier connections
        sockets.make(folder)
        found = [host.model_copy(update={"control_dir": folder}) for host in given.hosts]
        try:
            return given.model_copy(update={"hosts": discover(found, within.ssh_timeout, watch.waiting)})
        except TestbedError as error:
            raise self._over(claim, error) or error from error

    def _over(self, claim: Claim, failure: TestbedError) -> TestbedError | None:
        """The real reason why nodes do not answer, when it is that their experiment has ended."""
        try:
            if self.reservations(claim):
                return None
        except TestbedError:
            return None
        return TestbedError(
            "the experiment of FIT IoT-LAB ended before its nodes were ready",
            why=f"its walltime was over, or somebody stopped it; by then, {failure.what}",
            hint="Write a longer walltime into layers_services.yaml, then deploy again",
        )

    def enable_netem(self, claim: Claim, hosts: Sequence[Host], progress: Progress) -> str:  # noqa: ARG002
        """Load the kernel's netem on the nodes and make sure that they have ``tc``; links are measured afterwards.

        Raises:
            TestbedError: some have not.
        """
        lacking = {key: answer for key, answer in shell.run_all(hosts, NETEM).items() if not answer.ok}
        if lacking:
            raise TestbedError(
                f"links cannot be shaped on {shell.some(list(lacking), ', ')}",
                why=shell.explain(next(iter(lacking.values()))),
                hint="Name in network.yaml only hosts whose system has tc and netem",
            )
        return "kernel"

    def release(self, claim: Claim, progress: Progress) -> list[str]:
        """Stop every experiment of the claim's name and wait until the testbed confirms it; remove our profiles.

        Raises:
            TestbedError: the testbed does not answer, or does not confirm in time.
        """
        sockets.remove(_sockets(claim))
        watch = progress if isinstance(progress, Watch) else Watch(progress)
        limit_s = limits.limits().release_timeout + self._asking()
        freed: list[str] = self._run("release", watch, limit_s, **_claim(claim))
        return freed

    def reservations(self, claim: Claim) -> list[Reservation]:
        """The living experiments of the claim."""
        answers = self._run("reservations", Watch(_quiet), self._asking(), **_claim(claim))
        return [Reservation.model_validate(answer) for answer in answers]

    def extend(self, claim: Claim, seconds: int, progress: Progress) -> list[Reservation]:  # noqa: ARG002
        """Refuse: the testbed does not lengthen what runs.

        Raises:
            TestbedError: always.
        """
        raise TestbedError(
            "FIT IoT-LAB does not lengthen an experiment that runs",
            hint="Release it and deploy again with a longer walltime",
        )

    def find(self, scenario: str) -> list[Claim]:
        """Claims of that scenario that still hold nodes; none, at once, without credentials."""
        if not credentials.exist():
            return []
        answers = self._run("find", Watch(_quiet), self._asking(), scenario=scenario)
        return [Claim.model_validate(answer) for answer in answers]

    def collect(self, claim: Claim, folder: Path, watch: Watch) -> list[Path]:
        """Fetch what monitoring recorded: per experiment the API's archive and that of each site.

        Nothing where the scenario has no ``monitoring_iotlab``.

        Args:
            claim: what was acquired.
            folder: receives ``<number>.tar.gz`` and ``<number>-<site>.tar.gz``; made if it does not exist.
            watch: receives what was fetched.

        Returns:
            The files.

        Raises:
            TestbedError: something could not be fetched; what could be is there.
        """
        if not claim.settings.get("profiles"):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        within = limits.limits()
        limit_s = self._asking() + within.deploy_timeout
        found = self._run("collect", watch, limit_s, **_claim(claim), folder=str(folder.resolve()))
        key = credentials.keyfile(claim.settings)
        files: list[Path] = []
        failed: dict[str, shell.Result] = {}
        for number, *sites in found:
            files.append(folder / f"{number}.tar.gz")
            for site in sites:
                file = folder / f"{number}-{site}.tar.gz"
                # measurements are still being written: a file that changes meanwhile is no failure
                command = f"cd .iot-lab && {{ tar --warning=no-file-changed -cz {number}; [ $? -le 1 ]; }}"
                answer = shell.fetch(self._login(site, key), command, file, timeout_s=within.deploy_timeout)
                if answer.ok:
                    files.append(file)
                    watch(f"{file.name} fetched from {credentials.frontend(site)}")
                else:
                    failed[site] = answer
        if failed:
            raise TestbedError(
                f"measurements could not be fetched from {', '.join(failed)}",
                why="; ".join(f"{site}: {shell.explain(answer)}" for site, answer in failed.items()),
                hint="They stay in ~/.iot-lab of the site",
            )
        return files

    def _login(self, site: str, key: str | None) -> Host:
        address = credentials.frontend(site)
        return Host(
            key=address,
            layer=None,
            service="site",
            testbed=self.name,
            provider=self.name,
            hostname=address,
            address=address,
            user=credentials.user(),
            keyfile=key,
        )

    def _asking(self) -> float:
        """Seconds that a child may take which only asks: a few requests, each repeated."""
        return 10 * limits.limits().api_timeout + MARGIN_S

    def _run(self, action: str, watch: Watch, limit_s: float, **arguments: Any) -> Any:
        credentials.user()  # whose sentence is better than the library's
        return agent.run(action, {"provider": self.name, **arguments}, watch, limit_s)


def _quiet(_: str) -> None:
    """For what only asks."""


def _sockets(claim: Claim) -> str:
    return sockets.folder(f"{claim.provider} {claim.job_name}")


def _claim(claim: Claim) -> dict[str, Any]:
    return {"claim": claim.model_dump(mode="json")}
