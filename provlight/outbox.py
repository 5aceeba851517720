"""Batches that are not stored yet: sequence numbers and bodies, in order.

:class:`Outbox` is the seam for other ways to keep them: whoever offers these methods can take its place.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, NamedTuple, Optional
else:
    from .namedtuples import NamedTuple


class Entry(NamedTuple):
    """One batch."""

    seq: int
    body: bytes
    records: int  # that it carries; 0 for a tombstone


class Outbox:
    """Keeps batches in memory, in bounded bytes, until they are acknowledged. Thread-safe.

    Args:
        max_bytes: bound of all bodies together. Tombstones are always admitted.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: Dict[int, Entry] = {}
        self._bytes = 0
        self._changed = threading.Condition(threading.RLock())
        self.base = 1
        """Lowest sequence number held; the next one to be given when nothing is held."""
        self.next_seq = 1
        """Sequence number for the next batch."""
        self.stored = 0
        """Records known to be stored."""
        self.place = "in memory"
        """Where batches wait, for messages."""
        self.on_add: Callable[[], None] = _nobody
        """Called after a batch was added."""
        self.on_room: Callable[[], None] = _nobody
        """Called after batches were acknowledged."""

    @property
    def full(self) -> bool:
        """Whether no more batches of records should be added. The bound is exceeded by one batch at most."""
        return self._bytes >= self._max_bytes

    def add(self, body: bytes, records: int) -> int:
        """Keep the batch :attr:`next_seq`. Returns its sequence number."""
        with self._changed:
            seq = self.next_seq
            self._entries[seq] = Entry(seq, body, records)
            self._bytes += len(body)
            self.next_seq += 1
            self._changed.notify_all()
        self.on_add()
        return seq

    def commit(self) -> None:
        """Let go out what was added since the last call. Here batches go out as soon as they are added."""

    def after(self, seq: int) -> Optional[Entry]:
        """The held batch that follows ``seq``, or None."""
        with self._changed:
            return self._entries.get(max(seq + 1, self.base))

    def replace(self, seq: int, body: bytes, records: int) -> None:
        """Put another body in the place of a held batch that cannot be sent."""
        with self._changed:
            old = self._entries.get(seq)
            if old is not None:
                self._entries[seq] = Entry(seq, body, records)
                self._bytes += len(body) - len(old.body)

    def acknowledge(self, last: int) -> int:
        """Forget every batch up to ``last``. Returns how many these were."""
        with self._changed:
            last = min(last, self.next_seq - 1)
            done = 0
            while self.base <= last:
                entry = self._entries.pop(self.base)
                self._bytes -= len(entry.body)
                self.stored += entry.records
                self.base += 1
                done += 1
            if done:
                self._changed.notify_all()
        if done:
            self.on_room()
        return done

    def close(self) -> None:
        """Let go of everything. Batches still held are lost with the memory they are in."""

    @property
    def kept(self) -> int:
        """Records not acknowledged yet that will outlive the process."""
        return 0

    def figures(self) -> Dict[str, Any]:
        """More counts for :func:`provlight.stats`."""
        return {}

    @property
    def empty(self) -> bool:
        """Whether everything was acknowledged."""
        return self.base == self.next_seq

    def wait_for(self, predicate: Callable[[], bool], timeout: Optional[float]) -> bool:
        """Wait until ``predicate()`` holds; it is asked again after each change. Returns whether it holds."""
        with self._changed:
            return self._changed.wait_for(predicate, timeout)

    def changed(self) -> None:
        """Make everybody in :meth:`wait_for` ask again."""
        with self._changed:
            self._changed.notify_all()


def _nobody() -> None:
    """Nobody listens yet."""
