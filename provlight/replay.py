"""Send what the transport ``file`` has written, under the identity of the clients that captured it."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from .encoding import referred_shapes
from .envelope import TOMBSTONE, unseal
from .outbox import Entry, Outbox
from .report import Report
from .sender import Sender
from .shapes import WireError
from .transport import Transport
from .transport.file import Damage, entries, read_body


class Place(NamedTuple):
    """Where the body of a batch is."""

    file: int  # an open file
    start: int
    records: int  # that it carries; 0 for a tombstone


class ClientBatches:
    """Where the batches of one client are, by number."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.places: Dict[int, Place] = {}

    @property
    def records(self) -> int:
        """Records in all of them."""
        return sum(place.records for place in self.places.values())


class Recording:
    """The files to send, read once from end to end.

    Args:
        paths: files that the transport ``file`` has written.

    Raises:
        OSError: one of them cannot be read.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.clients: "OrderedDict[str, ClientBatches]" = OrderedDict()
        self.damage: List[str] = []
        """What is no batch, as sentences."""
        self._files: List[int] = []
        for path in paths:
            self._read(path)

    def _read(self, path: str) -> None:
        file = os.open(path, os.O_RDONLY)
        self._files.append(file)
        found = 0
        for item in entries(path):
            if isinstance(item, Damage):
                where = "the end of the file is half an entry" if item.torn and found else "no entry"
                self.damage.append("{}, byte {}: {} bytes, {}".format(path, item.start, item.size, where))
                continue
            found += 1
            try:
                envelope = unseal(item.body)
            except WireError as error:
                self.damage.append("{}, byte {}: no batch: {}".format(path, item.start, error))
                continue
            batches = self.clients.setdefault(envelope.client, ClientBatches(envelope.client))
            records = 0 if envelope.flags & TOMBSTONE else envelope.records
            batches.places.setdefault(envelope.seq, Place(file, item.start, records))

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.pop())


class ReplayOutbox(Outbox):
    """Batches of one client as a sender takes them. It waits at a gap, unless gaps are accepted.

    A sender says with each message which is the lowest number it still has. Here that is 1 until the translator tells
    otherwise: it must not take for lost what is merely in another file.
    """

    def __init__(self, batches: ClientBatches, accept_gaps: bool) -> None:
        super().__init__(0)
        self._places = batches.places
        self._numbers = sorted(batches.places)
        self._accept_gaps = accept_gaps
        self._replaced: Dict[int, Entry] = {}
        self._shapes: Dict[int, Any] = {}
        self._shapes_up_to = 0
        self._answered = False
        self.next_seq = self._numbers[-1] + 1
        self.place = "in the file"
        self.before = 0
        """Records that were stored before."""
        self.gap: Optional[Tuple[int, int]] = None
        """The first and last number that the translator needs and that is not here."""
        if accept_gaps:
            self.base = self._numbers[0]

    def after(self, seq: int) -> Optional[Entry]:
        """See :meth:`Outbox.after`."""
        with self._changed:
            number = self._following(max(seq + 1, self.base))
            if number is None or self.finished:
                return None
            if number in self._replaced:
                return self._replaced[number]
            place = self._places[number]
            return Entry(number, read_body(place.file, place.start), place.records)

    def replace(self, seq: int, body: bytes, records: int) -> None:
        """See :meth:`Outbox.replace`."""
        with self._changed:
            self._replaced[seq] = Entry(seq, body, records)

    def acknowledge(self, last: int) -> int:
        """See :meth:`Outbox.acknowledge`."""
        with self._changed:
            first, end = bisect_left(self._numbers, self.base), bisect_right(self._numbers, last)
            done = self._numbers[first:end]
            records = sum((self._replaced.pop(number, None) or self._places[number]).records for number in done)
            # One batch goes out before the first answer: if more are acknowledged, they were stored before.
            if self._answered or len(done) <= 1:
                self.stored += records
            else:
                self.before += records
            self._answered = True
            self.base = max(self.base, min(last + 1, self.next_seq))
            following = self._following(self.base)
            self.gap = None
            if following is not None and following > max(last + 1, self.base):
                self.gap = (self.base, following - 1)
                if self._accept_gaps:
                    self.base = following
            self._changed.notify_all()
        return len(done)

    @property
    def finished(self) -> bool:
        """Whether nothing more can be sent."""
        return self.empty or (self.gap is not None and not self._accept_gaps)

    def announcements(self, body: bytes) -> List[Any]:
        """See ``Encoder.announcements``; the shapes are in the batches before this one.

        Raises:
            LookupError: one of them is not here.
        """
        missing, seq = referred_shapes(body)[1], unseal(body).seq
        for number in self._numbers[bisect_right(self._numbers, self._shapes_up_to) : bisect_left(self._numbers, seq)]:
            place = self._places[number]
            self._shapes.update(referred_shapes(read_body(place.file, place.start))[0])
            self._shapes_up_to = number
        return [[number, self._shapes[number]] for number in missing]

    def _following(self, seq: int) -> Optional[int]:
        at = bisect_left(self._numbers, seq)
        return self._numbers[at] if at < len(self._numbers) else None


class Replayed(NamedTuple):
    """What became of one client's batches."""

    client: str
    batches: int
    records: int
    stored: int  # records stored now
    before: int  # records that were stored before
    error: str  # why the rest is not stored; empty when all is


def replay(
    recording: Recording, make_transport: Callable[[], Transport], accept_gaps: bool, timeout: float
) -> "List[Replayed]":
    """Send every client's batches that are not stored yet, in order.

    Args:
        accept_gaps: go on behind batches that are not here; they count as lost from then on.
        timeout: seconds without progress after which a client is given up.
    """
    return [_replay(batches, make_transport, accept_gaps, timeout) for batches in recording.clients.values()]


class _Quiet(Report):
    def say(self, topic: str, sentence: str) -> None:
        """Say nothing: the result tells."""


def _replay(
    batches: ClientBatches, make_transport: Callable[[], Transport], accept_gaps: bool, timeout: float
) -> Replayed:
    report = _Quiet()
    outbox = ReplayOutbox(batches, accept_gaps)
    sender = Sender(outbox, make_transport, batches.client, outbox.announcements, report)
    sender.start()
    try:
        progress = -1
        while not outbox.finished and progress != outbox.base:
            progress = outbox.base
            outbox.wait_for(lambda: outbox.finished or outbox.base != progress, timeout)  # noqa: B023 asked at once
    finally:
        sender.close()
        sender.join(5.0)
    error = ""
    if outbox.gap is not None and not accept_gaps:
        error = "batches {} to {} are in none of these files".format(*outbox.gap)
    elif not outbox.empty:
        error = report.last_error or "nothing was acknowledged for {:g} s".format(timeout)
    elif report.lost:
        error = "; ".join("{} records are lost: {}".format(count, reason) for reason, count in report.lost.items())
    return Replayed(batches.client, len(batches.places), batches.records, outbox.stored, outbox.before, error)
