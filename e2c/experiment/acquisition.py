"""Acquiring the hosts of a plan, on one testbed or several, and checking that they answer."""

from __future__ import annotations

import hashlib
from typing import Any

from e2c.environments.base import Claim, Provider
from e2c.errors import RemoteError
from e2c.experiment.experiment import Experiment, provider
from e2c.experiment.state import State
from e2c.model.host import Board, Host
from e2c.model.plan import Plan, PlannedHost
from e2c.remote import shell

FACTS = 'printf \'%s\\n\' "$(uname -sr)" "$(nproc)" "$(awk \'/MemTotal/ {print $2}\' /proc/meminfo)"'


def acquire(experiment: Experiment) -> None:
    """Acquire all hosts and boards; what the testbeds hold under the experiment's name already is taken up again.

    Testbeds that give hosts without a reservation come first, because what they refuse is known at once; the others
    get a slot common to all of them.

    Raises:
        TestbedError: a testbed could not give what was asked.
    """
    plan = experiment.plan
    with experiment.phase("acquire") as changes:
        hosts: dict[str, Host] = {}
        boards: dict[str, Board] = {}
        watch = experiment.watch("acquire")
        asked = [_asked(experiment.state, plan, name) for name in sorted({host.provider for host in plan.hosts})]
        asked.sort(key=lambda one: one[0].reserves)
        experiment.update(claims=tuple(claim for _, claim, _ in asked))
        booked = [(claim, wanted) for adapter, claim, wanted in asked if adapter.reserves]
        secured = len(booked) < 2
        for adapter, claim, wanted in asked:
            if adapter.reserves and not secured:
                from e2c.environments import slot

                slot.secure(booked, watch)
                secured = True
            given = adapter.acquire(claim, wanted, watch)
            hosts |= {host.key: host for host in given.hosts}
            boards |= {board.key: board for board in given.boards}
        changes["hosts"] = tuple(hosts[host.key] for host in plan.hosts if host.key in hosts)
        changes["boards"] = tuple(boards[host.key] for host in plan.hosts if host.key in boards)


def _asked(state: State, plan: Plan, name: str) -> tuple[Provider, Claim, list[PlannedHost]]:
    adapter = provider(name)
    claim = adapter.claim(
        experiment=identity(state),
        scenario=state.scenario,
        job_name=plan.job_name,
        walltime_s=plan.walltime_s,
        settings=plan.testbeds.get(name, {}),
    )
    if state.artifacts:  # where firmwares of boards are
        claim = claim.model_copy(update={"resources": {**claim.resources, "artifacts_dir": state.artifacts}})
    if plan.links:  # the provider can prepare what shaping takes while it builds hosts
        netem = plan.testbeds.get(name, {}).get("netem", "auto")
        claim = claim.model_copy(update={"resources": {**claim.resources, "netem": netem}})
    return adapter, claim, [host for host in plan.hosts if host.provider == name]


def identity(state: State) -> str:
    """Name of the experiment that is unique on this controller, where scenarios may start in the same second."""
    return f"{state.experiment}-{hashlib.sha256(state.scenario.encode()).hexdigest()[:12]}"


def connect(experiment: Experiment) -> None:
    """Check that every host answers to ssh, and ask what it is.

    Raises:
        RemoteError: one does not.
    """
    with experiment.phase("connect") as changes:
        answers = shell.run_all(experiment.state.hosts, FACTS, timeout_s=60)
        hint = "Check that the machine is up and accepts the key"
        if experiment.adopted:
            hint += f", then repeat the command to go on; or release all hosts: e2clab destroy {experiment.scenario}"
        shell.require(answers, "ssh", hint=hint)
        facts = {key: _facts(answer.stdout) for key, answer in answers.items()}
        experiment.progress("connect")(f"{len(facts)} hosts answer")
        if len(facts) != len(experiment.state.hosts):
            raise RemoteError(f"{len(facts)} of {len(experiment.state.hosts)} hosts answer")
        changes["facts"] = facts


def _facts(text: str) -> dict[str, Any]:
    kernel, cores, memory = text.strip().splitlines()[-3:]  # what a host says at every login comes before
    return {"kernel": kernel, "cores": int(cores), "memory_kib": int(memory)}
