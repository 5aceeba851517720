"""The outbox of a capturing process that has a spool."""

from __future__ import annotations

import contextlib
import os
import time

from provlight.outbox import Entry, Outbox
from provlight.report import Report

from .damage import UNREADABLE, lost_batch
from .descriptors import open_file
from .folder import ClientFolder
from .segment import Segment, make_entry, make_head
from .segments import Segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence
else:
    from provlight.namedtuples import NamedTuple

_RETRY_S = 30.0  # after a disk failed, until it is tried again
_COMMIT_BYTES = 1 << 20  # written at once, at most
_CACHE_BYTES = 1 << 20  # of bodies that are on the disk and likely to be sent soon
_SEGMENT_BYTES = (1 << 16, 1 << 20)  # smallest and largest size at which the next segment begins
_IDLE_SEGMENT_BYTES = 1 << 17  # the same when all its batches are stored already: many processes may share a disk
_HEADS = 4  # a segment has at least so many times the size of its head
_fdatasync = getattr(os, "fdatasync", os.fsync)


class Bounds(NamedTuple):
    """How much may be kept, in bytes."""

    disk: int  # by all clients of the spool together
    memory: int  # while the disk fails


class SpoolOutbox(Outbox):
    """Keeps batches in segments on the disk; while that fails, in memory, within its bound.

    One thread adds and commits, one other reads and acknowledges.

    Args:
        spool: path of the spool; made if missing.
        client: identity of the client.
        about: texts about the client, kept beside its batches.
        bounds: how much may be kept.
        sync: bring each commit to the disk, so that it outlives a power cut.
        shapes: gives the shapes announced so far, as in an announcement.
        report: where problems are said and counted.
    """

    def __init__(
        self,
        spool: str,
        client: str,
        about: Mapping[str, str],
        bounds: Bounds,
        sync: bool,
        shapes: Callable[[], List[Any]],
        report: Report,
    ) -> None:
        super().__init__(bounds.memory)
        self._spool = os.path.abspath(spool)
        self.client = client
        self._about = dict(about)
        self._max_disk = bounds.disk
        self._segment_bytes = min(_SEGMENT_BYTES[1], max(_SEGMENT_BYTES[0], bounds.disk // 8))
        self._sync = sync
        self._shapes = shapes
        self._report = report
        self._folder: Optional[ClientFolder] = None
        self._segments = Segments(-1)
        self._current: Optional[Segment] = None
        self._current_start = 0
        self._fresh: List[Entry] = []  # added, not committed
        self._fresh_bytes = 0
        self._committed = 0
        self._replaced: Dict[int, Entry] = {}
        self._cache: Dict[int, bytes] = {}
        self._cache_bytes = 0
        self._retry_at = 0.0
        self._closed = False
        self.others = 0
        """Bytes that other clients have in this spool, as of the last look."""
        self.place = "in the spool {}".format(self._spool)

    # In this class the inherited ``_entries`` are the batches that the disk did not take; ``_bytes`` is their size.

    @property
    def full(self) -> bool:
        """See :attr:`Outbox.full`. The disk's bound counts the files of all clients of this spool."""
        if self._entries:
            return self._bytes + self._fresh_bytes >= self._max_bytes
        with self._changed:
            return self._segments.size(self.base) + self._fresh_bytes + self.others >= self._max_disk

    def add(self, body: bytes, records: int) -> int:
        """Keep the batch :attr:`next_seq`; it goes out after :meth:`commit`. Returns its sequence number."""
        with self._changed:
            seq = self.next_seq
            self._fresh.append(Entry(seq, body, records))
            self._fresh_bytes += len(body)
            self.next_seq += 1
        if self._fresh_bytes >= _COMMIT_BYTES:
            self.commit()
        return seq

    def commit(self) -> None:
        """Write what was added, with one ``fdatasync``, then let it go out. Does not raise."""
        with self._changed:
            waiting = list(self._entries.values())
        entries = waiting + self._fresh
        if not entries:
            return
        written = self._write(entries)
        with self._changed:
            if written is None:
                for entry in self._fresh:
                    self._entries[entry.seq] = entry
                    self._bytes += len(entry.body)
            else:
                self._note_written(written, entries)
            self._committed = self.next_seq - 1
            self._fresh, self._fresh_bytes = [], 0
            self._changed.notify_all()
        self.on_add()

    def after(self, seq: int) -> Optional[Entry]:
        """See :meth:`Outbox.after`. For a batch that is damaged a tombstone goes, and its records are counted as lost.

        Raises:
            OSError: the disk cannot be read now.
        """
        with self._changed:
            wanted = max(seq + 1, self.base)
            if wanted > self._committed or self._closed:
                return None
            entry = self._replaced.get(wanted) or self._entries.get(wanted)
            if entry is not None:
                return entry
            segment = self._segments.find(wanted)
            if segment is None:
                return None
            records = segment.records(wanted)
            body = self._cache.get(wanted) or self._segments.read(segment, wanted)
            if body is not None:
                return Entry(wanted, body, records)
            entry = self._replaced[wanted] = lost_batch(self.client, wanted, records)
        self._report.lose(records, UNREADABLE, "in {}".format(self._spool))
        return entry

    def replace(self, seq: int, body: bytes, records: int) -> None:
        """See :meth:`Outbox.replace`. The file keeps the batch: whoever adopts it decides anew."""
        with self._changed:
            if self.base <= seq <= self._committed:
                self._replaced[seq] = Entry(seq, body, records)

    def acknowledge(self, last: int) -> int:
        """See :meth:`Outbox.acknowledge`. Segments that are no longer needed are deleted."""
        with self._changed:
            if self._closed:
                return 0
            last = min(last, self._committed)
            done = max(0, last + 1 - self.base)
            for seq in range(self.base, last + 1):
                self.stored += self._forget(seq)
            if done:
                self.base = last + 1
                if self._folder is not None:
                    self._folder.note_acked(last)
                self._segments.drop(last, keep_last=True)
                self._changed.notify_all()
        if done:
            self.on_room()
        return done

    @property
    def kept(self) -> int:
        """See :attr:`Outbox.kept`."""
        with self._changed:
            return sum(segment.records_from(self.base) for segment in self._segments.known())

    def figures(self) -> Dict[str, Any]:
        """See :meth:`Outbox.figures`."""
        with self._changed:
            first = next((segment for segment in self._segments.known() if segment.last >= self.base), None)
            return {
                "folder": self._folder.path if self._folder is not None else None,
                "bytes": self._segments.size(0),
                "batches": self.next_seq - self.base - len(self._entries) - len(self._fresh),
                "in_memory": len(self._entries) + len(self._fresh),
                "oldest": first.born if first is not None else None,
            }

    def close(self) -> None:
        """Let go of the folder: what is in it is an orphan now. It is deleted when everything was acknowledged."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._segments.close()
            folder, self._folder = self._folder, None
            if folder is None:
                return
            if any(segment.last >= self.base for segment in self._segments.known()):
                folder.release()
            else:
                folder.remove()

    def _forget(self, seq: int) -> int:
        """Forget an acknowledged batch. Returns the records it carried."""
        replaced = self._replaced.pop(seq, None)
        entry = self._entries.pop(seq, None)
        if entry is not None:
            self._bytes -= len(entry.body)
        body = self._cache.pop(seq, None)
        if body is not None:
            self._cache_bytes -= len(body)
        if replaced is not None:
            return replaced.records
        if entry is not None:
            return entry.records
        segment = self._segments.find(seq)
        return segment.records(seq) if segment is not None else 0

    def _write(self, entries: Sequence[Entry]) -> Optional[Segment]:
        """Write batches to the current segment or a new one. Returns it, or None when the disk failed."""
        if self._closed or time.monotonic() < self._retry_at:
            return None
        segment: Optional[Segment] = None
        try:
            segment = self._segment_for(entries[0].seq)
            file = segment.file
            _write_all(file, b"".join([make_entry(entry.seq, entry.records, entry.body) for entry in entries]))
            if self._sync:
                _fdatasync(file)
                if segment.last < segment.first and self._folder is not None:
                    self._folder.sync()
        except Exception as error:  # noqa: BLE001 whatever is wrong with the disk must not end the capture
            self._disk_failed(segment, error)
            return None
        if self._retry_at:
            self._retry_at = 0.0
            self.place = "in the spool {}".format(self._spool)
            self._report.forget("spool")
        return segment

    def _segment_for(self, seq: int) -> Segment:
        if self._folder is None:
            folder = ClientFolder.make(self._spool, self.client, self._about, self._sync)
            with self._changed:
                self._folder = folder
                self._segments = Segments(folder.folder)
        current = self._current
        if current is not None and current.last + 1 == seq and not self._is_long(current):
            return current
        assert self._folder is not None
        born = time.time()
        segment = Segment(self._folder.folder, seq)
        head = make_head(self.client, seq, born, self._shapes())
        file = open_file(segment.name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, self._folder.folder)
        segment.use(file)
        segment.born, segment.size = born, len(head)
        with self._changed:
            if current is not None:
                current.close()
            self._segments.add(segment)
            self._segments.drop(self.base - 1, keep_last=True)
            self._current, self._current_start = segment, len(head)
        _write_all(file, head)
        return segment

    def _is_long(self, segment: Segment) -> bool:
        """Whether the next batch should begin another segment: early when nothing in this one is needed any more."""
        limit = self._segment_bytes if segment.last >= self.base else _IDLE_SEGMENT_BYTES
        return segment.size - self._current_start >= max(limit, _HEADS * self._current_start)

    def _note_written(self, segment: Segment, entries: Sequence[Entry]) -> None:
        for entry in entries:
            segment.append(entry.records, len(entry.body))
            if entry.seq >= self.base and self._cache_bytes + len(entry.body) <= _CACHE_BYTES:
                self._cache[entry.seq] = entry.body
                self._cache_bytes += len(entry.body)
        self._entries.clear()
        self._bytes = 0

    def _disk_failed(self, segment: Optional[Segment], error: Exception) -> None:
        """Go on in memory. The segment is cut behind what was committed, and the next one begins another file."""
        self._retry_at = time.monotonic() + _RETRY_S
        self.place = "in memory"
        self._report.say(
            "spool",
            "the spool {} cannot be written: {}. Records wait in memory, where the end of the process loses them; the "
            "disk is tried again every {:.0f} s".format(self._spool, _clause(error), _RETRY_S),
        )
        with self._changed:
            current = segment or self._current
            self._current = None
            if current is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(current.file, current.size)
                if current.last < current.first:
                    self._segments.remove(current)
                else:
                    current.close()


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _clause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
