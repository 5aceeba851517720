"""What is left to do of the runs of a workflow, and doing it, repetition after repetition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from e2c.errors import E2CError, RemoteError
from e2c.experiment import background, timetable
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.outcome import fitted
from e2c.experiment.runs import (
    RUN_PHASES,
    Pace,
    background_of,
    execute,
    run_stage,
    wait_for_background,
)
from e2c.experiment.state import epoch
from e2c.model.run import Run, preparation

PREPARATION = ("prepare",)
COLUMNS = ("run", "outcome", "seconds", "because")
WIDTH = 79
"""Characters of a line that every terminal and log shows."""


@dataclass(frozen=True)
class Item:
    """What is left to do of a run.

    Attributes:
        run: the run, or the preparation that comes before the runs of a repetition.
        left: phases, in their order.
    """

    run: Run
    left: tuple[str, ...]


def draw_up(experiment: Experiment, planned: Sequence[Run], *, anew: bool = False) -> tuple[Item, ...]:
    """What is left to do of runs: of each everything from its first phase on that was not done, or was done with
    something else than what lies there now. What ``prepare`` has to do again makes the runs after it start again.

    Args:
        anew: nothing that was done counts.
    """
    items = []
    for _, group in groupby(planned, key=lambda run: run.repeat):
        of_one = list(group)
        ready = preparation(of_one[0])
        prepare = anew or not experiment.fulfilled("prepare", ready)
        if prepare:
            items.append(Item(ready, PREPARATION))
        for run in of_one:
            left = RUN_PHASES if prepare else _left(experiment, run, experiment.ended("prepare", ready))
            if left:
                items.append(Item(run, left))
    return tuple(items)


def _left(experiment: Experiment, run: Run, before: int | None) -> tuple[str, ...]:
    for place, phase in enumerate(RUN_PHASES):
        ended = experiment.ended(phase, run)
        if not experiment.fulfilled(phase, run) or ended is None or (before is not None and ended < before):
            return RUN_PHASES[place:]
        before = ended
    record = experiment.state.latest(run)
    if record is None or record.outcome == "failed":
        return RUN_PHASES
    return () if record.outcome == "done" else RUN_PHASES[-1:]


def play(experiment: Experiment, chosen: Sequence[Run], items: Sequence[Item], pace: Pace) -> None:
    """Do what is on the agenda of runs, one after the other, and tell at the end what became of all of them.

    Raises:
        E2CError: something failed; results were saved. With ``keep_going`` the runs after it were done first.
    """
    failed: list[str] = []
    open_ends = {item.run.identity for item in items}
    done = [run.identity for run in chosen if run.identity not in open_ends]
    if done and items:
        experiment.progress("runs")(f"done already: {', '.join(done)}")
    timetable.heal(experiment, needed=False)
    at_work: Run | None = None
    try:
        for _, group in groupby(items, key=lambda item: item.run.repeat):
            of_one = list(group)
            for item in of_one:
                _warn_of_cut(experiment, item)
                at_work = item.run
                if item.left == PREPARATION:
                    run_stage(experiment, "prepare", item.run)
                    continue
                try:
                    execute(experiment, item.run, pace, left=item.left)
                except E2CError as error:
                    if not pace.keep_going or len(chosen) < 2:
                        raise
                    failed.append(f"{item.run.identity}: {str(error).rstrip('.')}")
            ready = preparation(of_one[0].run).identity
            wait_for_background(experiment, ready, pace.limit_s)
            background.require_ended(background_of(experiment, ready))
            at_work = None
    finally:
        _tell(experiment, chosen, at_work)
    if failed:
        raise RemoteError(f"{len(failed)} of {len(chosen)} runs failed", why="\n" + "\n".join(failed))


def _warn_of_cut(experiment: Experiment, item: Item) -> None:
    phase, known = item.left[0], experiment.state.latest(item.run)
    if experiment.cut_off != phase or phase not in ("prepare", "launch"):
        return
    if phase == "prepare" or (known is not None and known.outcome in ("begun", "failed")):
        name = f" of {item.run.name}" if item.run.name else ""
        text = f"{phase}{name} did not end well; it runs again from its beginning"
        experiment.observe(Event("warning", phase, text))
        experiment.cut_off = None


def _tell(experiment: Experiment, chosen: Sequence[Run], at_work: Run | None) -> None:
    """A table of the runs, if they are several.

    Args:
        at_work: what was being done when that was ended early.
    """
    if len(chosen) < 2:
        return
    rows: list[tuple[str, ...]] = [COLUMNS]
    for run in chosen:
        record = experiment.state.latest(run)
        if record is None:
            rows.append((run.identity, "not begun", "", ""))
            continue
        if run == at_work and record.outcome in ("begun", "launched"):
            rows.append((record.identity, "interrupted", "", ""))
            continue
        seconds = f"{epoch(record.ended) - epoch(record.began):.1f}" if record.ended else ""
        reason = record.reason.splitlines()[0].rstrip(" :") if record.reason else ""
        rows.append((record.identity, record.outcome, seconds, reason))
    bad = any(row[1] != "done" for row in rows[1:])
    rows = fitted(rows, WIDTH)
    experiment.observe(Event("table", "runs", f"runs, in {experiment.folder}", failed=bad, rows=tuple(rows)))
