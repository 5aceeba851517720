"""``e2clab.log`` and ``e2clab.err``: every event, as text, in the output folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

from e2c.experiment.events import Event, Hub
from e2c.experiment.experiment import Experiment

LOG_FILE = "e2clab.log"
ERROR_FILE = "e2clab.err"


class LogFile:
    """Observer that appends events to the log of an experiment; failures and warnings also to the error log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, event: Event) -> None:
        if event.kind == "wait":
            return
        seconds = "" if event.seconds is None else f" ({event.seconds:.3f} s)"
        line = f"{event.time.isoformat(timespec='milliseconds')} {event.kind:7} {event.phase}: {event.text}{seconds}\n"
        line += "".join(f"    {' | '.join(row)}\n" for row in event.rows)
        files = [LOG_FILE, ERROR_FILE] if event.failed or event.kind == "warning" else [LOG_FILE]
        for name in files:
            # A full disk must not stop a release half-way; whoever writes results or state reports it.
            with contextlib.suppress(OSError), (self.folder / name).open("a", encoding="utf-8") as file:
                file.write(line)


def attach(experiment: Experiment) -> None:
    """Let the experiment's events also go to its log files."""
    experiment.observe = Hub(experiment.observe, LogFile(experiment.folder))
