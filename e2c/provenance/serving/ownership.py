"""Who owns a data folder, and how its owner is told to stop."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from e2c.errors import BusyError, ProvenanceError
from e2c.provenance.folder import DataFolder, read_json
from e2c.provenance.serving.children import start_time

ORPHANS_LIMIT_S = 10.0


class Ownership:
    """The lock on a data folder, freed by the kernel when its owner is gone. The file holds the owner's pid.

    Raises:
        BusyError: another process has it.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> Ownership:
        self._descriptor = os.open(self._folder.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise BusyError(
                "another provenance service owns this data folder",
                where=str(self._folder.root),
                why=f"its process is {pid}" if pid.isdigit() else None,
                hint="Stop it with `python -m e2c.provenance stop`, or choose another --data",
            ) from error
        os.ftruncate(self._descriptor, 0)
        with suppress(OSError):  # a full disk: the lock counts, the number is for people
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


class Signals:
    """SIGTERM, SIGINT and SIGHUP as readable events."""

    def __init__(self, handler: Callable[[int, FrameType | None], None]) -> None:
        self._handler = handler
        self._numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __enter__(self) -> int:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup = signal.set_wakeup_fd(self._write)
        self._before = [signal.signal(number, self._handler) for number in self._numbers]
        return self._read

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, before in zip(self._numbers, self._before, strict=True):
            signal.signal(number, before)
        os.close(self._read)
        os.close(self._write)


def wait_for_orphans(folder: DataFolder) -> None:
    """After a kill -9 of an earlier supervisor its children are about to end: wait until they have.

    Raises:
        ProvenanceError: one of them does not end.
    """
    try:
        children = read_json(folder.supervisor)["children"]
    except ProvenanceError:  # a first start, or a state that a power cut left empty
        return
    for item in children:
        pid, started = item["pid"], item["started"]
        # Threads of a killed database hold its files after the first of them is a zombie.
        if pid is None or started is None or start_time(pid, dying=True) != started:
            continue
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                _wait_for_end(descriptor, item["name"])
            finally:
                os.close(descriptor)


def _wait_for_end(descriptor: int, name: str) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        if not selector.select(ORPHANS_LIMIT_S):
            raise ProvenanceError(f"the {name} of an earlier service still runs", hint="End it, then start again")
