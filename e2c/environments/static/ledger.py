"""What this controller took of machines that exist already: one file per experiment, written before it touches them."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from pydantic import ValidationError

from e2c.environments.base import Claim
from e2c.errors import TestbedError
from e2c.model.frozen import Frozen


class Entry(Frozen):
    """One file.

    Attributes:
        claim: what was taken.
        silent_at: when its machines were last tried in vain, in seconds since the epoch; 0: they were never.
    """

    claim: Claim
    silent_at: float = 0


def folder() -> Path:
    """Where the files are: ``~/.local/state/e2c/static``."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "e2c" / "static"


def path(experiment: str) -> Path:
    """The file of an experiment."""
    return folder() / f"{hashlib.sha256(experiment.encode()).hexdigest()[:16]}.json"


def write(entry: Entry) -> None:
    """Write an entry, whole or not at all.

    Raises:
        TestbedError: it cannot be written.
    """
    target = path(entry.claim.experiment)
    part = target.with_suffix(".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with part.open("w", encoding="utf-8") as file:
            file.write(entry.model_dump_json(indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise TestbedError(
            "cannot write down which machines are taken",
            where=str(target),
            why=error.strerror,
            hint="Free some space there, or name another folder with XDG_STATE_HOME",
        ) from error


def read(file: Path) -> Entry | None:
    """An entry; ``None`` where there is none that can be read."""
    try:
        return Entry.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def of_experiment(experiment: str) -> Entry | None:
    """The entry of an experiment."""
    return read(path(experiment))


def of_scenario(scenario: str) -> list[Entry]:
    """Entries of a scenario, in a stable order."""
    entries = [read(file) for file in sorted(folder().glob("*.json"))]
    return [entry for entry in entries if entry is not None and entry.claim.scenario == scenario]


def remove(experiment: str) -> None:
    """Forget an experiment; it may be forgotten already."""
    path(experiment).unlink(missing_ok=True)


def just_tried(entry: Entry, within_s: float) -> bool:
    """Its machines were tried in vain a moment ago."""
    return 0 <= time.time() - entry.silent_at < within_s
