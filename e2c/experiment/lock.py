"""One command at a time changes an experiment."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from e2c import plugins
from e2c.errors import BusyError, StateError


class Holder(NamedTuple):
    """A process that holds a scenario: its id, command line and start."""

    pid: int
    command: str
    since: datetime

    def __str__(self) -> str:
        return f"process {self.pid} since {self.since:%H:%M:%S}: `{self.command}`"


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
    plugins.look_in(scenario)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                "another command works on this scenario",
                where=str(scenario),
                why=str(holder(descriptor) or "") or None,
                hint="Wait until it ends, or stop it with Ctrl-C or `kill`: it then releases what it acquired itself",
            ) from None
        yield
    finally:
        os.close(descriptor)


def holder(descriptor: int) -> Holder | None:
    """Whoever holds the lock on an open folder, as far as the kernel tells."""
    inode = os.fstat(descriptor).st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()  # 1: FLOCK ADVISORY WRITE 1234 fd:00:5678 0 EOF
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            try:
                command = Path("/proc", fields[4], "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                return Holder(int(fields[4]), command.strip(), _start(int(fields[4])))
            except OSError:
                continue
    return None


def _start(pid: int) -> datetime:
    """When a process began, see proc(5): field 22 of its ``stat`` counts clock ticks since boot."""
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    ticks = int(text[text.rindex(")") + 2 :].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return datetime.fromtimestamp(time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK"))
