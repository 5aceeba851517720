"""The bounded buffer between the application and the thread that makes batches."""

from __future__ import annotations

import threading
import time
from collections import deque

from .shapes import SetShape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Deque, List, Optional, Set, Tuple

    Entry = Tuple[Any, ...]
    """What a call set down: the items of :class:`~provlight.shapes.Record`, as a plain tuple because that is cheaper.

    Most records have one set and no extras; for them the set's shape and its values take the places of ``sets`` and
    ``extras``, because every tuple that waits in the buffer costs the garbage collector's time. See :func:`whole`.
    """

_START_S = 5.0  # nobody needs so long to start the threads
_LOOK_AGAIN_S = 5.0  # a finalizer that captures while the reader lies down is not heard
_YIELD_S = 0.001
_YIELD_EVERY = 64  # appends; so that a reader who waits for a disk that hangs costs 16 microseconds each


def whole(entry: Entry) -> Entry:
    """The entry with all items of a record."""
    if type(entry[7]) is SetShape:
        return (*entry[:7], ((entry[7], entry[8]),), None)
    return entry


class Buffer:
    """Entries in the order of capture. Appending never waits for the network, and seldom for a lock.

    The reader leaves the processor to a burst of appends: it comes when the first entry has lingered, or when a quarter
    of the buffer is full. From one half on the reader is too far behind, and one append of 64 lets it run for a
    millisecond, because threads of Python take turns.

    Args:
        max_bytes: bound of the entries' estimated size; beyond it they are dropped and counted.
        linger: seconds that the first entry waits for company.
    """

    def __init__(self, max_bytes: int, linger: float) -> None:
        self._max_bytes = max_bytes
        self._crowded = max_bytes // 2
        self._mark = max_bytes // 4  # beyond so many bytes an append has to look closer
        self._linger = linger
        # Reentrant, because a signal handler or a finalizer may capture while this thread holds the lock.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._entries: Deque[Entry] = deque()
        self._add = self._entries.append
        # Exact within the lock. Threads that append at the same time may, before Python 3.10, lose an addition: it is
        # an estimate anyway, and begins anew whenever the reader has taken everything.
        self._bytes = 0
        self._crowding = 0
        self._taken = 0
        self._taken_at = 0.0
        self._idle = False  # the reader waits for a first entry
        self._called = False  # the reader, because there is plenty
        self._urgent = False
        self._poked = False
        self._closed = False
        self.lost = 0

    def append(self, entry: Entry, weight: int) -> bool:
        """Set down an entry of about ``weight`` bytes. Returns False when it was dropped."""
        size = self._bytes + weight
        if size > self._mark:
            return self._append_closely(entry, weight)
        self._bytes = size
        self._add(entry)
        if self._idle:
            self._wake()
        return True

    @property
    def appended(self) -> int:
        """How many entries were set down."""
        with self._lock:
            return self._taken + len(self._entries)

    def _append_closely(self, entry: Entry, weight: int) -> bool:
        """Append when there is plenty, or more."""
        with self._lock:
            if self._closed or self._bytes + weight > self._max_bytes:
                self.lost += 1
                if self.lost == 1:
                    self._changed.notify()
                return False
            self._add(entry)
            self._bytes += weight
            if not self._called:
                self._called = True
                self._mark = self._crowded
                self._changed.notify()
        if self._bytes > self._crowded:
            self._crowding += 1
            if not self._crowding % _YIELD_EVERY:
                time.sleep(_YIELD_S)
        return True

    def _wake(self) -> None:
        with self._lock:
            if self._idle:
                self._idle = False
                self._taken_at = time.monotonic()
                self._changed.notify()

    def take(self) -> Optional[Tuple[List[Entry], int, int]]:
        """Wait for a lingering entry, for plenty, urgency or :meth:`poke`; take everything there is.

        Returns the entries, their estimated bytes, and how many were lost since the last call; None when closed and
        empty.
        """
        with self._changed:
            while not (self._entries or self.lost or self._closed or self._poked):
                self._idle = True
                if not self._entries:  # whoever appended before did not see that we wait
                    self._changed.wait(_LOOK_AGAIN_S)
            self._idle = False
            while self._entries and not (self._called or self._urgent or self._closed or self._poked):
                # From the last visit on: an entry that came since then has waited no longer.
                remaining = self._taken_at + self._linger - time.monotonic()
                if remaining <= 0:
                    break
                self._changed.wait(remaining)
            if self._closed and not self._entries and not self.lost:
                return None
            self._urgent = self._poked = self._called = False
            weight, lost = self._bytes, self.lost
            take = self._entries.popleft
            taken = [take() for _ in range(len(self._entries))]
            self._bytes = 0 if not self._entries else max(0, self._bytes - weight)
            self.lost = 0
            self._taken += len(taken)
            self._taken_at = time.monotonic()
            if not self._closed:
                self._mark = self._max_bytes // 4
            return taken, weight, lost

    def hurry(self) -> None:
        """Let the reader take what there is without lingering."""
        with self._changed:
            self._urgent = bool(self._entries)
            self._changed.notify()

    def poke(self) -> None:
        """Let the reader return even if there is nothing to take."""
        with self._changed:
            self._poked = True
            self._changed.notify()

    def close(self) -> None:
        """Take no more entries; the reader gets the rest, then None."""
        with self._changed:
            self._closed = True
            self._mark = -1
            self._changed.notify()


class DurableBuffer(Buffer):
    """A buffer whose :meth:`append` returns when the entry is safe. Threads that append meanwhile share one commit."""

    def __init__(self, max_bytes: int, linger: float) -> None:
        super().__init__(max_bytes, linger)
        self._crowded = max_bytes  # whoever appends waits for the reader anyway
        self._maker = threading.get_ident()
        self._wait: Optional[Callable[[int], None]] = None
        self._ready = threading.Event()
        self._inside: Set[int] = set()  # threads that may hold the lock

    def set_wait(self, wait: Callable[[int], None]) -> None:
        """Tell what to call with the number of entries of which the last is to be safe."""
        self._wait = wait
        self._ready.set()

    def append(self, entry: Entry, weight: int) -> bool:
        """Set down an entry and wait until it is safe. Returns False when it was dropped.

        A signal handler that interrupts this very function does not wait: what it waits for may need the lock.
        """
        thread = threading.get_ident()
        if thread in self._inside:
            return super().append(entry, weight)
        self._inside.add(thread)
        try:
            with self._lock:
                taken = super().append(entry, weight)
                number = self.appended
                self.hurry()
        finally:
            self._inside.discard(thread)
        if self._wait is None and thread != self._maker:  # the maker is at it, and cannot wait for itself
            self._ready.wait(_START_S)
        if taken and self._wait is not None:
            self._wait(number)
        return taken
