"""Ending what a workflow has left running on hosts, when its command is interrupted."""

from __future__ import annotations

from e2c.experiment import background
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.state import BackgroundTask
from e2c.model.plan import STAGES
from e2c.model.run import UNNAMED


def running(experiment: Experiment) -> bool:
    """The workflow may have left something running on hosts: a stage was cut off, or background tasks go on."""
    return bool(_open(experiment)) or experiment.state.begun in STAGES


def stop(experiment: Experiment) -> None:
    """End background tasks, and what the stage that was cut off has started; their outputs are collected.

    Does not raise for what happens on hosts: that is told.
    """
    tasks = _open(experiment)
    stages = {task.stage for task in tasks} | ({experiment.state.begun} & set(STAGES))
    folders = {experiment.folder}
    for record in experiment.state.runs:
        place = experiment.folder / record.folder
        folders |= {place, *(one for one in place.parents if one.is_relative_to(experiment.folder))}
    marks = sorted(background.mark(folder, stage) for folder in folders for stage in stages if stage)
    whole = experiment.state.begun in STAGES
    hosts = {key: host for key, host in experiment.hosts.items() if whole or key in {task.host for task in tasks}}
    runs = sorted({task.run for task in tasks}) or [UNNAMED]
    for number, run in enumerate(runs):
        others = tuple(task for task in experiment.state.background if task.run != run)
        mine = [task for task in experiment.state.background if task.run == run]
        background.stop(
            mine,
            hosts if number == 0 else {key: experiment.hosts[key] for key in {task.host for task in mine}},
            marks=marks if number == 0 else (),
            folder=experiment.folder / (run if run != UNNAMED else ""),
            observe=experiment.observe,
            save=lambda tasks, others=others: experiment.update(background=(*others, *tasks)),  # type: ignore[misc]
        )


def leave(experiment: Experiment) -> None:
    """Tell what goes on, and how to come back to it."""
    names = ", ".join(sorted({f"{task.host} ({task.task})" for task in _open(experiment)}))
    text = f"goes on: {names or 'what was begun'}; wait for it and save with: e2clab finalize {experiment.scenario}"
    experiment.observe(Event("warning", "launch", text))


def _open(experiment: Experiment) -> list[BackgroundTask]:
    return [task for task in experiment.state.background if not task.ended and task.host in experiment.hosts]
