"""Steps on a deployed experiment: shape its links, run its workflow, back up, release."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from e2c.config.load import read_scenario
from e2c.emulation import apply, constraint, measure
from e2c.errors import E2CError, StateError
from e2c.experiment import reservations, work
from e2c.experiment.check import files
from e2c.experiment.deployment import deploy, read, unprovided
from e2c.experiment.events import Event, Observer
from e2c.experiment.experiment import Experiment, living, provider
from e2c.experiment.failure import OnFailure, guarded
from e2c.experiment.log import attach
from e2c.experiment.releasing import destroy
from e2c.experiment.saving import back_up
from e2c.model.plan import Plan, Stage
from e2c.plan.build import build
from e2c.remote.results import TaskResult
from e2c.services import provenance

WorkPhase = Literal["emulate", "prepare", "launch", "finalize"]
WORK: tuple[WorkPhase, ...] = ("emulate", "prepare", "launch", "finalize")
"""What ``deploy`` does once the services run."""


def take_up(scenario: Path, command: str, observe: Observer) -> Experiment:
    """The deployed experiment, with links and plays planned anew from the files as they are now.

    Raises:
        StateError: nothing is deployed, or ``layers_services.yaml`` was changed so that other hosts are needed.
        ScenarioError: the files are wrong.
    """
    experiment = living(scenario, observe)
    attach(experiment)
    state, old = experiment.state, experiment.plan
    read_in = read_scenario(scenario, Path(state.artifacts) if state.artifacts else None, need=files(scenario, command))
    flows = old.provenance.dataflows if old.provenance else ()
    plan = build(read_in, testbed=state.testbed, dataflows=flows)
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


def emulate(experiment: Experiment) -> None:
    """Shape the links of the plan, then measure them and compare.

    Raises:
        EmulationError: a link is not what was asked; the measurement is in ``network-validate/``.
    """
    with experiment.phase("emulate") as changes:
        say = experiment.progress("emulate")
        hosts = experiment.state.hosts
        asked = constraint.constraints(experiment.plan.links, hosts)
        if asked:
            for claim in experiment.state.claims:
                mine = [host for host in hosts if host.provider == claim.provider]
                changes["netem"] = provider(claim.provider).enable_netem(claim, mine, say)
        apply.apply(asked, hosts, say)
        measured = measure.measure(asked, hosts, experiment.folder / "network-validate", say)
        changes["links"] = tuple(measured)


def run_stage(experiment: Experiment, stage: Stage) -> list[TaskResult]:
    """Run one stage of the workflow on the hosts.

    Raises:
        RemoteError: a task failed; all results are in ``workflow-validate.out``.
    """
    outcome: list[TaskResult] = []
    with experiment.phase(stage):
        try:
            work.run_stage(
                experiment.plan.plays,
                stage,
                experiment.state.hosts,
                folder=experiment.folder,
                extra_vars=_extra_vars(experiment, stage),
                variables=_host_variables(experiment),
                observe=experiment.observe,
                outcome=outcome,
            )
        finally:
            begun = work.started(outcome, stage)
            if begun:
                experiment.update(background=(*experiment.state.background, *begun))
        work.require(outcome, stage)
    return outcome


def _extra_vars(experiment: Experiment, stage: Stage) -> dict[str, Any]:
    artifacts = experiment.state.artifacts or experiment.state.scenario
    return {
        "working_dir": str(experiment.folder) if stage == "finalize" else artifacts,
        "scenario_dir": experiment.state.scenario,
        "artifacts_dir": artifacts,
        "current_repeat": 1,
        "app_conf": "",
    }


def _host_variables(experiment: Experiment) -> dict[str, dict[str, Any]]:
    variables = work.play_variables(experiment.plan.plays, experiment.state.hosts)
    plan = experiment.plan.provenance
    if plan is not None:
        for key, values in provenance.environment(plan, experiment.hosts).items():
            variables.setdefault(key, {})[work.ENVIRONMENT_VARIABLE] = values
    return variables


def wait_for_background(experiment: Experiment, limit_s: float | None) -> None:
    """Wait until the background tasks of the workflow have ended; those that fail are reported by :func:`finalize`."""
    if all(task.ended for task in experiment.state.background):
        return
    tasks = work.wait(
        experiment.state.background,
        experiment.hosts,
        folder=experiment.folder,
        limit_s=limit_s,
        observe=experiment.observe,
        save=lambda tasks: experiment.update(background=tasks),
    )
    experiment.update(background=tasks)


def finalize(experiment: Experiment, *, limit_s: float | None) -> None:
    """Wait for background tasks, run the stage ``finalize``, and back up everything.

    What can be saved is saved even when the workflow failed; the failure is raised afterwards.

    Raises:
        RemoteError: a background task or a task of the stage failed.
        ProvenanceError: the backup failed.
    """
    wait_for_background(experiment, limit_s)
    failure: E2CError | None = None
    try:
        run_stage(experiment, "finalize")
    except E2CError as error:
        failure = error
    back_up(experiment)
    work.require_ended(experiment.state.background)
    if failure is not None:
        raise failure


def deploy_all(
    scenario: Path,
    artifacts: Path,
    *,
    testbed: str | None,
    wish: OnFailure,
    destroy_after: bool,
    limit_s: float | None,
    observe: Observer,
) -> Experiment:
    """The whole life of an experiment but its release: deploy, emulate, prepare, launch, finalize.

    What is done already with the same scenario and artifacts is not done again, up to the first phase that is not.
    After a failure, what can be saved is backed up, and what this call acquired is released unless it is to be kept.

    Raises:
        StateError: everything was done already.
    """
    experiment = deploy(scenario, artifacts, testbed=testbed, wish=wish, command="deploy", observe=observe)
    left = _left(experiment)
    if not left and not destroy_after:
        raise StateError(
            "the experiment was run already, and its hosts are kept",
            where=str(experiment.folder),
            hint=f"Go on with single steps, or release it first: e2clab destroy {scenario}",
        )
    with guarded(experiment, wish):
        for phase in left:
            if phase == "emulate":
                emulate(experiment)
            elif phase == "finalize":
                finalize(experiment, limit_s=limit_s)
            else:
                if experiment.cut_off == phase:
                    text = f"{phase} did not end well; it runs again from its beginning, beside what it left running"
                    experiment.observe(Event("warning", phase, text))
                run_stage(experiment, phase)
    if destroy_after:
        destroy(scenario, observe).require(scenario)
    else:
        reservations.tell(experiment, always=True)
    return experiment


def _left(experiment: Experiment) -> tuple[WorkPhase, ...]:
    """Phases of the work that are still to be done: the first that is not fulfilled, and all after it."""
    for place, phase in enumerate(WORK):
        done = experiment.fulfilled(phase) and (phase != "finalize" or experiment.state.done("backup"))
        if not done:
            return WORK[place:]
        experiment.progress(phase)("done already")
    return ()


def reset_links(experiment: Experiment) -> None:
    """Remove the shaping of all links."""
    apply.reset(experiment.state.hosts)
    experiment.update(links=())


def plan_only(scenario: Path, artifacts: Path | None, testbed: str | None, observe: Observer) -> Plan:
    """What ``deploy`` would do; nothing is acquired. Testbeds without a provider are warned of."""
    plan = read(scenario, artifacts, "deploy", observe, testbed)[1]
    for name in unprovided(plan):
        text = f"{name} is not provided yet by this version, so deploy will refuse; rehearse with --testbed local"
        observe(Event("warning", "plan", text))
    return plan
