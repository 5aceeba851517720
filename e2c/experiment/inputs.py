"""What a phase is made from, as a digest: a phase is done for as long as that stays the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2c.experiment.state import STATE_FILE
from e2c.model.plan import STAGES, Plan
from e2c.model.run import Run


def digest(phase: str, plan: Plan, artifacts: Path | None, run: Run | None = None) -> str:
    """SHA-256 (hex) of what a phase takes from the plan and, for stages of the workflow, of which files lie where and
    what tells a run from others; empty for phases that the plan does not tell apart."""
    parts: list[Any]
    if phase == "emulate":
        parts = [plan.untouched, *(link.model_dump(mode="json") for link in plan.links)]
    elif phase in STAGES:
        plays = [play.model_dump(mode="json") for play in plan.plays if phase in play.stages]
        parts = [{**play, "stages": play["stages"][phase]} for play in plays]
        parts += [change.model_dump(mode="json") for change in plan.changes] if phase == "launch" else []
        parts += sorted(_listing(artifacts)) if artifacts is not None else []
        if run is not None:
            parts += [run.repeat, run.app_conf, plan.configurations.get(run.app_conf)]
    else:
        return ""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def files(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file below a folder: its path there, and its whole path. Output folders of experiments are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not os.path.exists(os.path.join(place, name, STATE_FILE))]
        for name in names:
            path = os.path.join(place, name)
            yield os.path.relpath(path, folder), path


def _listing(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of change of every file, without reading any."""
    for name, path in files(folder):
        try:
            status = os.stat(path)
        except OSError:  # it went away meanwhile
            continue
        yield name, status.st_size, status.st_mtime_ns
