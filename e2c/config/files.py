"""Questions about files that users name, whatever they name: nothing here raises."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

MAX_ENTRIES = 500
"""Names of a folder that are worth a look; in a fuller one no name is proposed."""
_UNANSWERED = (OSError, ValueError, RuntimeError)
"""No permission, a name too long; a NUL byte; a link to itself."""


def exists(path: Path) -> bool:
    """Whether there is such a file or folder, as far as this user may see."""
    try:
        return path.exists()
    except _UNANSWERED:
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, as far as this user may see."""
    try:
        return path.is_dir()
    except _UNANSWERED:
        return False


def within(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path lies in one of the folders, its links followed where they can be."""
    try:
        resolved = path.resolve()
    except _UNANSWERED:
        return any(path.is_relative_to(folder) for folder in folders)
    return any(resolved.is_relative_to(folder.resolve()) for folder in folders)


def entries(folder: Path) -> list[str]:
    """Names in a folder, sorted; none where it cannot be read, or has more than :data:`MAX_ENTRIES`."""
    try:
        found = sorted(entry.name for entry in islice(folder.iterdir(), MAX_ENTRIES + 1))
    except _UNANSWERED:
        return []
    return found if len(found) <= MAX_ENTRIES else []
