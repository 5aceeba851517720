"""One command at a time changes an experiment."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2c.errors import BusyError, StateError


@contextmanager
def locked(scenario: Path) -> Iterator[None]:
    """Hold the scenario for one command; the kernel frees it when the process dies, however it dies.

    The lock is on the folder itself, so that no lock file is left behind.

    Raises:
        BusyError: another command holds it; the message names it.
        StateError: there is no such folder.
    """
    try:
        descriptor = os.open(scenario, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise StateError("no such scenario folder", where=str(scenario), why=error.strerror) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                "another command works on this scenario",
                where=str(scenario),
                why=holder(descriptor),
                hint="Wait until it ends, or stop it",
            ) from None
        yield
    finally:
        os.close(descriptor)


def holder(descriptor: int) -> str | None:
    """Process id and command line of whoever holds the lock, as far as the kernel tells."""
    inode = os.fstat(descriptor).st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()  # 1: FLOCK ADVISORY WRITE 1234 fd:00:5678 0 EOF
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            try:
                command = Path("/proc", fields[4], "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            return f"process {fields[4]}: {command.strip()}"
    return None
