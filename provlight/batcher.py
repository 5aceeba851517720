"""The thread that turns captured entries into batches."""

from __future__ import annotations

import threading
import time

from .buffer import Buffer, whole
from .encoding import Encoder
from .envelope import BatchTooLargeError
from .outbox import Outbox
from .report import Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Sequence

    from .buffer import Entry

_BATCH_BYTES = 1 << 18  # estimated; encoded, a batch is a quarter of it or less

_PATIENCE_S = 60.0  # a disk may hang, and a signal handler may have interrupted what everything else waits for


class Batcher(threading.Thread):
    """Takes entries from the buffer, encodes them, keeps the bodies in the outbox.

    When the outbox is full the newest records are dropped; one tombstone tells how many, once there is room.
    """

    def __init__(self, buffer: Buffer, outbox: Outbox, encoder: Encoder, batch: int, report: Report) -> None:
        super().__init__(name="provlight-batcher", daemon=True)
        self._buffer = buffer
        self._outbox = outbox
        self._encoder = encoder
        self._batch = batch
        self._report = report
        self._unsaid: Dict[str, int] = {}  # losses that no tombstone has told yet, by reason
        self.handled = 0

    def run(self) -> None:
        """Work until the buffer is closed and empty."""
        while True:
            taken = self._buffer.take()
            if taken is None:
                break
            entries, weight, lost = taken
            if lost:
                self._lose(lost, "the buffer was full")
            for chunk in _chunks(list(map(whole, entries)), weight, self._batch):
                self._put(chunk)
            if not self._outbox.full:
                self._tell_losses()
            self._outbox.commit()
            self.handled += len(entries)
            self._outbox.changed()
        self._tell_losses()
        self._outbox.commit()
        self._outbox.changed()

    def room(self) -> None:
        """Batches were acknowledged: if there are losses to tell, now is the time."""
        if self._unsaid:
            self._buffer.poke()

    def wait_until_handled(self, number: int) -> None:
        """Wait until so many entries are committed to the outbox, or lost; for a minute at most."""
        deadline = time.monotonic() + _PATIENCE_S
        while self.handled < number and self.is_alive():
            if time.monotonic() >= deadline:
                self._report.say(
                    "patience", "calls return although their record is not on the disk: that takes too long"
                )
                break
            self._outbox.wait_for(lambda: self.handled >= number, 1.0)

    def _put(self, entries: Sequence[Entry]) -> None:
        if self._outbox.full:
            self._lose(len(entries), "the outbox was full")
            return
        self._tell_losses()
        try:
            body = self._encoder.encode(self._outbox.next_seq, entries)
        except BatchTooLargeError as error:
            if len(entries) == 1:
                self._lose(1, "a record was too large", str(error))
                return
            half = len(entries) // 2
            self._put(entries[:half])
            self._put(entries[half:])
        except Exception as error:  # noqa: BLE001 whatever is wrong with these records must not end the capture
            self._lose(len(entries), "records could not be encoded", repr(error))
        else:
            self._outbox.add(body, len(entries))

    def _lose(self, records: int, reason: str, detail: str = "") -> None:
        self._report.lose(records, reason, detail)
        self._unsaid[reason] = self._unsaid.get(reason, 0) + records

    def _tell_losses(self) -> None:
        for reason, lost in self._unsaid.items():
            self._outbox.add(self._encoder.tombstone(self._outbox.next_seq, lost, reason), 0)
        self._unsaid.clear()


def _chunks(entries: List[Entry], weight: int, batch: int) -> List[List[Entry]]:
    """Split into batches of at most ``batch`` entries, fewer when they are heavy."""
    if weight > _BATCH_BYTES:
        batch = max(1, min(batch, len(entries) * _BATCH_BYTES // weight))
    if len(entries) <= batch:
        return [entries] if entries else []
    return [entries[start : start + batch] for start in range(0, len(entries), batch)]
