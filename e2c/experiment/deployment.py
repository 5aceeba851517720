"""From a scenario to hosts that run its services: read, plan, acquire, connect, serve."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from e2c import plugins
from e2c.config.scenario import Scenario
from e2c.errors import E2CError, RemoteError, StateError, TestbedError
from e2c.experiment import folder as folders
from e2c.experiment import reservations, results, serving
from e2c.experiment import state as states
from e2c.experiment.acquisition import acquire, connect
from e2c.experiment.asking import ask
from e2c.experiment.check import examine, located
from e2c.experiment.events import Event, Observer, steady
from e2c.experiment.experiment import Experiment, find, provider
from e2c.experiment.failure import OnFailure, guarded
from e2c.experiment.log import attach
from e2c.experiment.releasing import leave, orphans, release, where_they_are
from e2c.experiment.state import State
from e2c.model.host import Board, Host
from e2c.model.plan import Plan
from e2c.plan import build
from e2c.provenance.serving import libmonetdb


def read(
    scenario: Path,
    artifacts: Path | None,
    command: str,
    observe: Observer,
    testbed: str | None,
    app_conf: Sequence[str] = (),
) -> tuple[Scenario, Plan]:
    """Check the scenario, its dataflow evaluated, and plan; nothing is acquired.

    Raises:
        ScenarioError: the files are wrong; the message shows every problem.
    """
    found = examine(scenario, artifacts, command, testbed=testbed, app_conf=app_conf)
    plan = build.require(found.plan, found.problems)
    for problem in found.problems:
        observe(Event("warning", "check", problem.sentence().replace(": warning: ", ": ", 1)))
    return found.scenario, plan


def unprovided(plan: Plan) -> list[str]:
    """Testbeds of a plan whose hosts this version cannot acquire."""
    return sorted({host.provider for host in plan.hosts} - set(plugins.names(plugins.ENVIRONMENTS)))


def preflight(plan: Plan, observe: Observer) -> None:
    """Refuse before anything is acquired what could not work afterwards. Testbeds are asked at the same time.

    Raises:
        TestbedError: no provider for a testbed is installed, or several things are wrong: all are told.
        MissingToolError: a program, privilege or library is absent.
        E2CError: whatever else is wrong, if it is the only thing.
    """
    absent = unprovided(plan)
    if absent:
        raise TestbedError(
            f"hosts of {', '.join(absent)} cannot be acquired by this version",
            why=f"it provides: {', '.join(plugins.names(plugins.ENVIRONMENTS))}",
            hint="Rehearse the scenario on this machine with --testbed local",
        )
    names = sorted({host.provider for host in plan.hosts})
    for name in names:
        observe(Event("wait", "check", f"whether {name} can be used"))
    # loaded here and not where it is asked: its code may be somebody's own
    questions = {name: partial(provider(name).check, plan.testbeds.get(name, {})) for name in names}
    wrong = [answer for answer in ask(questions, None).values() if isinstance(answer, BaseException)]
    others: list[Callable[[], object]] = [libmonetdb.locate] if plan.provenance else []
    others.append(partial(serving.preflight, plan.hosts, observe))
    for other in others:
        try:
            other()
        except E2CError as error:
            wrong.append(error)
    faults = [error for error in wrong if not isinstance(error, E2CError)]
    if len(wrong) > 1 and not faults:
        told = "".join(f"\n{error}" for error in wrong)
        raise TestbedError(f"{len(wrong)} things are in the way of this deployment", why=told)
    for first in (*faults, *wrong):
        raise first


def deploy(
    scenario: Path,
    artifacts: Path,
    *,
    testbed: str | None,
    wish: OnFailure,
    command: str,
    observe: Observer,
    app_conf: Sequence[str] = (),
) -> Experiment:
    """Acquire the hosts of a scenario and start its services; a deployment that was cut off is gone on with.

    Args:
        scenario, artifacts: absolute folders.
        testbed: play every declared testbed on this one.
        wish: what becomes of the hosts when a step fails.
        command: the command that asks, which decides what files must be there.
        observe: receives the events.
        app_conf: application configurations that are going to run.

    Raises:
        StateError: something else is deployed already.
        E2CError: whatever failed; what this call acquired was released, unless it was to be kept.
    """
    observe = steady(observe)
    read_in, plan = read(scenario, artifacts, command, observe, testbed, app_conf)
    observe(Event("step", "check", summary(plan)))
    with located(read_in):
        preflight(plan, observe)
    experiment = _taken_up(scenario, plan, observe) or _new(scenario, plan, testbed, observe)
    # whoever deploys anew what a `deploy` that was cut off deployed is still at that; what a single step deployed, and
    # what any command has left to the user, is the user's to keep
    going_on = not experiment.state.done("serve") or command == experiment.state.command == "deploy"
    experiment.adopted = experiment.state.kept or not going_on
    with guarded(experiment, wish):
        if going_on:
            experiment.update(artifacts=str(artifacts), command=command)
        _bring_up(experiment)
        if experiment.state.served:
            # only now it is known which hosts selectors mean by names that plugins gave
            flows = plan.provenance.dataflows if plan.provenance else ()
            experiment.use_plan(
                build.build(read_in, testbed=testbed, dataflows=flows, registered=serving.registered(experiment.state))
            )
        layers = [layer.name for layer in read_in.layers_services.layers] if read_in.layers_services else []
        machines: tuple[Host | Board, ...] = (*experiment.state.hosts, *experiment.state.boards)
        state = experiment.state
        results.write_layers(experiment.folder, layers, machines, state.services, state.served)
        reservations.tell(experiment, always=True)
    return experiment


def _bring_up(experiment: Experiment) -> None:
    """Acquire, connect, serve: what of it is not done yet. Whether the hosts answer is looked at every time."""
    answer = False
    if experiment.state.done("acquire"):
        try:
            connect(experiment)
            answer = True
        except RemoteError as error:
            if experiment.adopted or experiment.state.done("serve"):
                raise
            experiment.progress("acquire")(f"once more, because {error}")
            leave(experiment.state, experiment.observe)
    if not answer:
        experiment.forget()
        acquire(experiment)
        connect(experiment)
    if not experiment.state.done("serve"):
        serving.serve(experiment)


def summary(plan: Plan) -> str:
    """One clause: what the plan holds."""
    counted = (len(plan.hosts), "host"), (len(plan.links), "link"), (len(plan.plays), "play")
    parts = [f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counted]
    declared = ", ".join(sorted({host.testbed for host in plan.hosts}))
    if plan.rehearsal:
        return f"{', '.join(parts)}; a rehearsal: {declared} played by local hosts"
    return f"{', '.join(parts)} on {declared}"


def _taken_up(scenario: Path, plan: Plan, observe: Observer) -> Experiment | None:
    """The experiment of this scenario that is deployed, or was cut off, if this plan is the one it is made from.

    What a lost or outdated one holds is released.

    Raises:
        StateError: another plan is deployed; or what must be released first cannot be.
    """
    try:
        experiment = find(scenario, observe)
    except StateError as error:
        observe(Event("warning", "acquire", str(error)))
        experiment = None
    if experiment is None or experiment.state.released:
        _release_lost(scenario, plan, observe)
        return None
    attach(experiment)
    state, old = experiment.state, experiment.plan
    same = (old.hosts, old.provenance, old.monitoring) == (plan.hosts, plan.provenance, plan.monitoring)
    if state.done("serve"):
        if not same:
            raise StateError(
                "another plan of this scenario is deployed",
                where=str(experiment.folder),
                hint=f"Release it first: e2clab destroy {scenario}",
            )
        experiment.progress("acquire")(f"deployed already as {state.experiment}: nothing to do")
    elif not same or (old.testbeds, old.job_name, old.walltime_s) != (plan.testbeds, plan.job_name, plan.walltime_s):
        step = experiment.progress("acquire")
        step(f"the scenario was changed since {state.experiment} was cut off, so what that holds is released first")
        serving.stop(experiment)
        leave(state, experiment.observe)
        done = release(where_they_are(state), experiment.observe)
        done.require(scenario)
        for clause in done.freed:
            step(f"released {clause}")
        experiment.update(released=True)
        return None
    else:
        cut = f" in phase {state.begun}" if state.begun else ""
        experiment.progress("acquire")(f"going on with {state.experiment}, which was cut off{cut}")
    experiment.cut_off = state.begun
    experiment.use_plan(plan)
    return experiment


def _release_lost(scenario: Path, plan: Plan, observe: Observer) -> None:
    """Release what testbeds of the plan hold for this scenario although no state tells of it."""
    claims, silent = orphans(scenario, sorted({host.provider for host in plan.hosts}))
    for name, reason in silent.items():
        text = f"{name} could not be asked whether an earlier deployment still holds something: {reason}"
        observe(Event("warning", "acquire", text))
    done = release(claims, observe)
    for clause in done.freed:
        observe(Event("step", "acquire", f"released what a lost experiment held: {clause}"))
    done.require(scenario)


def _new(scenario: Path, plan: Plan, testbed: str | None, observe: Observer) -> Experiment:
    folder = folders.create(scenario, datetime.now())
    state = State(
        experiment=folder.name,
        scenario=str(scenario),
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
