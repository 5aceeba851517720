"""What is being waited for: a line, or a few, that live on a terminal; lines at growing intervals in a log."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

CLEAR_LINE = "\r\x1b[K"
CLEAR_BELOW = "\r\x1b[J"
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_FRAMES = "-\\|/"
FRAME_S = 0.2
"""Pause between two drawings, at least."""
CALM_S = 5
"""A log gets a new line at once when other words come, but not more often than this."""
FIRST_S, LONGEST_S = 15, 600
"""Seconds until the same words are repeated in a log: twice as long every time, up to the longest."""


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 04 h``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"


def lively(stream: TextIO) -> bool:
    """A terminal, whose lines can be written again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of a terminal; 80 and 24 where it does not tell."""
    columns, lines = os.get_terminal_size(stream.fileno())
    return columns or 80, lines or 24


def one_line(text: str) -> str:
    """Without line breaks and steering characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def cut(text: str, cells: int) -> str:
    """As much of a line as fits so many cells of a terminal."""
    if len(text) <= cells and text.isascii():
        return text
    used = 0
    for place, char in enumerate(text):
        if not unicodedata.combining(char):
            used += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if used > cells:
            return text[:place]
    return text


@dataclass
class _Wait:
    """One thing that is waited for."""

    phase: str
    text: str
    since: float
    next_s: float
    interval_s: float


class Waiting:
    """Shows the wait that goes on; a thread of its own keeps it fresh when nobody tells anything.

    Other output calls :meth:`end` first, so that lines never mix.

    Args:
        clock: what stands at the beginning of every line.
        more: what is shown in lines of its own below it on a terminal, for so many columns and lines.
    """

    def __init__(self, clock: Callable[[], str], more: Callable[[int, int], list[str]] = lambda *_: []) -> None:
        self.clock = clock
        self.more = more
        self._changed = threading.Condition(threading.RLock())
        self._wait: _Wait | None = None
        self._spoken = -float(CALM_S)
        self._drawn: list[str] = []
        self._width = 0
        self._drawn_at = -FRAME_S
        self._frame = 0
        self._thread: threading.Thread | None = None
        self._stopped = False

    def show(self, phase: str, text: str) -> None:
        """Something is waited for, or still is. Numbers that change do not make it another wait."""
        with self._changed:
            if self._stopped:
                return
            now, text, before = time.monotonic(), one_line(text), self._wait
            if before is not None and (before.phase, _words(before.text)) == (phase, _words(text)):
                before.text = text
            else:
                self._wait = _Wait(phase, text, now, max(now, self._spoken + CALM_S), FIRST_S)
            self._tick()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
                self._thread.start()
            self._changed.notify()

    def end(self) -> None:
        """Nothing is waited for; the line is free for others."""
        with self._changed:
            self._wait = None
            if self._drawn:
                with contextlib.suppress(OSError, ValueError):  # the terminal has gone
                    sys.stderr.write(self._clearing())
                    sys.stderr.flush()
                self._drawn = []

    def stop(self) -> None:
        """End, for good."""
        with self._changed:
            self.end()
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(1)

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                if self._wait is None:
                    self._changed.wait()
                    continue
                pause = FRAME_S if lively(sys.stderr) else max(0.01, self._wait.next_s - time.monotonic())
                self._changed.wait(pause)
                self._tick()

    def _tick(self) -> None:
        wait, now = self._wait, time.monotonic()
        if wait is None or self._stopped:
            return
        try:
            if lively(sys.stderr):
                if now >= self._drawn_at + FRAME_S:  # many events may come at once; the thread draws what is left
                    self._draw(wait, now)
            elif now >= wait.next_s:
                self._speak(wait, now)
        except (OSError, ValueError):  # the terminal has gone; whoever writes next will meet that
            self._stopped = True

    def _draw(self, wait: _Wait, now: float) -> None:
        frames = FRAMES if (sys.stderr.encoding or "").lower().startswith("utf") else PLAIN_FRAMES
        self._frame += 1
        columns, rows = size(sys.stderr)
        width = columns - 1
        end = f"  {duration(now - wait.since)}" if now - wait.since >= 1 else ""
        head = f"{self.clock()}  {wait.phase:9} {frames[self._frame % len(frames)]} {wait.text}"
        lines = [f"{cut(head, width - len(end))}{end[:width]}", *self.more(width, rows - 2)]
        if self._drawn and (len(lines), width) == (len(self._drawn), self._width):
            changed = [new if new != old else None for new, old in zip(lines, self._drawn, strict=True)]
            text = _up(len(lines) - 1) + "\n".join("" if new is None else f"{CLEAR_LINE}{new}" for new in changed)
        else:
            text = self._clearing() + "\n".join(lines)
        sys.stderr.write(text)
        sys.stderr.flush()
        self._drawn, self._width, self._drawn_at = lines, width, now

    def _clearing(self) -> str:
        """What takes away the lines that were drawn; the cursor stands in the last."""
        return f"{_up(len(self._drawn) - 1)}{CLEAR_BELOW}" if len(self._drawn) > 1 else CLEAR_LINE

    def _speak(self, wait: _Wait, now: float) -> None:
        waited = now - wait.since
        since = f" (for {duration(waited)})" if waited >= FIRST_S else ""
        sys.stderr.write(f"{self.clock()}  {wait.phase:9} {wait.text}{since}\n")
        sys.stderr.flush()
        self._spoken = now
        wait.next_s = now + wait.interval_s
        wait.interval_s = min(2 * wait.interval_s, LONGEST_S)


def _up(lines: int) -> str:
    return f"\x1b[{lines}A" if lines else ""


def _words(text: str) -> str:
    return re.sub(r"\d+(?:[.,:]\d+)*", "#", text)
