"""What a stage of the workflow that was cut off has left running on hosts, also where nobody was told of it."""

from __future__ import annotations

from collections.abc import Mapping

from e2c.experiment import background
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.run_records import folder
from e2c.experiment.state import BackgroundTask
from e2c.model.host import Host
from e2c.model.plan import STAGES, Stage
from e2c.model.run import Run, preparation

ANEW = "stopped, because its stage begins anew"


def unheard(
    experiment: Experiment, among: Mapping[str, Host] | None = None
) -> tuple[tuple[BackgroundTask, ...], dict[str, str]]:
    """After a stage that was cut off: its background tasks that run, and that the state does not know. It knows those
    that the command was told of, which may have been killed before it was told of the last ones.

    Args:
        among: the hosts that are asked; ``None``: all.

    Returns:
        The tasks; and why hosts did not answer.
    """
    stage = next((stage for stage in STAGES if stage == experiment.state.begun), None)
    if stage is None:
        return (), {}
    runs = [record.run for record in experiment.state.runs] or [Run()]
    if stage == "prepare":
        runs += [preparation(run) for run in runs]
        runs.append(Run())
    marks = {background.mark(folder(experiment, run), stage): (stage, run.identity) for run in runs}
    return background.unheard(experiment.hosts if among is None else among, marks, experiment.state.background)


def take_stock(experiment: Experiment, among: Mapping[str, Host] | None = None) -> frozenset[str]:
    """After a stage that was cut off: write down its background tasks that run, and that are not known yet.

    Args:
        among: the hosts that are asked; ``None``: all.

    Returns:
        The hosts that did not answer, which is told.
    """
    more, silent = unheard(experiment, among)
    for host, why in silent.items():
        text = f"{host}: whether something runs there is not known: {why}"
        experiment.observe(Event("warning", "launch", text, failed=True))
    if more:
        experiment.update(background=(*experiment.state.background, *more))
        hosts = ", ".join(sorted({task.host for task in more}))
        experiment.observe(Event("warning", "launch", f"background tasks run that nobody had heard of: {hosts}"))
    return frozenset(silent)


def end(experiment: Experiment, stage: Stage, run: Run) -> None:
    """Before a stage begins anew that did not end well: end what it has left running, and collect its output."""
    if experiment.state.begun != stage:
        return
    silent = take_stock(experiment)
    place = folder(experiment, run)
    others: list[BackgroundTask] = []
    mine: list[BackgroundTask] = []
    for task in experiment.state.background:
        (mine if (task.run, task.stage) == (run.identity, stage) else others).append(task)
    background.stop(
        mine,
        {key: host for key, host in experiment.hosts.items() if key not in silent},
        marks=[background.mark(place, stage)],
        folder=place,
        observe=experiment.observe,
        save=lambda tasks: experiment.update(background=(*others, *tasks)),
        why=ANEW,
    )
