"""Output folders: one per experiment, named by its start, inside the scenario."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from e2c.errors import StateError
from e2c.experiment.state import STATE_FILE

NAME = re.compile(r"^\d{8}-\d{6}(-\d+)?$")


def create(scenario: Path, started: datetime) -> Path:
    """Make the folder of a new experiment, ``YYYYmmdd-HHMMSS`` in local time.

    Raises:
        StateError: the scenario folder cannot be written.
    """
    stem = started.strftime("%Y%m%d-%H%M%S")
    for number in range(1, 100):
        folder = scenario / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise StateError(
                "cannot make the output folder",
                where=str(folder),
                why=error.strerror,
                hint="Make the scenario folder writable",
            ) from error
        return folder
    raise StateError("too many experiments started within one second", where=str(scenario), hint="Wait a second")


def latest(scenario: Path) -> Path | None:
    """Folder of the newest experiment of a scenario, or ``None``."""
    if not scenario.is_dir():
        raise StateError(
            "no such scenario folder", where=str(scenario), hint="Name the folder that holds layers_services.yaml"
        )

    def order(folder: Path) -> tuple[str, int]:
        stem, number = folder.name[:15], folder.name[16:]
        return stem, int(number or 1)

    found = [path for path in scenario.iterdir() if NAME.match(path.name) and (path / STATE_FILE).exists()]
    return max(found, key=order, default=None)
