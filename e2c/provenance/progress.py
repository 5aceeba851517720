"""How far a long piece of work has come, on a terminal."""

from __future__ import annotations

import time
from typing import Protocol, TextIO


class Progress(Protocol):
    """Told of the work done."""

    def start(self, total: int, unit: str) -> None:
        """A piece of work begins: so many ``unit`` are to be done."""

    def step(self, count: int) -> None:
        """So many more are done."""


class _Quiet:
    def start(self, total: int, unit: str) -> None:
        """Nobody watches."""

    def step(self, count: int) -> None:
        """Nobody watches."""


quiet: Progress = _Quiet()
"""For work that nobody watches."""


class Line:
    """One line on a terminal, rewritten at most ten times a second; nothing where the stream is none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown = stream.isatty()
        self._total = self._done = 0
        self._unit = ""
        self._next = 0.0

    def start(self, total: int, unit: str) -> None:
        """A piece of work begins."""
        self._total, self._done, self._unit = total, 0, unit

    def step(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        if self._shown and (now := time.monotonic()) >= self._next:
            self._next = now + 0.1
            self._stream.write(f"\r{self._done} of {self._total} {self._unit}\x1b[K")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
