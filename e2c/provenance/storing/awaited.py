"""What the tasks of one transaction depend on, and what is to be found out about it later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from e2c.provenance.columns import INTEGER_NULL, Rows, checksums, integers, texts
from e2c.provenance.dataflows.set_tables import Flow
from e2c.provenance.names import qualified
from e2c.provenance.storing.checks import clean
from provlight.wire import PARENT, PARENT_TRANSFORMATION, TASK_BEGIN, Group


class Awaited:
    """New rows of ``task_dependency``, ``awaited_task`` and ``awaited_set``.

    Args:
        take: reserves so many ids of a table and gives the first.
    """

    def __init__(self, take: Callable[[str, int], int]) -> None:
        self._take = take
        self._dependencies: list[tuple[int, str, int, int, Sequence[int]]] = []
        self._parents: list[tuple[int, str, int]] = []
        self._given: list[tuple[int, int, int]] = []
        self.unresolved = 0  # tasks that are named and not known
        self.waiting = 0  # rows of awaited_set, once the tables are made

    def depends(self, task: int, key: str, found: int | None, step: int, sets: Sequence[int]) -> None:
        """A task names another one.

        Args:
            found: the row of the other one; None when it is not known.
            step: transformation of the task.
            sets: what the task takes over from the other one, as far as that one generates it.
        """
        self._dependencies.append((task, key, INTEGER_NULL if found is None else found, step, sets))
        self.unresolved += found is None

    def is_part(self, task: int, key: str, step: int) -> None:
        """A task is part of one that is not known; ``step`` is that one's transformation or ``INTEGER_NULL``."""
        self._parents.append((task, key, step))
        self.unresolved += 1

    def gives(self, tasks: Iterable[int], step: int, sets: Iterable[int]) -> None:
        """Running tasks give values of sets themselves that they would have taken over."""
        self._given += [(task, step, number) for number in sets for task in tasks]

    def tables(self) -> list[Rows]:
        """The rows. Those of ``task_dependency`` ascend by id and by task, so that both are found fast."""
        dependencies = sorted(self._dependencies, key=lambda one: one[0])
        first = self._take("task_dependency", len(dependencies)) if dependencies else 0
        named = Rows(qualified("task_dependency"))
        wanted = [(task, key, INTEGER_NULL, step) for task, key, step in self._parents]
        sets = [(task, step, number, INTEGER_NULL, INTEGER_NULL) for task, step, number in self._given]
        for number, (task, key, found, step, taken) in enumerate(dependencies, first):
            if found == INTEGER_NULL:
                wanted.append((task, key, number, INTEGER_NULL))
            later = number if found == INTEGER_NULL else INTEGER_NULL
            sets += [(task, step, one, found, later) for one in taken]
        if dependencies:
            tasks, keys, rows, _, _ = zip(*dependencies, strict=True)
            named.append(
                len(tasks),
                {
                    "id": ("INTEGER", integers(range(first, first + len(tasks)))),
                    "task_id": ("INTEGER", integers(tasks)),
                    "dependency_key": ("TEXT", texts(keys)),
                    "dependency_id": ("INTEGER", integers(rows)),
                },
            )
        return [named, self._wanted(wanted), self._sets(sets)]

    def _wanted(self, items: Sequence[tuple[int, str, int, int]]) -> Rows:
        rows = Rows(qualified("awaited_task"))
        if items:
            tasks, keys, names, steps = zip(*items, strict=True)
            first = self._take("awaited_task", len(items))
            rows.append(
                len(items),
                {
                    "id": ("INTEGER", integers(range(first, first + len(items)))),
                    "task_id": ("INTEGER", integers(tasks)),
                    "key": ("TEXT", texts(keys)),
                    "key_sum": ("INTEGER", checksums(keys)),
                    "named_by": ("INTEGER", integers(names)),
                    "parent_dt_id": ("INTEGER", integers(steps)),
                },
            )
        return rows

    def _sets(self, items: Sequence[tuple[int, int, int, int, int]]) -> Rows:
        rows = Rows(qualified("awaited_set"))
        self.waiting = len(items)
        if items:
            first = self._take("awaited_set", len(items))
            columns = [range(first, first + len(items)), *zip(*items, strict=True)]
            names = ("id", "task_id", "dt_id", "ds_id", "producer_id", "named_by")
            rows.append(
                len(items),
                {name: ("INTEGER", integers(column)) for name, column in zip(names, columns, strict=True)},
            )
        return rows


def named_tasks(group: Group, flow: Flow) -> tuple[list[list[str]], list[tuple[int | None, str] | None]]:
    """For each record the identities of its dependencies, and transformation and identity of its parent."""
    if group.shape.kind != TASK_BEGIN:
        return [], []
    none: list[str] = []
    dependencies = [none] * group.records
    if group.dependency_counts is not None:
        dependencies = [list(dict.fromkeys(clean(str(one)) for one in found)) for found in group.dependencies()]
    parents: list[tuple[int | None, str] | None] = [None] * group.records
    if PARENT in group.extras:
        steps = group.extras.get(PARENT_TRANSFORMATION, [None] * group.records)
        for place, (parent, step) in enumerate(zip(group.extras[PARENT], steps, strict=True)):
            if parent is not None:
                known = flow.transformations.get(str(step).lower())
                parents[place] = known[0] if known else None, clean(str(parent))
    return dependencies, parents


def taken_over(flow: Flow, transformation: str) -> list[int]:
    """The sets that tasks of a transformation can take over from those that generated them."""
    tag = transformation.lower()
    return [table.id for table in flow.sets.values() if tag in table.consumers and tag not in table.producers]
