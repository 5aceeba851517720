"""Which row of ``task`` each record of a batch belongs to."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import gt

from e2c.provenance.dataflows.catalogue import Flow
from e2c.provenance.storing.awaited import Awaited, named_tasks
from e2c.provenance.storing.tasks import FAILED, FINISHED, RUNNING, Key, TaskIndex, TaskRows, error_of
from provlight.wire import MAX_RECORDS, PARENT, TASK_BEGIN, TASK_END, TASK_FAILED, TASK_USED, WORKFLOW_FAILED, Group

STATUS = {TASK_BEGIN: RUNNING, TASK_END: FINISHED, TASK_FAILED: FAILED, WORKFLOW_FAILED: FAILED}
"""What a record makes of its task or workflow."""


@dataclass
class TaskGroup:
    """Records of one shape, and the identities of their tasks."""

    group: Group
    flow: Flow
    step: int
    keys: list[Key]
    taken_over: list[int] = field(default_factory=list)  # sets that come from the dependencies
    ids: array[int] = field(default_factory=lambda: array("i"))


def number_tasks(
    tasks: TaskRows,
    index: TaskIndex,
    awaited: Awaited,
    client: int,
    host: str | None,
    prepared: Sequence[TaskGroup],
) -> None:
    """Give every record its task's row, and every named task its own, in the order of capture."""
    if _number_plain(tasks, index, awaited, client, host, prepared):
        return
    order: list[tuple[int, int, int]] = []
    for which, ready in enumerate(prepared):
        ready.ids = array("i", bytes(4 * ready.group.records))
        order += [(position, which, place) for place, position in enumerate(ready.group.positions)]
    if len(prepared) > 1:
        order.sort()
    if not index.complete:
        _look_up(tasks, client, order, prepared)
    named = [named_tasks(ready.group, ready.flow) for ready in prepared]
    for _, which, place in order:
        ready = prepared[which]
        group, key, version = ready.group, ready.keys[place], ready.flow.version
        if group.shape.kind == TASK_BEGIN:
            dependencies, parents = named[which]
            found = [(one, tasks.recent(client, key[2], one)) for one in dependencies[place]]
            number = tasks.begin(key, version, host, group.times_us[place], parents[place])
            for one, row in found:
                awaited.depends(number, one, row, ready.step, ready.taken_over)
        elif group.shape.kind == TASK_USED:
            number = tasks.use(key, version, host)
        else:
            status, error = STATUS[group.shape.kind], error_of(group, place)
            number = tasks.end(key, version, host, status, group.times_us[place], error)
        ready.ids[place] = number


def _number_plain(
    tasks: TaskRows,
    index: TaskIndex,
    awaited: Awaited,
    client: int,
    host: str | None,
    prepared: Sequence[TaskGroup],
) -> bool:
    """The same without the order where it makes no difference: tasks end once, after they began, and name earlier ones.

    Returns whether it is so.
    """
    begins = [ready for ready in prepared if ready.group.shape.kind == TASK_BEGIN]
    ends = [ready for ready in prepared if ready.group.shape.kind in (TASK_END, TASK_FAILED)]
    if len(begins) > 1 or len(begins) + len(ends) != len(prepared):
        return False
    begun = dict(zip(begins[0].keys, begins[0].group.positions, strict=True)) if begins else {}
    ended = [key for ready in ends for key in ready.keys]
    # What began before this batch may have to be looked up, which is for the ordered way.
    unknown = -1 if index.complete else MAX_RECORDS
    places = chain.from_iterable(ready.group.positions for ready in ends)
    if len(set(ended)) < len(ended) or any(map(gt, map(begun.get, ended, repeat(unknown)), places)):
        return False
    named = _named(tasks, client, begins[0]) if begins else []
    if named is None or (named and not all(key in begun or tasks.knows(key) for key in ended)):
        return False
    for ready in begins:
        numbers = tasks.begin_all(ready.keys, ready.flow.version, host, ready.group.times_us)
        for place, identity, other, row in named:
            found = row if other is None else numbers[other]
            awaited.depends(numbers[place], identity, found, ready.step, ready.taken_over)
        ready.ids = array("i", numbers)
    for ready in ends:
        status = STATUS[ready.group.shape.kind]
        ready.ids = array("i", tasks.end_all(ready.keys, ready.flow.version, host, status, ready.group))
    return True


def _named(tasks: TaskRows, client: int, ready: TaskGroup) -> list[tuple[int, str, int | None, int | None]] | None:
    """Dependencies: place of the record, identity, and place in this group or row of the task it names.

    None when the order matters: a task names one that began later, or its parent.
    """
    group = ready.group
    if PARENT in group.extras:
        return None
    if group.dependency_counts is None:
        return []
    places = {key[3]: place for place, key in enumerate(ready.keys)}
    found: list[tuple[int, str, int | None, int | None]] = []
    for place, identities in enumerate(named_tasks(group, ready.flow)[0]):
        for one in identities:
            other = places.get(one)
            if other is None:
                found.append((place, one, None, tasks.recent(client, group.shape.workflow, one)))
            elif group.positions[other] < group.positions[place]:
                found.append((place, one, other, None))
            else:
                return None
    return found


def _look_up(
    tasks: TaskRows, client: int, order: Sequence[tuple[int, int, int]], prepared: Sequence[TaskGroup]
) -> None:
    """Find the rows of tasks that began before this batch."""
    begun: set[Key] = set()
    earlier = []
    for _, which, place in order:
        key = prepared[which].keys[place]
        if prepared[which].group.shape.kind == TASK_BEGIN:
            begun.add(key)
        elif key not in begun:
            earlier.append(key)
    tasks.look_up(client, earlier)
