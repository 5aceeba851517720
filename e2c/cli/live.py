"""What every host of a stage does right now: a line for each, below the log, on a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2c.cli.waiting import cut, duration, one_line

if TYPE_CHECKING:
    from e2c.experiment.events import Event

BUSY = ("running", "background")
BAD = ("failed", "unreachable", "lost")
_ORDER = {state: place for place, states in enumerate((BAD, BUSY, ("waiting",))) for state in states}
NAME_CELLS = 32
"""Widest column of names."""


@dataclass
class _Row:
    task: str
    state: str
    since: float
    seconds: float | None = None

    def age(self, now: float) -> float:
        return now - self.since if self.seconds is None else self.seconds


class Live:
    """The hosts as the events tell, in the order in which they came up."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._phase = ""

    def update(self, event: Event, now: float | None = None) -> None:
        """Take in an event that names a host. Another phase begins with no hosts."""
        now = time.monotonic() if now is None else now
        if event.phase != self._phase:
            self.clear()
            self._phase = event.phase
        before = self._rows.get(event.host)
        if before is not None and before.state == "lost" and event.state in BUSY and event.kind == "wait":
            return  # what it was asked before it was lost
        since = now - (event.seconds or 0) if event.kind == "wait" else now
        seconds = None if event.state in (*BUSY, "waiting") else event.seconds or 0.0
        task = event.task or (before.task if before is not None else "")
        self._rows[event.host] = _Row(one_line(task), event.state, since, seconds)

    def clear(self) -> None:
        """There are no hosts."""
        self._rows.clear()
        self._phase = ""

    @property
    def busy(self) -> bool:
        """Some host has something to do."""
        rows = list(self._rows.values())  # whoever draws is another thread than whoever tells
        return any(row.state in (*BUSY, "waiting") for row in rows)

    def headline(self) -> str:
        """How many hosts are how: ``train: 2 running, 1 done; 1 failed``."""
        rows = self._rows.values()
        counts = {
            "running": sum(row.state in BUSY for row in rows),
            "waiting": sum(row.state == "waiting" for row in rows),
            "idle": sum(row.state not in (*BUSY, *BAD, "waiting") for row in rows),
            "failed": sum(row.state in BAD for row in rows),
        }
        tasks = list(dict.fromkeys(row.task for row in rows if row.state in BUSY))
        names = f"{', '.join(tasks[:3])}{', ...' if len(tasks) > 3 else ''}: " if tasks else ""
        return f"{names}{', '.join(f'{number} {name}' for name, number in counts.items() if number)}"

    def lines(self, width: int, height: int, now: float | None = None) -> list[str]:
        """A line for each host, as many as fit: those that failed or run come first where not all do.

        None where no host has anything to do.
        """
        now = time.monotonic() if now is None else now
        if height < 1 or not self.busy:
            return []
        chosen = list(self._rows.items())
        left = 0
        if len(chosen) > height:
            left = len(chosen) - height + 1
            chosen = sorted(chosen, key=lambda item: _ORDER.get(item[1].state, len(_ORDER)))[: height - 1]
        name_cells = min(NAME_CELLS, max((len(host) for host, _ in chosen), default=0))
        lines = [_line(host, row, now, name_cells, width) for host, row in chosen]
        return [*lines, cut(f"           and {left} more", width)] if left else lines


def _line(host: str, row: _Row, now: float, name_cells: int, width: int) -> str:
    age = row.age(now)
    seconds = f"{age:.1f} s" if row.seconds is not None and age < 60 else duration(age)
    shown = f"           {host[:name_cells]:{name_cells}}  {row.state:11}  {seconds:>12}  {row.task}"
    return cut(shown.rstrip(), width)
