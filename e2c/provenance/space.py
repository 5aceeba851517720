"""Room on the disk of the database."""

from __future__ import annotations

import os
from contextlib import suppress

from e2c.provenance.folder import DataFolder

LEAST_BYTES = 64 << 20
"""With less than this free on its disk, the database is taken to be short of space."""

LEAST_SHARE = 0.1
"""The same for this share of its size: it grows by whole pieces of files."""


def free(folder: DataFolder) -> int:
    """Bytes free where the data folder lies."""
    found = os.statvfs(folder.root)
    return found.f_bavail * found.f_frsize


def scarce(folder: DataFolder) -> bool:
    """Whether a statement that fails may fail for want of space; never so where the database is elsewhere."""
    if folder.external.exists():
        return False
    left = free(folder)
    return left < LEAST_BYTES or left < LEAST_SHARE * _size(folder)


def _size(folder: DataFolder) -> int:
    total = 0
    for root, _, names in os.walk(folder.farm):
        for name in names:
            with suppress(OSError):  # just removed
                total += os.stat(os.path.join(root, name)).st_blocks * 512
    return total
