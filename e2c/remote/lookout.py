"""Notices during other work that a host does not answer any more, before anybody asks it something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from e2c.model.host import Host
from e2c.remote.watching import Command, Notice, Watcher

STEP_S = 1.0
_STAY = Command("exec cat >/dev/null")


@contextmanager
def lookout(hosts: Iterable[Host], tell: Callable[[Notice], None]) -> Iterator[None]:
    """While the block runs, hold a connection to each host: it is open before it is needed, and its end is told.

    Args:
        tell: receives that a host is ``lost`` or ``back``, in a thread of its own.
    """
    over = threading.Event()
    watcher = Watcher({host.key: host for host in hosts}, lambda _: _STAY)

    def look() -> None:
        with watcher:
            while not over.is_set():
                for notice in watcher.next(STEP_S):
                    if notice.kind in ("lost", "back") and not over.is_set():
                        tell(notice)

    thread = threading.Thread(target=look, name="lookout", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        watcher.wake()
        thread.join()
