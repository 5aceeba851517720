"""Any machines that answer to ssh: nothing is booked there, but they are marked while they are used."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

from e2c.environments import discovery, limits
from e2c.environments.base import Acquisition, Claim, Finding, Progress, SettingsError, Watch
from e2c.environments.naming import mark
from e2c.environments.static import ledger, machines, marks, privileges
from e2c.environments.static.ledger import Entry
from e2c.environments.static.netem import PROBE
from e2c.environments.unbooked import Unbooked
from e2c.errors import MissingToolError, TestbedError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.remote import shell, sockets
from e2c.remote.unreachable import reason

_MOMENT_S = 5.0
"""What did not answer so short a time ago is not asked again: one command may release by state and by ledger."""


class StaticProvider(Unbooked):
    """Fulfils :class:`e2c.environments.base.Provider` with machines that exist already.

    ``Claim.settings["hosts"]`` are the machines that the plan takes, each with the ``key`` of its part, so whoever has
    the claim can clean them. A machine in use has a mark (:mod:`~e2c.environments.static.marks`), and this controller
    writes down what it marked (:mod:`~e2c.environments.static.ledger`).
    """

    name = "static"
    wiped = False
    lasts = "machines of {name} have no walltime: they are used until they are released"

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuse, with all reasons at once, when machines do not answer to ssh.

        Raises:
            MissingToolError: there is no ssh.
            TestbedError: machines cannot be used.
        """
        if shutil.which("ssh") is None:
            raise MissingToolError("there is no ssh on this machine", hint="Install it: apt install openssh-client")
        hosts = machines.inventory(settings)
        try:
            found = self._survey(hosts, _quiet)
        except discovery.SilentError as error:
            places = machines.places(settings, error.missing)
            if len(places) < len(error.missing):
                raise
            raise SettingsError(error.what, self.name, places, why=error.why or "", hint=error.hint or "") from error
        for host in privileges.refused(found, hosts):
            raise privileges.error(host)

    def examine(self, settings: Mapping[str, Any]) -> list[Finding]:
        """Key files, logins, rights and marks of the machines."""
        hosts = machines.inventory(settings)
        if not hosts:
            remedy = "Name a scenario whose environment has static: with hosts:"
            return [Finding(aspect="hosts", ok=None, text="no machine is named", remedy=remedy)]
        wrong = machines.wrong_keys(hosts)
        if wrong:
            remedy = "Correct keyfile: under static"
            return [Finding(aspect="ssh key", ok=False, text="; ".join(wrong.values()), remedy=remedy)]
        found = discovery.survey(hosts, 0)
        count = f"{len(found.hosts)} of {len(hosts)} machines answer to ssh"
        if found.missing:
            text = f"{count}; {discovery.told(hosts, found.missing)}"
            findings = [Finding(aspect="ssh", ok=False, text=text, remedy="Start them, or take them out of hosts:")]
        else:
            findings = [Finding(aspect="ssh", ok=True, text=count)]
        if found.hosts:
            findings.append(privileges.finding(found, hosts))
            findings.append(_use(found.hosts))
        return findings

    def _resources(self, experiment: str) -> dict[str, Any]:
        return {machines.SOCKETS: sockets.folder(experiment)}

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost], watch: Watch) -> Acquisition:
        """Mark the machines as used; what an earlier attempt of the scenario left on machines is removed first.

        Raises:
            TestbedError: a machine does not answer, its user may not become root, or another experiment uses it.
        """
        wanted = machines.planned(claim, hosts)
        if not wanted:
            return Acquisition()
        for entry in ledger.of_scenario(claim.scenario):
            for clause in self.release(entry.claim, watch):
                watch(f"released from an earlier attempt: {clause}")
        sockets.make(claim.resources[machines.SOCKETS])
        found = self._survey(wanted, watch.waiting)
        raised = [host.model_copy(update={"interpreter": host.interpreter or PYTHON}) for host in found.hosts]
        ready = privileges.as_root(found, raised)
        ledger.write(Entry(claim=_with_machines(claim, wanted)))
        self._mark(claim, ready, watch)
        pythonless = [host for host in found.hosts if not host.interpreter]
        if pythonless:
            watch(f"plays cannot run on {machines.addresses(pythonless)}, which has no Python 3")
        watch(f"{_number(ready)} taken: {machines.addresses(ready)}")
        return Acquisition(hosts=tuple(ready))

    def _survey(self, hosts: Sequence[Host], waiting: Progress) -> discovery.Survey:
        wrong = machines.wrong_keys(hosts)
        if wrong:
            raise TestbedError("machines of static cannot be used", why="; ".join(wrong.values()))
        blank = [host.model_copy(update={"interpreter": ""}) for host in hosts]
        found = discovery.survey(blank, 0, waiting) if blank else discovery.Survey()
        if found.missing:
            one = len(found.missing) == 1
            number = "machine does" if len(hosts) == 1 else "machines does" if one else "machines do"
            raise discovery.SilentError(
                f"{len(found.missing)} of {len(hosts)} {number} not answer to ssh",
                found.missing,
                why=discovery.told(hosts, found.missing),
                hint=f"Start {'it' if one else 'them'}, or take {'it' if one else 'them'} out of hosts: under static",
            )
        return found

    def _mark(self, claim: Claim, hosts: Sequence[Host], watch: Watch) -> None:
        attempt = secrets.token_hex(8)
        made = {host: marks.make(claim, host.key, attempt) for host in hosts}
        limit_s = limits.limits().ssh_timeout
        left = dict(made)
        for last in (False, True):
            answers = machines.on_each({host: marks.take(one) for host, one in left.items()}, limit_s)
            others = {
                host: marks.read(answers[host.key].stdout) for host in left if answers[host.key].rc == marks.TAKEN
            }
            broken = [host for host in left if answers[host.key].rc not in (0, marks.TAKEN)]
            _refuse_broken(broken, answers)
            _refuse_others(claim, others, attempt, again=last)
            if not others:
                return
            # marks of this scenario that no ledger knew of
            freed = machines.on_each({host: marks.free(mark(claim.scenario)) for host in others}, limit_s)
            watch(f"removed what an earlier attempt left on {machines.addresses(list(others))}")
            _refuse_broken([host for host in others if not freed[host.key].ok], freed)
            left = {host: made[host] for host in others}

    def enable_netem(self, claim: Claim, hosts: Sequence[Host], progress: Progress) -> str:  # noqa: ARG002
        """Make sure that ``tc ... netem`` works on the hosts; returns ``kernel``; may be called again.

        Raises:
            TestbedError: it does not, somewhere; says why.
        """
        devices = {host: next((one.device for one in host.interfaces), "lo") for host in hosts}
        told = {host: PROBE.format(device=device) for host, device in devices.items()}
        answers = machines.on_each(told, limits.limits().ssh_timeout)
        failed = [host for host in hosts if not answers[host.key].ok]
        if failed:
            words = [f"{host.address}: {reason(host, answers[host.key])}" for host in failed]
            raise TestbedError(
                f"links of {machines.addresses(failed)} cannot be shaped",
                why=shell.some(words, "; "),
                hint="Install iproute2 there and a kernel with sch_netem, sch_htb and cls_u32, or remove network.yaml",
            )
        return "kernel"

    def release(self, claim: Claim, progress: Progress) -> list[str]:
        """Remove what was put on the machines and their marks, also after a crash, also twice.

        A machine that does not answer is told and does not stop the others; the next release tries it again. Machines
        that another scenario uses by now are left alone.

        Raises:
            TestbedError: something could not be removed from a machine that answers.
        """
        entry = ledger.of_experiment(claim.experiment)
        if entry is not None and ledger.just_tried(entry, _MOMENT_S):
            return []
        known = [*machines.taken(claim), *(machines.taken(entry.claim) if entry else ())]
        known = list({(host.key, host.address, host.port): host for host in known}.values())
        with machines.fresh_connections(claim, known) as hosts:
            told = dict.fromkeys(hosts, marks.free(mark(claim.scenario)))
            answers = machines.on_each(told, limits.limits().release_timeout)
        silent = [host for host in hosts if answers[host.key].rc in (shell.SSH_FAILED, shell.TIMED_OUT)]
        quiet = (0, marks.NEVER, marks.NOT_OURS, shell.SSH_FAILED, shell.TIMED_OUT)
        broken = [host for host in hosts if answers[host.key].rc not in quiet]
        freed = _freed([host for host in hosts if answers[host.key].ok], answers, progress)
        if silent:
            why = {host.key: reason(host, answers[host.key]) for host in silent}
            stays = "what may have been put there stays until `e2clab destroy` finds it up"
            progress(f"no answer from {len(silent)} of {len(hosts)}, so {stays}: {discovery.told(silent, why)}")
        if entry is not None and (silent or broken):
            left = _with_machines(entry.claim, [*silent, *broken])
            ledger.write(Entry(claim=left, silent_at=time.time() if silent and not broken else 0))
        else:
            ledger.remove(claim.experiment)
        _refuse_broken(broken, answers, "cleaned")
        return freed

    def find(self, scenario: str) -> list[Claim]:
        """What this controller marked for that scenario and has not cleaned since."""
        return [entry.claim for entry in ledger.of_scenario(scenario)]


