"""An adopted client folder: what another process captured, sent under its identity."""

from __future__ import annotations

import time

from provlight.envelope import unseal
from provlight.outbox import Entry, Outbox
from provlight.packing import unpack
from provlight.report import Report
from provlight.sender import Sender
from provlight.shapes import HOST, RUN, WireError, as_list
from provlight.transport import Transport

from .damage import UNREADABLE, lost_batch
from .folder import ClientFolder
from .segments import Segments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Tuple

STALL_S = 60.0
"""Seconds without an acknowledgement after which an orphan has to wait for the next look."""


class OrphanOutbox(Outbox):
    """Batches of a client that is no more. Nothing is added to them.

    A batch whose body is damaged is replaced by a tombstone with the number of its records. What follows an entry whose
    fields are damaged cannot be found; the translator notes that those numbers are missing.

    Args:
        folder: where they are; released or removed by :meth:`close`.
        report: where losses are counted.

    Raises:
        OSError: the folder cannot be read now.
    """

    def __init__(self, folder: ClientFolder, report: Report) -> None:
        super().__init__(0)
        self._folder = folder
        self._report = report
        firsts = folder.firsts()
        self._segments = Segments(folder.folder, firsts)
        self._replaced: Dict[int, Entry] = {}
        self._closed = False
        self._shapes: Tuple[int, Dict[int, Any]] = (0, {})
        self.place = "in {}".format(folder.path)
        acked = folder.acked()
        self.base = self._segments.next(acked + 1) or acked + 1
        self.next_seq = max(self.base, self._segments.last() + 1)

    def after(self, seq: int) -> Optional[Entry]:
        """See :meth:`Outbox.after`. Nothing follows a gap before everything in front of it is acknowledged.

        Raises:
            OSError: the disk cannot be read now.
        """
        with self._changed:
            wanted = max(seq + 1, self.base)
            segment = None if self._closed else self._segments.find(wanted)
            if segment is None:
                return None
            if wanted in self._replaced:
                return self._replaced[wanted]
            records = segment.records(wanted)
            body = self._segments.read(segment, wanted)
            if body is not None:
                return Entry(wanted, body, records)
            entry = self._replaced[wanted] = lost_batch(self._folder.client, wanted, records)
        self._report.lose(records, UNREADABLE, "in {}".format(self._folder.path))
        return entry

    def replace(self, seq: int, body: bytes, records: int) -> None:
        """See :meth:`Outbox.replace`. The file keeps the batch."""
        with self._changed:
            if self.base <= seq < self.next_seq:
                self._replaced[seq] = Entry(seq, body, records)

    def acknowledge(self, last: int) -> int:
        """See :meth:`Outbox.acknowledge`."""
        with self._changed:
            if self._closed:
                return 0
            last = min(last, self.next_seq - 1)
            done = 0
            while self.base <= last:
                segment = self._segments.find(self.base)
                if segment is not None:
                    replaced = self._replaced.pop(self.base, None)
                    self.stored += replaced.records if replaced is not None else segment.records(self.base)
                done += 1
                self.base += 1
            if done:
                self._say_damage(last)
                self._folder.note_acked(last)
                self._segments.drop(last, keep_last=False)
                self.base = self._segments.next(self.base) or self.next_seq
                self._changed.notify_all()
        return done

    def announcements(self, body: bytes) -> List[Any]:
        """Shapes that a body refers to without announcing them, from the segment that holds it.

        Raises:
            LookupError: one of them was lost.
        """
        envelope = unseal(body)
        announced, _, groups, _ = as_list(unpack(envelope.inflated()), 4, "content")
        if type(groups) is not list:  # a tombstone
            return []
        missing = {group[0] for group in groups} - {item[0] for item in announced}
        known = self._known_shapes(envelope.seq) if missing else {}
        return [[number, known[number]] for number in sorted(missing)]

    def close(self) -> None:
        """Let go of the folder; delete it when everything was acknowledged."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            if self.empty:
                self._say_damage(self.next_seq)
            self._segments.close()
            if self.empty:
                self._folder.remove()
            else:
                self._folder.release()

    def _say_damage(self, last: int) -> None:
        for segment in self._segments.known():
            if segment.damage and segment.last <= last and not segment.torn:
                topic = "damage {} {}".format(self._folder.client, segment.first)
                sentence = "{}/{} is damaged: {}. What it held there is lost"
                self._report.say(topic, sentence.format(self._folder.path, segment.name, segment.damage))

    def _known_shapes(self, seq: int) -> Dict[int, Any]:
        """All shapes that are announced in front of, or in, the segment of a batch."""
        with self._changed:
            segment = None if self._closed else self._segments.find(seq)
            if segment is None:
                return {}
            if self._shapes[0] != segment.first:
                known = {item[0]: item[1] for item in segment.shapes}
                for number in range(segment.first, segment.last + 1):
                    known.update(_announced(self._segments.read(segment, number)))
                self._shapes = segment.first, known
            return self._shapes[1]


class Adoption:
    """One orphan on its way out.

    Args:
        folder: the orphan; let go of by :meth:`close`.
        make_transport: makes the way out for a partition.
        partition: partition to publish to, empty for that of the settings.
        report: where losses are counted.

    Raises:
        OSError: the folder cannot be read now.
        RuntimeError: no thread can be started.
    """

    def __init__(
        self, folder: ClientFolder, make_transport: Callable[[str], Transport], partition: str, report: Report
    ) -> None:
        self.outbox = OrphanOutbox(folder, report)
        outbox = self.outbox
        self._base, self._since = outbox.base, time.monotonic()
        about = {name: value for name, value in folder.about().items() if name in (HOST, RUN)}
        self.sender = Sender(
            outbox, lambda: make_transport(partition), folder.client, outbox.announcements, report, about
        )
        if not outbox.empty:
            self.sender.start()

    def wait(self, predicate: Callable[[], bool], timeout: float) -> bool:
        """Wait until everything is acknowledged or ``predicate()`` holds; returns whether everything is."""
        self.outbox.wait_for(lambda: self.outbox.empty or predicate(), timeout)
        return self.outbox.empty

    @property
    def stalled(self) -> bool:
        """Whether its link is up and nothing was acknowledged for a minute: others may have better luck."""
        now = time.monotonic()
        if self.outbox.base != self._base or not self.sender.connected:
            self._base, self._since = self.outbox.base, now
        return now - self._since > STALL_S

    def changed(self) -> None:
        """Make :meth:`wait` ask its predicate."""
        self.outbox.changed()

    def close(self) -> None:
        """Stop sending; delete the folder when everything was acknowledged."""
        if self.sender.ident is not None:
            self.sender.close()
            self.sender.join(0.5)
        self.outbox.close()


def _announced(body: Optional[bytes]) -> Dict[int, Any]:
    if body is None:
        return {}
    try:
        announced = as_list(unpack(unseal(body).inflated()), 4, "content")[0]
        return {item[0]: item[1] for item in announced}
    except (WireError, TypeError, IndexError):
        return {}
