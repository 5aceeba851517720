"""What is found out after the rows are stored: tasks that were named before they were known, and chained sets.

What is left to do lies in tables, written in the transaction of the rows that it belongs to, so a pass can be made at
any time, by any process, and does what is left. A pass costs by what is new as long as that concerns recent tasks, and
reads large columns whole otherwise; how often it is made is the caller's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from e2c.provenance.storing import chains, dependencies
from e2c.provenance.storing.chains import Select, Take
from e2c.provenance.storing.dependencies import Execute

MAKE = (*dependencies.MAKE, *chains.MAKE)
"""Statements for a new session."""

MAX_MARKS = 256
"""Passes of which is remembered where the tables ended."""


class Resolution:
    """Passes of one writer's connection. After a rollback it is made anew.

    Args:
        execute: executes a statement.
        select: answers SQL.
        take: reserves so many ids of a table and gives the first.
    """

    def __init__(self, execute: Execute, select: Select, take: Take) -> None:
        self._execute = execute
        self._select = select
        self._take = take
        self._marks: list[tuple[int, Mapping[str, int]]] = []
        self._newest = 0  # of awaited_task, at the last pass
        self._searched = 0  # tasks up to this id were searched in the last pass
        self.unresolved = 0  # tasks that are named and not known
        self.waiting = 0  # sets to be taken over

    def count(self) -> None:
        """Learn what is left to do."""
        ((self.unresolved, self.waiting),) = self._select(
            'SELECT (SELECT count(*) FROM "public".awaited_task), (SELECT count(*) FROM "public".awaited_set)'
        )

    def follow(self, followed: Iterable[tuple[int, int]]) -> int:
        """Sets, each with a transformation that uses it from now on. Within the caller's transaction.

        Returns:
            How many sets are to be taken over because of that.
        """
        return sum(chains.follow(self._execute, self._select, self._take, ds, dt) for ds, dt in followed)

    def run(self, ends: Mapping[str, int], commit: Callable[[], None]) -> None:
        """Do what can be done now, in transactions of its own.

        Args:
            ends: the next id of each table that this process writes.
        """
        ((top,),) = self._select('SELECT coalesce(max(id), 0) FROM "public".task')
        ((newest,),) = self._select('SELECT max(id) FROM "public".awaited_task')
        if newest is not None:
            dependencies.resolve(self._execute, self._searched if newest <= self._newest else 0)
            commit()
            self._newest = max(newest, self._newest)
        self.count()
        if self.waiting:
            chains.settle(self._execute, self._select, self._bound, self._searched if self._marks else top)
            commit()
            self.count()
        self._searched = top
        self._marks.append((top + 1, dict(ends)))
        if len(self._marks) > MAX_MARKS:
            del self._marks[1::2]
        commit()

    def _bound(self, table: str, task: int) -> int:
        """An id of a set's table below which no element of this task, or of a later one, lies."""
        for first, ends in reversed(self._marks):
            if first <= task:
                return ends.get(table, 0)
        return 0