PYTHON = "/usr/bin/python3"


def _quiet(_: str) -> None:
    """Nobody watches."""


def _with_machines(claim: Claim, hosts: Sequence[Host]) -> Claim:
    """The claim with these machines as its own."""
    kept = ("key", "address", "user", "port", "keyfile", "jump")
    taken = [{name: value for name in kept if (value := getattr(host, name)) is not None} for host in hosts]
    return claim.model_copy(update={"settings": {**claim.settings, "hosts": taken}})


def _refuse_broken(hosts: Sequence[Host], answers: Mapping[str, shell.Result], what: str = "marked") -> None:
    if hosts:
        words = [f"{host.address}: {reason(host, answers[host.key])}" for host in hosts]
        raise TestbedError(f"{machines.addresses(hosts)} could not be {what}", why=shell.some(words, "; "))


def _refuse_others(claim: Claim, others: Mapping[Host, marks.Mark | None], attempt: str, *, again: bool) -> None:
    """Raise when a machine is used already: by another scenario, by another part of this one, or who knows by whom."""
    for host, other in others.items():
        if other is not None and other.attempt == attempt:
            raise TestbedError(
                f"{host.key} and {other.key} are the same machine",
                where=host.address,
                hint="Take one of its addresses out of hosts: or servers:",
            )
    foreign = {
        host: other for host, other in others.items() if again or not other or other.owner != mark(claim.scenario)
    }
    if foreign:
        host, other = next(iter(foreign.items()))
        words = [f"{one.address}: {mark_.held_by() if mark_ else _UNKNOWN}" for one, mark_ in foreign.items()]
        free = f"`e2clab destroy {other.scenario}` there" if other else "its owner's `e2clab destroy`"
        raise TestbedError(
            f"{machines.addresses(list(foreign))} {'is' if len(foreign) == 1 else 'are'} in use",
            why=shell.some(words, "; "),
            hint=f"It is freed by {free}; if that controller is gone, remove {marks.PATH} on {host.address}",
        )


