"""What is remembered of runs: that they began, what became of them, where their results lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from e2c.experiment.experiment import Experiment
from e2c.experiment.state import BackgroundTask, now
from e2c.model.run import Outcome, Run, RunRecord


def begin(experiment: Experiment, run: Run, *, again: bool = True) -> RunRecord:
    """Remember that a run begins, and make its folder.

    Args:
        again: also when it was begun before; its records in the database are kept apart from those of that time.
    """
    known = [record for record in experiment.state.runs if record.run.identity == run.identity]
    if known and not again:
        return known[-1]
    folder(experiment, run).mkdir(parents=True, exist_ok=True)
    name = run.identity if not known else f"{run.identity}~{len(known) + 1}"
    record = RunRecord(run=run, identity=name, began=now(), folder=run.name)
    kept = without_ended(experiment, run, prepared=False)
    experiment.update(runs=(*experiment.state.runs, record), background=kept)
    return record


def without_ended(experiment: Experiment, run: Run, *, prepared: bool) -> tuple[BackgroundTask, ...]:
    """Background tasks without those that an earlier attempt at a run, or at its preparation, had and that ended: how
    they ended says nothing of this one."""

    def outdated(task: BackgroundTask) -> bool:
        return task.run == run.identity and task.ended and (task.stage == "prepare") == prepared

    return tuple(task for task in experiment.state.background if not outdated(task))


def note(experiment: Experiment, run: Run, outcome: Outcome, reason: str = "") -> RunRecord:
    """Remember what became of a run that was begun."""
    known = experiment.state.latest(run) or begin(experiment, run)
    ended = now() if outcome in ("done", "failed") else ""
    record = known.model_copy(update={"outcome": outcome, "ended": ended, "reason": reason})
    experiment.update(runs=tuple(record if one is known else one for one in experiment.state.runs))
    return record


def unlaunched(experiment: Experiment, run: Run) -> str:
    """Why a run that was begun has failed whatever comes: its launch did not end well. Empty where it did."""
    record = experiment.state.latest(run)
    if record is None or record.outcome not in ("begun", "failed") or _since(experiment, record, "launch"):
        return ""
    return record.reason or "its launch was cut off"


def _saved(experiment: Experiment, record: RunRecord) -> bool:
    """Whether it has failed, and all that it brought was saved."""
    return record.outcome == "failed" and all(_since(experiment, record, phase) for phase in ("finalize", "backup"))


def _since(experiment: Experiment, record: RunRecord, phase: str) -> bool:
    """Whether a phase of a run has ended well since it was begun."""
    place = experiment.ended(phase, record.run)
    return place is not None and experiment.state.phases[place].at >= record.began


def pending(experiment: Experiment, app_conf: Sequence[str] = ()) -> tuple[Run, ...]:
    """Runs that were begun and are not finalized and saved, in their order; where there are none, the last one.

    Args:
        app_conf: only those with one of these configurations, and for each at least one, begun or not.
    """
    latest = {record.run.identity: record for record in experiment.state.runs}
    found: list[Run] = []
    for name in app_conf or (None,):
        known = [record for record in latest.values() if name is None or record.run.app_conf == name]
        open_ends = [record.run for record in known if record.outcome != "done" and not _saved(experiment, record)]
        found += open_ends or [record.run for record in known[-1:]] or [Run(app_conf=name or "")]
    return tuple(found)


def folder(experiment: Experiment, run: Run) -> Path:
    """The output folder of a run."""
    return experiment.folder / run.name
