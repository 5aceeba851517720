"""A part of a stage: some of its hosts only, or what comes from a task on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2c.config.problems import listed, suggestion
from e2c.errors import ScenarioError
from e2c.model.plan import PlannedPlay, Stage

Task = Mapping[str, Any]
SECTIONS = ("block", "rescue", "always")


@dataclass(frozen=True)
class Choice:
    """What of a stage is run.

    Attributes:
        hosts: service keys; ``None``: all. What ``depends_on`` gives to a host does not change by that.
        start_at: name of the task that is the first to run; ``None``: from the beginning.
    """

    hosts: frozenset[str] | None = None
    start_at: str | None = None


WHOLE = Choice()
"""All of a stage."""


def choose(plays: Sequence[PlannedPlay], stage: Stage, choice: Choice) -> list[tuple[PlannedPlay, tuple[Task, ...]]]:
    """The plays of a stage that are to be run, in their order, each with its tasks that are.

    Raises:
        ScenarioError: no play of the stage has one of the hosts, or no task has that name.
    """
    found: list[tuple[PlannedPlay, tuple[Task, ...]]] = [
        (play, play.stages[stage]) for play in plays if play.stages.get(stage)
    ]
    if choice != WHOLE and not found:
        raise ScenarioError(f"workflow.yaml has no tasks of {stage}", hint=f"Write some: a play with `{stage}:`")
    if choice.hosts is not None:
        found = [(play, tasks) for play, tasks in found if choice.hosts.intersection(play.hosts)]
        if not found:
            raise ScenarioError(
                f"no play of {stage} is for {listed(sorted(choice.hosts))}", hint="Choose hosts that a play names"
            )
    if choice.start_at is None:
        return found
    for place, (play, tasks) in enumerate(found):
        rest = _from(tasks, choice.start_at)
        if rest is not None:
            return [(play, rest), *found[place + 1 :]]
    names = list(dict.fromkeys(name for _, tasks in found for name in _names(tasks)))
    raise ScenarioError(
        f"no task of {stage} is called {choice.start_at!r}",
        hint=suggestion(choice.start_at, names, f"Its tasks are called: {', '.join(names)}" if names else "")
        or f"Give the tasks of {stage} names (`- name: ...`)",
    )


def _from(tasks: Sequence[Task], name: str) -> tuple[Task, ...] | None:
    """The tasks from the one of that name on; within a block, the rest of that block and what follows it."""
    for place, task in enumerate(tasks):
        if task.get("name") == name:
            return tuple(tasks[place:])
        for number, section in enumerate(SECTIONS):
            rest = _from(task.get(section) or (), name)
            if rest is not None:
                # what is left of a section is a block of its own; a rescue that has begun rescues nothing any more
                kept = {key: value for key, value in task.items() if key not in SECTIONS}
                later = SECTIONS[number + 1 :] if section == "block" else SECTIONS[max(2, number + 1) :]
                follow = {key: task[key] for key in later if key in task}
                return ({**kept, "block": list(rest), **follow}, *tasks[place + 1 :])
    return None


def _names(tasks: Sequence[Task]) -> Iterator[str]:
    for task in tasks:
        if task.get("name"):
            yield str(task["name"])
        for section in SECTIONS:
            yield from _names(task.get(section) or ())
