"""The thread that looks for orphans and sends what they hold."""

from __future__ import annotations

import os
import random
import threading
import time

from provlight.report import Report
from provlight.transport import Transport

from .folder import ClientFolder, client_folders, remove_unfinished
from .orphan import Adoption
from .outbox import SpoolOutbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional

LOOK_S = 10.0
"""Seconds between two looks for orphans, with up to a quarter of jitter."""

_POLL_S = 0.1  # at the end of the process only


class Adopter(threading.Thread):
    """Adopts the orphans of a spool, one after the other, as long as the process lives.

    Args:
        spool: path of the spool.
        broker: address of the broker, as the clients note it.
        make_transport: makes the way out for a partition, empty for that of the settings.
        outbox: is told how much the others have in the spool.
        report: where damage is said.
    """

    def __init__(
        self,
        spool: str,
        broker: str,
        make_transport: Callable[[str], Transport],
        outbox: SpoolOutbox,
        report: Report,
    ) -> None:
        super().__init__(name="provlight-adopter", daemon=True)
        self._spool = spool
        self._broker = broker
        self._make_transport = make_transport
        self._outbox = outbox
        self._report = _DamageReport(report)
        self._adoption: Optional[Adoption] = None
        self._closing = False
        self._changed = threading.Condition()
        self._looked = False  # everything that was there is on its way to be sent, or sent
        self.folders = 0
        self.records = 0

    def run(self) -> None:
        """Work until closed."""
        while not self._closing:
            try:
                remove_unfinished(self._spool)
                self._look()
            except Exception:  # noqa: BLE001, S110 no spool yet, or a disk that fails: the outbox says what matters
                pass
            with self._changed:
                self._looked = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._closing, LOOK_S * random.uniform(0.75, 1.25))  # noqa: S311

    def finish(self, deadline: float) -> None:
        """Wait until the orphans found are sent, as long as their link is up; at most until a monotonic time."""
        while not (self._looked or self._is_stuck()) and time.monotonic() < deadline:
            with self._changed:
                self._changed.wait_for(lambda: self._looked, _POLL_S)

    def close(self) -> None:
        """Stop; what is not sent remains an orphan."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        adoption = self._adoption
        if adoption is not None:
            adoption.changed()
        self.join(1.5)

    def abandon(self) -> None:
        """In the child of a fork: let go of the link that the parent uses."""
        if self._adoption is not None:
            self._adoption.sender.abandon()

    def figures(self) -> Dict[str, Any]:
        """For :func:`provlight.stats`."""
        adoption = self._adoption
        records = self.records + (adoption.outbox.stored if adoption is not None else 0)
        return {"folders": self.folders, "records": records, "lost": self._report.lost_records}

    def _look(self) -> None:
        own = self._outbox.client
        for path in client_folders(self._spool):
            if self._closing:
                return
            self._outbox.others = _bytes_of_others(self._spool, own)
            if os.path.basename(path) != own:
                self._adopt(path)
        self._outbox.others = _bytes_of_others(self._spool, own)

    def _adopt(self, path: str) -> None:
        try:
            folder = ClientFolder.adopt(path)
        except OSError:  # of another user, or damaged beyond opening: not ours to send
            return
        if folder is None:
            return
        about = folder.about()
        partition = about.get("partition", "") if about.get("broker") == self._broker else ""
        try:
            adoption = self._adoption = Adoption(folder, self._make_transport, partition, self._report)
        except (OSError, RuntimeError):  # RuntimeError: the interpreter goes down and starts no more threads
            folder.release()
            return
        try:
            while not (adoption.wait(lambda: self._closing, LOOK_S) or self._closing or adoption.stalled):
                self._outbox.others = _bytes_of_others(self._spool, self._outbox.client)
        finally:
            adoption.close()
            self._adoption = None
            self.folders += adoption.outbox.empty
            self.records += adoption.outbox.stored

    def _is_stuck(self) -> bool:
        adoption = self._adoption
        return adoption is not None and adoption.sender.failing


class _DamageReport(Report):
    """Passes on what is said of damage, and is silent about the network: the sender of this process speaks of it."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self._to = report

    def say(self, topic: str, sentence: str) -> None:
        if topic.startswith(("damage", "lost")):
            self._to.say(topic, sentence)


def _bytes_of_others(spool: str, own: str) -> int:
    total = 0
    for path in client_folders(spool):
        if os.path.basename(path) != own:
            try:
                with os.scandir(path) as found:
                    total += sum(entry.stat(follow_symlinks=False).st_size for entry in found)
            except OSError:  # removed meanwhile, or of another user
                continue
    return total
