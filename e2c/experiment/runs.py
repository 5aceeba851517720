"""Runs of the workflow on a deployed experiment: each is launched, waited for, finalized and backed up by itself."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2c.config.settings import read_settings
from e2c.errors import E2CError
from e2c.experiment import background, lasting, leftovers, serving, timetable, work
from e2c.experiment.choice import WHOLE, Choice
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.run_records import begin, folder, note, unlaunched, without_ended
from e2c.experiment.saving import back_up, describe
from e2c.experiment.state import BackgroundTask, epoch
from e2c.model.plan import Stage
from e2c.model.run import UNNAMED, Run, RunRecord
from e2c.remote.results import TaskResult
from e2c.services import provenance

RUN_PHASES = ("launch", "finalize", "backup")
"""What a run consists of."""


@dataclass(frozen=True)
class Pace:
    """How runs go.

    Attributes:
        duration_s: seconds that a run lasts after its launch has ended, before anything else is waited for.
        pause: called after that; the run goes on when it returns.
        limit_s: seconds that background tasks of a run are waited for; ``None``: each until its own limit.
        keep_going: a run that fails does not keep the others from running.
    """

    duration_s: float = 0
    pause: Callable[[], None] | None = None
    limit_s: float | None = None
    keep_going: bool = False


AT_ONCE = Pace()


def execute(
    experiment: Experiment,
    run: Run,
    pace: Pace = AT_ONCE,
    *,
    extra_vars: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    choice: Choice = WHOLE,
    left: Sequence[str] = RUN_PHASES,
) -> RunRecord:
    """Run the workflow once, without its stage ``prepare``, and save what it brought.

    When the launch fails on some hosts only, the run goes on with the others. What there is is saved in any case; the
    failure is raised afterwards.

    Args:
        run: which run; launched a second time under the same name, it gets an identity of its own in the database.
        pace: how long it lasts.
        extra_vars: more variables for all plays, ``optimization_config`` for instance.
        environment: more environment variables of its tasks.
        choice: a part of the launch.
        left: what of the run is to be done.

    Raises:
        RemoteError: a task of a stage or a background task failed.
        E2CError: something could not be saved.
    """
    failures: list[E2CError] = []
    if "launch" in left:
        record = _begun(experiment, run, choice)
        try:
            with timetable.playing(experiment, record.identity):
                others = True
                outcome: list[TaskResult] = []
                try:
                    launch(
                        experiment,
                        run,
                        extra_vars=extra_vars,
                        environment=environment,
                        outcome=outcome,
                        choice=choice,
                        begun=True,
                    )
                except E2CError as error:
                    failures.append(error)
                    others = _others_go_on(experiment, outcome)
                if others:
                    _last(experiment, run, pace)
                wait_for_background(experiment, run.identity, pace.limit_s)
        except E2CError as error:
            failures.append(error)
    else:
        _last(experiment, run, pace)
    return conclude(
        experiment,
        run,
        limit_s=pace.limit_s,
        extra_vars=extra_vars,
        environment=environment,
        failures=failures,
        left=left,
    )


def _begun(experiment: Experiment, run: Run, choice: Choice) -> RunRecord:
    """Begin a run, or go on with it where only a part is launched. What an attempt that was cut off left is ended."""
    if choice == WHOLE:
        leftovers.end(experiment, "launch", run)
    return begin(experiment, run, again=choice == WHOLE)


def _others_go_on(experiment: Experiment, outcome: Sequence[TaskResult]) -> bool:
    """After a launch that failed: whether there are hosts on which it did not."""
    failed = {result.host for result in outcome if result.failed}
    others = {result.host for result in outcome} - failed
    if others:
        text = f"it failed on {', '.join(sorted(failed))}; the run goes on with the others"
        experiment.observe(Event("warning", "launch", text))
    return bool(others)


def launch(
    experiment: Experiment,
    run: Run,
    *,
    extra_vars: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    outcome: list[TaskResult] | None = None,
    choice: Choice = WHOLE,
    begun: bool = False,
) -> RunRecord:
    """Begin a run and launch it; its background tasks may go on. A part of a launch goes on with a run that was begun.

    Args:
        begun: it was begun already.

    Raises:
        RemoteError: a task failed.
    """
    if not begun:
        _begun(experiment, run, choice)
    given: dict[str, Any] = {"extra_vars": extra_vars, "environment": environment, "outcome": outcome}
    try:
        run_stage(experiment, "launch", run, choice=choice, **given)
    except E2CError as error:
        note(experiment, run, "begun", str(error))
        raise
    return note(experiment, run, "launched")


def launch_alone(
    experiment: Experiment, run: Run, *, limit_s: float | None = None, choice: Choice = WHOLE
) -> RunRecord:
    """Begin a run and launch it, and leave it to another command to end it. Where links have a schedule, that is played
    until the background tasks have ended. A part of a launch goes on with a run that was begun.

    Raises:
        RemoteError: a task failed.
        EmulationError: a change of the schedule failed.
    """
    record = _begun(experiment, run, choice)
    with timetable.playing(experiment, record.identity):
        record = launch(experiment, run, choice=choice, begun=True)
        if experiment.plan.changes:
            wait_for_background(experiment, run.identity, limit_s)
    return record


def conclude(
    experiment: Experiment,
    run: Run,
    *,
    limit_s: float | None = None,
    extra_vars: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    failures: Iterable[E2CError] = (),
    left: Sequence[str] = RUN_PHASES,
) -> RunRecord:
    """End a run: wait for its background tasks, run the stage ``finalize``, save its results.

    Each of these is done whatever became of the one before.

    Args:
        failures: what failed in the run until now.

    Raises:
        E2CError: the first failure; the others are told.
    """
    found = list(failures)
    lasting = "" if found else unlaunched(experiment, run)
    begin(experiment, run, again=False)

    def attempt(what: Callable[[], object]) -> None:
        try:
            what()
        except E2CError as error:
            found.append(error)

    timetable.heal(experiment, needed=False)
    attempt(lambda: wait_for_background(experiment, run.identity, limit_s))
    if "finalize" in left:
        attempt(
            lambda: run_stage(experiment, "finalize", run, extra_vars=extra_vars, environment=environment),
        )
    attempt(lambda: back_up(experiment, experiment.state.latest(run)))
    attempt(lambda: background.require_ended(background_of(experiment, run.identity)))
    reason = lasting or (str(found[0]) if found else "")
    record = note(experiment, run, "failed" if reason else "done", reason)
    describe(experiment)
    if not found:
        return record
    for error in found[1:]:
        experiment.observe(Event("warning", "finalize", str(error), failed=True))
    raise found[0]


def salvage(experiment: Experiment, *, fetch: bool) -> None:
    """Save what an experiment that was interrupted has brought, its run at work included; nothing is waited for.

    Args:
        fetch: run the stage ``finalize`` of that run, unless that is what was interrupted.

    Raises:
        E2CError: something could not be saved; everything else was.
    """
    failures: list[E2CError] = []
    last = experiment.state.runs[-1] if experiment.state.runs else None
    record = last if last is not None and last.outcome in ("begun", "launched") else None
    if record is not None and fetch and experiment.state.begun in (None, "launch"):
        experiment.progress("finalize")("fetches what there is; Ctrl-C once more skips that")
        try:
            run_stage(experiment, "finalize", record.run)
        except E2CError as error:
            failures.append(error)
    try:
        back_up(experiment, record, wait=False)
    except E2CError as error:
        failures.append(error)
    if record is not None:
        note(experiment, record.run, "failed", "interrupted")
    describe(experiment)
    for failure in failures[:1]:
        raise failure


def run_stage(
    experiment: Experiment,
    stage: Stage,
    run: Run,
    *,
    extra_vars: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    outcome: list[TaskResult] | None = None,
    choice: Choice = WHOLE,
) -> list[TaskResult]:
    """Run one stage of the workflow on the hosts.

    Args:
        outcome: receives what every task did on every host, also when the stage fails.
        choice: a part of the stage.

    Raises:
        RemoteError: a task failed; all results are in ``workflow-validate.out``.
    """
    results: list[TaskResult] = [] if outcome is None else outcome
    folder(experiment, run).mkdir(parents=True, exist_ok=True)
    if stage == "prepare" and choice == WHOLE:
        leftovers.end(experiment, stage, run)
    with experiment.phase(stage, run):
        if run.name:
            experiment.progress(stage)(f"run {run.name}")
        if stage == "prepare":
            experiment.update(background=without_ended(experiment, run, prepared=True))
        try:
            work.run_stage(
                experiment.plan.plays,
                stage,
                experiment.state.hosts,
                folder=folder(experiment, run),
                extra_vars={**variables(experiment, stage, run), **(extra_vars or {})},
                variables=_host_variables(experiment, stage, run, environment or {}),
                observe=experiment.observe,
                outcome=results,
                choice=choice,
                begun=lambda results: _keep(experiment, stage, run, results),
            )
        finally:
            _keep(experiment, stage, run, results)
        work.require(results, stage)
    return results


def _keep(experiment: Experiment, stage: Stage, run: Run, results: Sequence[TaskResult]) -> None:
    """Remember the background tasks among what a stage did, as far as they are not known. Those that were handed over
    to a machine that is no host of the experiment, this one for instance, are left to whoever did that."""
    known = {task.job for task in experiment.state.background}
    more = []
    for task in background.started(results, stage):
        if task.job not in known and task.host in experiment.hosts:
            known.add(task.job)
            more.append(task.model_copy(update={"run": run.identity}))
    if more:
        experiment.update(background=(*experiment.state.background, *more))


def variables(experiment: Experiment, stage: Stage, run: Run) -> dict[str, Any]:
    """Variables that all plays of a run know; those of its application configuration as ``env_`` and their name."""
    artifacts = experiment.state.artifacts or experiment.state.scenario
    configuration = experiment.plan.configurations.get(run.app_conf, {})
    return {
        "working_dir": str(folder(experiment, run)) if stage == "finalize" else artifacts,
        "scenario_dir": experiment.state.scenario,
        "artifacts_dir": artifacts,
        "current_repeat": run.repeat,
        "app_conf": run.app_conf,
        **{f"env_{name}": value for name, value in configuration.items()},
    }


def _host_variables(
    experiment: Experiment, stage: Stage, run: Run, environment: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    given = work.play_variables(experiment.plan.plays, experiment.state.hosts, serving.extras(experiment.state))
    plan = experiment.plan.provenance
    captured = provenance.environment(plan, experiment.hosts) if plan is not None else {}
    record = experiment.state.latest(run)
    identity = record.identity if record and stage != "prepare" else run.identity
    own = {"PROVLIGHT_RUN": identity, "E2C_RUN": identity, "E2C_APP_CONF": run.app_conf, "E2C_REPEAT": str(run.repeat)}
    for key in experiment.hosts:
        given.setdefault(key, {})[work.ENVIRONMENT_VARIABLE] = {**captured.get(key, {}), **own, **environment}
    return given


def _last(experiment: Experiment, run: Run, pace: Pace) -> None:
    """Let a run last as long as asked, counted from the end of its launch, then pause."""
    place, record = experiment.ended("launch", run), experiment.state.latest(run)
    at = experiment.state.phases[place].at if place is not None else ""
    ended = epoch(at) if at and record is not None and at >= record.began else time.time()
    lasting.last(experiment.state.hosts, experiment.observe, ended + pace.duration_s, pace.duration_s, pace.pause)


def wait_for_background(experiment: Experiment, identity: str, limit_s: float | None) -> None:
    """Wait until the background tasks of a run have ended; whether they ended well is looked at afterwards."""
    mine = background_of(experiment, identity)
    if all(task.ended for task in mine):
        return
    others = tuple(task for task in experiment.state.background if task.run != identity)
    tasks = background.wait(
        mine,
        experiment.hosts,
        folder=experiment.folder / (identity if identity != UNNAMED else ""),
        limit_s=limit_s,
        lost_s=read_settings(os.environ)[0].lost_timeout,
        observe=experiment.observe,
        save=lambda tasks: experiment.update(background=(*others, *tasks)),
    )
    experiment.update(background=(*others, *tasks))


def background_of(experiment: Experiment, identity: str) -> tuple[BackgroundTask, ...]:
    """The background tasks of a run."""
    return tuple(task for task in experiment.state.background if task.run == identity)
