"""Folders for the sockets of shared ssh connections: short paths, private, found again by name."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2c.errors import E2CError

AT_ONCE = 20
END_S = 10
"""Seconds that a shared connection has to end when it is told to."""


def folder(name: str) -> str:
    """Path of the folder of that name, for :attr:`e2c.model.host.Host.control_dir`; touches nothing.

    It is short, because sockets allow 108 bytes and ssh takes 70 of them.
    """
    owner = os.geteuid()
    places = [Path("/run") if owner == 0 else Path("/run/user", str(owner)), Path(tempfile.gettempdir())]
    place = next((place for place in places if os.access(place, os.W_OK)), places[-1])
    return str(place / f"e2c-ssh-{owner}" / hashlib.sha256(name.encode()).hexdigest()[:8])


def make(path: str) -> None:
    """Make such a folder; it may exist.

    Raises:
        E2CError: the place belongs to someone else, who could take over the connections.
    """
    Path(path).parent.mkdir(mode=0o700, exist_ok=True)
    status = os.lstat(Path(path).parent)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise E2CError(
            "the folder for ssh connections is not private",
            where=str(Path(path).parent),
            hint="Remove it; it is made anew",
        )
    Path(path).mkdir(mode=0o700, exist_ok=True)


def end(command: Sequence[str]) -> bool:
    """Run an ``ssh ... -O exit``; whether a connection has ended by that. One that is stuck is not waited for."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=END_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _end(socket: Path) -> bool:
    return end(["ssh", "-o", f"ControlPath={str(socket).replace('%', '%%')}", "-O", "exit", "host"])


def remove(path: str) -> int:
    """End the connections whose sockets are in a folder and remove it, also twice; returns how many there were."""
    entries = list(Path(path).glob("*"))
    with ThreadPoolExecutor(min(AT_ONCE, len(entries) or 1)) as pool:
        ended = sum(pool.map(_end, entries))
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # others are there, or it is gone
        Path(path).parent.rmdir()
    return ended
