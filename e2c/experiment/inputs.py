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


def digest(phase: str, plan: Plan, artifacts: Path | None) -> str:
    """SHA-256 (hex) of what a phase takes from the plan and, for stages of the workflow, of which files lie where;
    empty for phases that the plan does not tell apart."""
    parts: list[Any]
    if phase == "emulate":
        parts = [link.model_dump(mode="json") for link in plan.links]
    elif phase in STAGES:
        plays = [play.model_dump(mode="json") for play in plan.plays if phase in play.stages]
        parts = [{**play, "stages": play["stages"][phase]} for play in plays]
        parts += sorted(_listing(artifacts)) if artifacts is not None else []
    else:
        return ""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _listing(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of change of every file, without reading any; output folders are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not os.path.exists(os.path.join(place, name, STATE_FILE))]
        for name in names:
            try:
                status = os.stat(os.path.join(place, name))
            except OSError:  # it went away meanwhile
                continue
            yield os.path.relpath(os.path.join(place, name), folder), status.st_size, status.st_mtime_ns
