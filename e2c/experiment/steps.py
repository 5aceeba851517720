"""Steps on a deployed experiment: take it up, run its workflow, save its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e2c.config.load import read_scenario
from e2c.errors import E2CError, StateError
from e2c.experiment import agenda, background, leftovers, reservations, run_records, runs, serving
from e2c.experiment.check import files
from e2c.experiment.deployment import deploy, read, unprovided
from e2c.experiment.events import Event, Observer
from e2c.experiment.experiment import Experiment, living
from e2c.experiment.failure import OnFailure, guarded
from e2c.experiment.links import emulate, tell_done
from e2c.experiment.log import attach
from e2c.experiment.releasing import destroy
from e2c.experiment.runs import AT_ONCE, Pace
from e2c.model.plan import Plan
from e2c.model.run import Run, planned
from e2c.plan.build import build


def take_up(
    scenario: Path, command: str, observe: Observer, *, app_conf: Sequence[str] = (), begun: bool = False
) -> Experiment:
    """The deployed experiment, with links and plays planned anew from the files as they are now.

    Args:
        command: the command that asks, which decides what files must be there.
        app_conf: application configurations that are going to run.
        begun: those of runs whose results are not saved yet, too.

    Raises:
        StateError: nothing is deployed, or ``layers_services.yaml`` was changed so that other hosts are needed.
        ScenarioError: the files are wrong.
    """
    experiment = living(scenario, observe)
    attach(experiment)
    state, old = experiment.state, experiment.plan
    artifacts = Path(state.artifacts) if state.artifacts else None
    names = [*app_conf, *(run.app_conf for run in (run_records.pending(experiment) if begun else ()) if run.app_conf)]
    wanted = list(dict.fromkeys(names))
    read_in = read_scenario(scenario, artifacts, need=files(scenario, command), app_conf=wanted)
    flows = old.provenance.dataflows if old.provenance else ()
    plan = build(read_in, testbed=state.testbed, dataflows=flows, registered=serving.registered(state))
    if plan.hosts != old.hosts or plan.provenance != old.provenance:
        raise StateError(
            "layers_services.yaml asks for another deployment than the one that runs",
            where=str(scenario),
            hint=f"Release it first (`e2clab destroy {scenario}`) or undo the change",
        )
    experiment.use_plan(plan)
    experiment.adopted = True
    reservations.tell(experiment)
    return experiment


def finalize(experiment: Experiment, chosen: Sequence[Run], *, limit_s: float | None) -> None:
    """End runs: wait for background tasks, run the stage ``finalize``, and back up everything, run after run.

    What can be saved is saved even when the workflow failed; the failure is raised afterwards.

    Args:
        chosen: the runs, see :func:`e2c.experiment.run_records.pending`.

    Raises:
        RemoteError: a background task or a task of the stage failed.
        ProvenanceError: the backup failed.
    """
    failures: list[E2CError] = []
    leftovers.take_stock(experiment)
    known = {record.run.identity for record in experiment.state.runs}
    for run in chosen:
        if run.identity not in known:
            text = f"{run.identity} was not launched; what lies on the hosts now is saved"
            experiment.observe(Event("warning", "finalize", text))
        elif reason := run_records.unlaunched(experiment, run):
            text = f"{run.identity} has failed, and what there is of it is saved: {reason.splitlines()[0].rstrip(' :')}"
            experiment.observe(Event("warning", "finalize", text))
        try:
            runs.conclude(experiment, run, limit_s=limit_s)
        except E2CError as error:
            failures.append(error)
        known.add(run.identity)
    of_prepare = {task.run for task in experiment.state.background} - known
    for name in sorted(of_prepare):
        runs.wait_for_background(experiment, name, limit_s)
    try:
        background.require_ended([task for task in experiment.state.background if task.run in of_prepare])
    except E2CError as error:
        failures.append(error)
    for failure in failures[1:]:
        experiment.observe(Event("warning", "finalize", str(failure), failed=True))
    if failures:
        raise failures[0]


def deploy_all(
    scenario: Path,
    artifacts: Path,
    *,
    testbed: str | None,
    wish: OnFailure,
    destroy_after: bool,
    observe: Observer,
    chosen: Sequence[Run] = (),
    pace: Pace = AT_ONCE,
) -> Experiment:
    """The whole life of an experiment but its release: deploy, emulate, prepare, launch, finalize.

    What is done already with the same scenario and artifacts is not done again, up to the first phase that is not.
    After a failure, what can be saved is backed up, and what this call acquired is released unless it is to be kept.

    Args:
        chosen: the runs of the workflow, in their order; none: a single one.
        pace: how they go.

    Raises:
        StateError: everything was done already.
    """
    chosen = chosen or planned()
    app_conf = tuple(dict.fromkeys(run.app_conf for run in chosen if run.app_conf))
    experiment = deploy(
        scenario, artifacts, testbed=testbed, wish=wish, command="deploy", observe=observe, app_conf=app_conf
    )
    with guarded(experiment, wish):
        anew = not experiment.fulfilled("emulate")
        items = agenda.draw_up(experiment, chosen, anew=anew)
        idle = not items and not destroy_after
        if anew:
            emulate(experiment)
        elif not idle:
            tell_done(experiment)
        if not idle:
            agenda.play(experiment, chosen, items, pace)
    if idle:
        raise StateError(
            "the experiment was run already, and its hosts are kept",
            where=str(experiment.folder),
            hint=f"Go on with single steps, or release it first: e2clab destroy {scenario}",
        )
    if destroy_after:
        destroy(scenario, observe).require(scenario)
    else:
        experiment.update(kept=True)
        reservations.tell(experiment, always=True)
    return experiment


def plan_only(
    scenario: Path, artifacts: Path | None, testbed: str | None, observe: Observer, app_conf: Sequence[str] = ()
) -> Plan:
    """What ``deploy`` would do; nothing is acquired. Testbeds without a provider are warned of."""
    plan = read(scenario, artifacts, "deploy", observe, testbed, app_conf)[1]
    for name in unprovided(plan):
        text = f"{name} is not provided yet by this version, so deploy will refuse; rehearse with --testbed local"
        observe(Event("warning", "plan", text))
    return plan
