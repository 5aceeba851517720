"""What happens during an experiment, for whoever watches: terminal, log file, later the web page."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Literal

Kind = Literal["phase", "step", "done", "task", "warning", "wait"]


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: ``phase`` begins a phase, ``step`` tells of progress in it, ``done`` ends it, ``task`` is one outcome
            of a workflow task on a host, ``wait`` repeats what is being waited for (shown in place on a terminal),
            ``warning`` needs attention.
        phase: the phase it belongs to.
        text: one clause.
        failed: it is bad news.
        seconds: duration, where something ended.
    """

    kind: Kind
    phase: str
    text: str
    failed: bool = False
    seconds: float | None = None
    time: datetime = field(default_factory=lambda: datetime.now(timezone.utc))


Observer = Callable[[Event], None]


class Hub:
    """Hands every event to all observers, in the order they came."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = list(observers)

    def __call__(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)


def steady(observe: Observer) -> Observer:
    """The observer, whose own troubles stop nothing: a closed terminal or a broken pipe must not leave hosts behind."""

    def tell(event: Event) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: the stream is closed
            observe(event)

    return tell
