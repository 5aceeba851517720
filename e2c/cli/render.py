"""What people and programs see: data on stdout, talk on stderr, colour only on a terminal."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from e2c.cli.live import Live
from e2c.cli.waiting import CLEAR_LINE, Waiting, lively

if TYPE_CHECKING:
    from e2c.config.problems import Problem
    from e2c.experiment.events import Event

RED, YELLOW, GREEN, DIM, BOLD, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
MOST_PROBLEMS = 100
"""Problems shown as text."""


_began = time.monotonic()


def _clock() -> str:
    return f"{time.monotonic() - _began:7.1f}s"


live = Live()
"""What the hosts of a stage do, shown below the wait."""
waiting = Waiting(_clock, live.lines)
"""The wait that is shown; all other output of this module ends it first."""


def _coloured(stream: Any) -> bool:
    return bool(stream.isatty()) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _paint(text: str, colour: str, stream: Any) -> str:
    return f"{colour}{text}{PLAIN}" if _coloured(stream) else text


def _afresh() -> str:
    """Begins a line on a terminal, whatever keys that were pressed have left there (``^C``)."""
    return CLEAR_LINE if lively(sys.stderr) else ""


def data(text: str) -> None:
    """Print a result on stdout."""
    waiting.end()
    print(text, flush=True)


def data_json(value: Any) -> None:
    """Print a result as JSON on stdout."""
    data(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """Tell something on stderr."""
    waiting.end()
    print(text, file=sys.stderr, flush=True)


def prompt(text: str) -> None:
    """Write a question on stderr, without the end of the line."""
    waiting.end()
    print(text, file=sys.stderr, end="", flush=True)


def failure(text: str) -> None:
    """Tell of a failure on stderr."""
    between = "\n" if "\n" in text else " "  # places and excerpts of several lines start at the margin
    note(f"{_afresh()}{_paint('e2clab: error:', RED, sys.stderr)}{between}{text}")


def warning(text: str) -> None:
    """Tell on stderr of something that needs attention."""
    note(_paint(f"warning: {text}", YELLOW, sys.stderr))


def problems(found: Sequence[Problem], stream: TextIO) -> None:
    """Show problems of a scenario: sentence, key path and code, the offending line; errors first when they are many."""
    waiting.end()
    shown = found
    if len(found) > MOST_PROBLEMS:
        by_weight = sorted(found, key=lambda problem: problem.severity != "error")
        shown = by_weight[:MOST_PROBLEMS]
    for problem in shown:
        colour = RED if problem.severity == "error" else YELLOW
        place, _, text = problem.sentence().partition(f" {problem.severity}: ")
        about = f"[{problem.code}{f' at {problem.path}' if problem.path else ''}]"
        print(
            f"{_paint(_from_here(place), BOLD, stream)} {_paint(f'{problem.severity}:', colour, stream)} {text} "
            f"{_paint(about, DIM, stream)}",
            file=stream,
        )
        line, _, caret = problem.excerpt().partition("\n")
        if line:
            print(f"{line}\n{_paint(caret, colour, stream)}", file=stream)
    if len(found) > len(shown):
        print(f"... and {len(found) - len(shown)} more; check-configuration --format json lists them", file=stream)
    stream.flush()


def counted(found: Sequence[Problem]) -> str:
    """``2 errors and 1 warning``."""
    parts = []
    for severity in ("error", "warning"):
        number = sum(problem.severity == severity for problem in found)
        if number:
            parts.append(f"{number} {severity}{'' if number == 1 else 's'}")
    return " and ".join(parts) or "no problems"


def _from_here(place: str) -> str:
    """A path below the current folder without the way to it."""
    here = f"{os.getcwd()}{os.sep}"
    return place.removeprefix(here)


def refused(found: Sequence[Problem]) -> None:
    """Tell on stderr that a scenario was refused, and why."""
    failure(f"the scenario has {counted(found)}, so nothing was done:")
    problems(found, sys.stderr)


def trace(error: BaseException) -> None:
    """Show on stderr where an error came from."""
    note("".join(traceback.format_exception(error)).rstrip())


def our_fault(error: BaseException) -> None:
    """Tell that this program itself failed, and where the details lie."""
    with tempfile.NamedTemporaryFile("w", prefix="e2clab-fault-", suffix=".log", delete=False) as file:
        traceback.print_exception(error, file=file)
    note(
        f"{_paint('e2clab: internal error:', RED, sys.stderr)} {type(error).__name__}: {error}\n"
        f"This is a fault of e2clab, not of your scenario. Please report it with {file.name}"
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as text in aligned columns."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(name), *(len(row[index]) for row in texts)]) for index, name in enumerate(columns)]
    lines = ["  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip()]
    lines.append("  ".join("-" * width for width in widths))
    lines += ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@dataclass
class Desk:
    """What the options before the command ask for, and the observer that shows progress on stderr."""

    testbed: str | None = None
    quiet: bool = False
    debug: bool = False

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self.quiet and event.kind != "warning" and not event.failed:
            return
        if event.host and event.state:
            live.update(event)
        if event.kind in ("phase", "done"):
            live.clear()
        if event.kind == "wait":
            if event.state != "waiting":  # one word about all of them follows
                waiting.show(event.phase, live.headline() if event.host else event.text)
            return
        if event.kind == "phase" and event.phase != "release":
            waiting.end()
            return
        self._say(event)
        if live.busy:
            waiting.show(event.phase, live.headline())

    def _say(self, event: Event) -> None:
        failed = event.failed and event.kind == "done"  # the reason comes last, once, as the command's error
        text = f"{event.phase:9} {'failed' if failed else event.text}"
        if event.seconds is not None:
            text += _paint(f" ({event.seconds:.1f} s)", DIM, sys.stderr)
        if event.kind == "warning":
            text = _paint(f"warning: {event.text}", YELLOW, sys.stderr)
        elif event.failed:
            text = _paint(text, RED, sys.stderr)
        elif event.kind == "done":
            text = _paint(text, GREEN, sys.stderr)
        if event.rows:
            text += f"\n{table(event.rows[0], event.rows[1:])}"
        note(f"{_afresh()}{_clock()}  {text}")