_UNKNOWN = "its mark cannot be read"


def _freed(hosts: Sequence[Host], answers: Mapping[str, shell.Result], progress: Progress) -> list[str]:
    """One clause for all machines from which the same was removed."""
    together: dict[str, list[Host]] = {}
    for host in hosts:
        lines = answers[host.key].stdout.strip().splitlines()
        for line in lines:
            if line.startswith("kept "):
                progress(f"{host.address}: {line}")
        together.setdefault(", ".join(line for line in lines if not line.startswith("kept ")), []).append(host)
    return [
        f"{_number(those)}: {machines.addresses(those)}{f' ({what})' * bool(what)}" for what, those in together.items()
    ]


def _number(hosts: Sequence[Host]) -> str:
    return f"{len(hosts)} machine{'' if len(hosts) == 1 else 's'}"


def _use(hosts: Sequence[Host]) -> Finding:
    """Whether machines are in use."""
    answers = machines.on_each(dict.fromkeys(hosts, marks.look()), limits.limits().ssh_timeout)
    used = {host: marks.read(answers[host.key].stdout) for host in hosts if answers[host.key].ok}
    if not used:
        return Finding(aspect="use", ok=True, text="no experiment uses them")
    words = [f"{host.address}: {other.held_by() if other else _UNKNOWN}" for host, other in used.items()]
    return Finding(aspect="use", ok=True, text=f"{len(used)} in use; {shell.some(words, '; ')}")
