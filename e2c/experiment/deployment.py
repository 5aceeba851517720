"""From a scenario to hosts that run its services: read, plan, acquire, connect, serve."""

from __future__ import annotations

import hashlib
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

from e2c import plugins
from e2c.config.scenario import Scenario
from e2c.errors import RemoteError, StateError, TestbedError
from e2c.experiment import folder as folders
from e2c.experiment import results
from e2c.experiment import state as states
from e2c.experiment.check import examine
from e2c.experiment.events import Event, Observer
from e2c.experiment.experiment import Experiment, find, orphans, provider, release
from e2c.experiment.log import attach
from e2c.experiment.state import State
from e2c.model.host import Board, Host
from e2c.model.plan import Plan
from e2c.plan import build
from e2c.provenance.serving import libmonetdb
from e2c.remote import shell
from e2c.services import provenance

FACTS = 'printf \'%s\\n\' "$(uname -sr)" "$(nproc)" "$(awk \'/MemTotal/ {print $2}\' /proc/meminfo)"'


def read(
    scenario: Path, artifacts: Path | None, command: str, observe: Observer, testbed: str | None
) -> tuple[Scenario, Plan]:
    """Check the scenario, its dataflow evaluated, and plan; nothing is acquired.

    Raises:
        ScenarioError: the files are wrong; the message shows every problem.
    """
    found = examine(scenario, artifacts, command, testbed=testbed)
    plan = build.require(found.plan, found.problems)
    for problem in found.problems:
        observe(Event("warning", "check", problem.sentence().replace(": warning: ", ": ", 1)))
    return found.scenario, plan


def unprovided(plan: Plan) -> list[str]:
    """Testbeds of a plan whose hosts this version cannot acquire."""
    return sorted({host.provider for host in plan.hosts} - set(plugins.names(plugins.ENVIRONMENTS)))


def preflight(plan: Plan) -> None:
    """Refuse before anything is acquired what could not work afterwards.

    Raises:
        TestbedError: no provider for a testbed is installed.
        MissingToolError: a program, privilege or library is absent.
    """
    absent = unprovided(plan)
    if absent:
        raise TestbedError(
            f"hosts of {', '.join(absent)} cannot be acquired by this version",
            why=f"it provides: {', '.join(plugins.names(plugins.ENVIRONMENTS))}",
            hint="Rehearse the scenario on this machine with --testbed local",
        )
    for name in sorted({host.provider for host in plan.hosts}):
        provider(name).check(plan.testbeds.get(name, {}))
    if plan.provenance is not None:
        libmonetdb.locate()


def deploy(
    scenario: Path,
    artifacts: Path,
    *,
    testbed: str | None,
    keep: bool,
    command: str,
    observe: Observer,
) -> Experiment:
    """Acquire the hosts of a scenario and start its services.

    Args:
        scenario, artifacts: absolute folders.
        testbed: play every declared testbed on this one.
        keep: do not release when a later step fails.
        command: the command that asks, which decides what files must be there.
        observe: receives the events.

    Raises:
        StateError: something else is deployed already.
        E2CError: whatever failed; what this call acquired was released, unless ``keep``.
    """
    read_in, plan = read(scenario, artifacts, command, observe, testbed)
    observe(Event("step", "check", summary(plan)))
    preflight(plan)
    earlier = _earlier(scenario, plan, observe)
    if earlier is not None:
        return earlier
    experiment = _new(scenario, artifacts, plan, testbed, observe)
    try:
        _acquire(experiment)
        _connect(experiment)
        _serve(experiment)
    except BaseException:
        undo(experiment, keep)
        raise
    results.write_layers(
        experiment.folder,
        [layer.name for layer in read_in.layers_services.layers] if read_in.layers_services else [],
        experiment.state.hosts,
        experiment.state.services,
    )
    return experiment


def undo(experiment: Experiment, keep: bool) -> None:
    """After a failure: release what this run acquired, or say how to. Never hides the failure behind one of its own."""
    later = f"free it with: e2clab destroy {experiment.scenario}"
    if keep or experiment.adopted:
        reason = "kept as asked" if keep else "kept, because an earlier command deployed it"
        experiment.observe(Event("warning", "release", f"{reason}; {later}"))
        return
    experiment.observe(Event("phase", "release", "begins, because of the failure"))
    shell.close(experiment.state.hosts)
    try:
        release(experiment.state.claims, experiment.observe)
        experiment.update(released=True)
    except StateError as error:
        experiment.observe(Event("warning", "release", f"{error} Then {later}", failed=True))


