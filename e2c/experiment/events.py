"""What happens during an experiment, for whoever watches: terminal, log file, later the web page."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

Kind = Literal["phase", "step", "done", "task", "warning", "wait", "table"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: ``phase`` begins a phase, ``step`` tells of progress in it, ``done`` ends it, ``task`` is one outcome
            of a workflow task on a host, ``wait`` repeats what is being waited for (shown in place on a terminal),
            ``warning`` needs attention, ``table`` sums up in rows.
        phase: the phase it belongs to.
        text: one clause.
        failed: it is bad news.
        seconds: duration, where something ended.
        host: service key of the host it happened on, where it is one.
        task: what that host does or has done, ``""``: nothing of the phase.
        state: how that is: ``waiting``, ``running``, ``background``, ``lost``, or the status of a result.
        rows: of a table; the first has the names of its columns.
    """

    kind: Kind
    phase: str
    text: str
    failed: bool = False
    seconds: float | None = None
    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    host: str = ""
    task: str = ""
    state: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


Observer = Callable[[Event], None]


class Hub:
    """Hands every event to all observers, in the order they came."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = list(observers)

    def __call__(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)


def steady(observe: Observer) -> Observer:
    """The observer, whose own troubles stop nothing: a closed terminal or a broken pipe must not leave hosts behind.

    Events of several threads come one after the other.
    """
    turn = threading.RLock()  # a signal's handler may tell something in the middle of another event

    def tell(event: Event) -> None:
        with turn, contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            observe(event)

    return tell
