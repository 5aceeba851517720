"""What became of a stage on every host, as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from e2c.remote.results import TaskResult

COLUMNS = ("host", "outcome", "tasks", "seconds", "where it failed")
WIDEST = 100


def unreachable(play: int, host: str, why: str) -> TaskResult:
    """What stands for a host that went silent while it had nothing to do."""
    return TaskResult(play=play, host=host, task="answering", status="unreachable", msg=why, ended=time.time())


def fitted(rows: Sequence[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """The rows of a table, whose last column is cut so that its lines have that many characters at most.

    Twenty are left of it in any case.
    """
    others = sum(2 + max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1])
    room = max(20, width - others)
    return [(*row[:-1], row[-1] if len(row[-1]) <= room else f"{row[-1][: room - 3]}...") for row in rows]


def summary(plays: Sequence[Mapping[str, Any]], results: Sequence[TaskResult]) -> tuple[tuple[str, ...], ...]:
    """A row for each host of the plays, those that failed last; the first row names the columns.

    *outcome* is ``ok``, ``failed``, ``unreachable`` or ``not begun``.
    """
    rows = []
    for host in dict.fromkeys(key for play in plays for key in play["hosts"]):
        mine = [result for result in results if result.host == host]
        failed = [result for result in mine if result.failed]
        outcome = failed[-1].status if failed else "ok" if mine else "not begun"
        seconds = sum(result.seconds or 0 for result in mine)
        done = str(len(mine) - len(failed))
        place = "; ".join(_place(result) for result in failed)
        rows.append((host, outcome, done, f"{seconds:.1f}", place[:WIDEST]))
    order = {"ok": 0, "not begun": 1}
    return (COLUMNS, *sorted(rows, key=lambda row: order.get(row[1], 2)))


def _place(result: TaskResult) -> str:
    code = f" (rc {result.rc})" if result.rc is not None else ""
    return f"{result.task}{code}{f': {result.gist()}' if result.gist() else ''}"