def summary(plan: Plan) -> str:
    """One clause: what the plan holds."""
    counted = (len(plan.hosts), "host"), (len(plan.links), "link"), (len(plan.plays), "play")
    parts = [f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counted]
    declared = ", ".join(sorted({host.testbed for host in plan.hosts}))
    if plan.rehearsal:
        return f"{', '.join(parts)}; a rehearsal: {declared} played by local hosts"
    return f"{', '.join(parts)} on {declared}"


def _earlier(scenario: Path, plan: Plan, observe: Observer) -> Experiment | None:
    """The same experiment, when it is deployed already; remains of one that was cut off are released."""
    try:
        experiment = find(scenario, observe)
    except StateError as error:
        observe(Event("warning", "acquire", str(error)))
        experiment = None
    if experiment is None or experiment.state.released:
        # a state that is damaged or gone must not hide what it held
        for clause in release(orphans(scenario), observe):
            observe(Event("step", "acquire", f"released what a lost experiment held: {clause}"))
        return None
    if not experiment.state.done("serve"):
        observe(Event("step", "acquire", f"releasing what the cut-off deployment {experiment.state.experiment} left"))
        shell.close(experiment.state.hosts)
        release(experiment.state.claims, observe)
        experiment.update(released=True)
        return None
    if experiment.plan.hosts == plan.hosts and experiment.plan.provenance == plan.provenance:
        observe(Event("step", "acquire", f"deployed already as {experiment.state.experiment}: nothing to do"))
        attach(experiment)
        experiment.adopted = True
        return experiment
    raise StateError(
        "another plan of this scenario is deployed",
        where=str(experiment.folder),
        hint=f"Release it first: e2clab destroy {scenario}",
    )


def _new(scenario: Path, artifacts: Path, plan: Plan, testbed: str | None, observe: Observer) -> Experiment:
    folder = folders.create(scenario, datetime.now())
    state = State(
        experiment=folder.name,
        scenario=str(scenario),
        artifacts=str(artifacts),
        testbed=testbed,
        plan_digest=plan.digest(),
    )
    try:
        states.save_plan(folder, plan)
        states.save(folder, state)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    experiment = Experiment(folder, state, plan, observe)
    attach(experiment)
    return experiment


def _acquire(experiment: Experiment) -> None:
    plan = experiment.plan
    with experiment.phase("acquire") as changes:
        hosts: dict[str, Host] = {}
        boards: dict[str, Board] = {}
        watch = experiment.watch("acquire")
        for name in sorted({host.provider for host in plan.hosts}):
            adapter = provider(name)
            claim = adapter.claim(
                experiment=identity(experiment.state),
                scenario=experiment.state.scenario,
                job_name=plan.job_name,
                walltime_s=plan.walltime_s,
                settings=plan.testbeds.get(name, {}),
            )
            if plan.links:  # the provider can prepare what shaping takes while it builds hosts
                netem = plan.testbeds.get(name, {}).get("netem", "auto")
                claim = claim.model_copy(update={"resources": {**claim.resources, "netem": netem}})
            experiment.update(claims=(*experiment.state.claims, claim))
            wanted = [host for host in plan.hosts if host.provider == name]
            given = adapter.acquire(claim, wanted, watch)
            hosts |= {host.key: host for host in given.hosts}
            boards |= {board.key: board for board in given.boards}
        changes["hosts"] = tuple(hosts[host.key] for host in plan.hosts if host.key in hosts)
        changes["boards"] = tuple(boards[host.key] for host in plan.hosts if host.key in boards)


def identity(state: State) -> str:
    """Name of the experiment that is unique on this controller, where scenarios may start in the same second."""
    return f"{state.experiment}-{hashlib.sha256(state.scenario.encode()).hexdigest()[:12]}"


def _connect(experiment: Experiment) -> None:
    with experiment.phase("connect") as changes:
        answers = shell.run_all(experiment.state.hosts, FACTS, timeout_s=60)
        shell.require(answers, "ssh", hint="Check that the machine is up and accepts the key")
        facts = {key: _facts(answer.stdout) for key, answer in answers.items()}
        experiment.progress("connect")(f"{len(facts)} hosts answer")
        if len(facts) != len(experiment.state.hosts):
            raise RemoteError(f"{len(facts)} of {len(experiment.state.hosts)} hosts answer")
        changes["facts"] = facts


def _facts(text: str) -> dict[str, Any]:
    kernel, cores, memory = text.strip().splitlines()[:3]
    return {"kernel": kernel, "cores": int(cores), "memory_kib": int(memory)}


def _serve(experiment: Experiment) -> None:
    with experiment.phase("serve") as changes:
        plan = experiment.plan.provenance
        if plan is not None:
            record = provenance.deploy(plan, experiment.hosts, libmonetdb.locate(), experiment.progress("serve"))
            changes["services"] = (record,)
