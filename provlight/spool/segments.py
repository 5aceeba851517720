"""The segments of one client, in order."""

from __future__ import annotations

import contextlib
from bisect import bisect_right

from .segment import Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional


class Segments:
    """Finds batches by their number, and deletes segments that are no longer needed. Not thread-safe.

    Segments that another process left are scanned when their turn comes, so that a large orphan costs no memory.

    Args:
        folder: the open folder they are in.
        firsts: first sequence numbers of the segments that are there, ascending.
    """

    def __init__(self, folder: int, firsts: Optional[List[int]] = None) -> None:
        self._folder = folder
        self._firsts = list(firsts or ())
        self._segments: List[Optional[Segment]] = [None] * len(self._firsts)
        self._reading: Optional[Segment] = None

    def add(self, segment: Segment) -> None:
        """Append a new segment."""
        self._firsts.append(segment.first)
        self._segments.append(segment)

    def __len__(self) -> int:
        return len(self._firsts)

    def known(self) -> List[Segment]:
        """Those that were made or scanned."""
        return [segment for segment in self._segments if segment is not None]

    def size(self, seq: int) -> int:
        """Bytes of those that were made or scanned and hold a batch from ``seq`` on."""
        return sum(segment.size for segment in self.known() if segment.last >= seq)

    def find(self, seq: int) -> Optional[Segment]:
        """The segment that holds a batch, or None.

        Raises:
            OSError: a segment cannot be read now.
        """
        at = bisect_right(self._firsts, seq) - 1
        if at < 0:
            return None
        segment = self._scanned(at)
        return segment if segment.last >= seq else None

    def next(self, seq: int) -> Optional[int]:
        """The lowest number of a batch held that is at least ``seq``, or None.

        Raises:
            OSError: a segment cannot be read now.
        """
        for at in range(max(0, bisect_right(self._firsts, seq) - 1), len(self._firsts)):
            segment = self._scanned(at)
            if segment.last >= seq:
                return max(seq, segment.first)
        return None

    def last(self) -> int:
        """The highest number of a batch held, 0 when there is none.

        Raises:
            OSError: a segment cannot be read now.
        """
        for at in range(len(self._firsts) - 1, -1, -1):
            segment = self._scanned(at)
            if segment.last >= segment.first:
                return segment.last
        return 0

    def read(self, segment: Segment, seq: int) -> Optional[bytes]:
        """Body of a batch, or None when it is damaged. One file at a time stays open.

        Raises:
            OSError: it cannot be read now.
        """
        if self._reading is not segment:
            if self._reading is not None and self._reading is not self._newest():
                self._reading.close()
            self._reading = segment
        return segment.read(seq)

    def drop(self, seq: int, keep_last: bool) -> None:
        """Delete the segments whose batches all have numbers up to ``seq``. Does not raise.

        Args:
            keep_last: not the last one: it is being written.
        """
        while len(self._firsts) > (1 if keep_last else 0):
            segment = self._segments[0]
            if segment is None or segment.last > seq:
                break
            with contextlib.suppress(OSError):  # it is deleted with its folder
                segment.unlink()
            if self._reading is segment:
                self._reading = None
            del self._firsts[0], self._segments[0]

    def remove(self, segment: Segment) -> None:
        """Delete a segment. Does not raise."""
        with contextlib.suppress(OSError):
            segment.unlink()
        at = self._segments.index(segment)
        del self._firsts[at], self._segments[at]

    def close(self) -> None:
        """Close all files."""
        for segment in self.known():
            segment.close()

    def _newest(self) -> Optional[Segment]:
        return self._segments[-1] if self._segments else None

    def _scanned(self, at: int) -> Segment:
        segment = self._segments[at]
        if segment is None:
            segment = Segment(self._folder, self._firsts[at])
            try:
                segment.scan()
            finally:
                segment.close()
            self._segments[at] = segment
        return segment
