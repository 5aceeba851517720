"""Ending what a workflow has left running on hosts, when its command is interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from e2c.experiment import background, leftovers, serving
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.state import BackgroundTask
from e2c.model.host import Host
from e2c.model.plan import STAGES
from e2c.model.run import UNNAMED


def running(experiment: Experiment) -> bool:
    """The workflow may have left something running on hosts: a stage was cut off, or background tasks go on.

    Those of ``prepare`` are meant to go on.
    """
    return any(task.stage != "prepare" for task in _open(experiment)) or experiment.state.begun in STAGES


def stop(experiment: Experiment) -> None:
    """End background tasks, and what the stage that was cut off has started; their outputs are collected.

    Does not raise for what happens on hosts: that is told.
    """
    _stop(experiment, experiment.hosts)


def stop_on_lent(experiment: Experiment) -> None:
    """The same, with what ``prepare`` has started, on machines that go on after their release as they are."""
    if running(experiment) or _open(experiment):
        lent = {host.provider for host in experiment.state.hosts if not serving.wiped(host.provider)}
        _stop(experiment, {key: host for key, host in experiment.hosts.items() if host.provider in lent}, STAGES)


def _stop(experiment: Experiment, among: Mapping[str, Host], which: Sequence[str] = ("launch", "finalize")) -> None:
    if not among:
        return
    silent = leftovers.take_stock(experiment, among)
    among = {key: host for key, host in among.items() if key not in silent}
    tasks = [task for task in _open(experiment) if task.stage in (*which, experiment.state.begun)]
    stages = {task.stage for task in tasks} | ({experiment.state.begun} & set(STAGES))
    folders = {experiment.folder}
    for record in experiment.state.runs:
        place = experiment.folder / record.folder
        folders |= {place, *(one for one in place.parents if one.is_relative_to(experiment.folder))}
    marks = sorted(background.mark(folder, stage) for folder in folders for stage in stages if stage)
    whole = experiment.state.begun in STAGES
    hosts = {key: host for key, host in among.items() if whole or key in {task.host for task in tasks}}
    if not hosts:
        return
    runs = sorted({task.run for task in tasks}) or [UNNAMED]
    for number, run in enumerate(runs):
        jobs = {task.job for task in tasks if task.run == run}
        others = tuple(task for task in experiment.state.background if task.job not in jobs)
        mine = [task for task in experiment.state.background if task.job in jobs]
        background.stop(
            mine,
            hosts if number == 0 else {key: among[key] for key in {task.host for task in mine} & set(among)},
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
    if names and experiment.state.begun in STAGES:
        rest = f"other tasks that {experiment.state.begun} was at go on too, and nobody waits for them"
        experiment.observe(Event("warning", "launch", rest))


def _open(experiment: Experiment) -> list[BackgroundTask]:
    return [task for task in experiment.state.background if not task.ended and task.host in experiment.hosts]
