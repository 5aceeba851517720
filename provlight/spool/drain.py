"""Send what a spool holds, now."""

from __future__ import annotations

import time

from provlight.report import Report
from provlight.settings import Settings

from .folder import ClientFolder, SpoolError, remove_unfinished
from .inspection import SpoolInfo, folders
from .orphan import Adoption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, NamedTuple
else:
    from provlight.namedtuples import NamedTuple


class _Silent(Report):
    def say(self, topic: str, sentence: str) -> None:
        """Say nothing: the result tells."""


class Drained(NamedTuple):
    """What :func:`drain` did."""

    folders: int
    """Orphans sent whole."""
    records: int
    """Records stored."""
    left: List[SpoolInfo]
    """What remains: folders of living processes, and what was not sent in time."""
    error: str
    """Why something remains that nobody holds; empty when nothing does."""


def drain(settings: Settings, timeout: float) -> Drained:
    """Send the orphans of the spool that the settings name, one after the other, whatever user they belong to.

    Args:
        timeout: seconds for all of them together.

    Raises:
        SpoolError: there is no such spool, it cannot be read, or the settings name no broker.
    """
    if settings.spool_dir is None:
        raise SpoolError("no spool is named: set PROVLIGHT_SPOOL_DIR")
    if settings.transport != "mqtt" or settings.endpoint is None:
        raise SpoolError("no broker is named: set PROVLIGHT_SERVER_URL")
    from provlight.transport.choice import transport_maker

    make_transport = transport_maker(settings)
    broker = "{}:{}".format(*settings.endpoint)
    deadline = time.monotonic() + timeout
    done = records = 0
    error = ""
    remove_unfinished(settings.spool_dir)
    for info in folders(settings.spool_dir):
        report = _Silent()
        try:
            folder = ClientFolder.adopt(info.folder, any_user=True)
            if folder is None:
                continue
            partition = info.partition if info.broker == broker else ""
            try:
                adoption = Adoption(folder, make_transport, partition, report)
            except OSError:
                folder.release()
                raise
        except OSError as problem:
            error = str(problem)
            continue
        try:
            while not (adoption.stalled or time.monotonic() >= deadline):
                if adoption.wait(lambda: False, min(1.0, max(0.0, deadline - time.monotonic()))):
                    break
            if adoption.outbox.empty:
                done += 1
            else:
                error = report.last_error or "the broker is there, but not everything was acknowledged in time"
        finally:
            adoption.close()
            records += adoption.outbox.stored
    return Drained(done, records, folders(settings.spool_dir), error)
