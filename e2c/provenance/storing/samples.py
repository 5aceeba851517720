"""Samples of what hosts did, on their way into the database, each once however often it is brought.

They come from the hosts' files and not by the broker, and another process than the one writer stores them. It may,
because the writer does not touch their table, and they have no ids, which come from the writer alone.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zlib import crc32

from e2c.errors import BusyError, ProvenanceError
from e2c.provenance.columns import Rows, bigints, doubles, moment, same_text, timestamps
from e2c.provenance.connections import connect, downloader, explain, rows
from e2c.provenance.folder import DataFolder
from e2c.provenance.names import literal, qualified
from e2c.provenance.storing.dstat import SIZES, Reader, Samples
from e2c.provenance.storing.session import Session

TABLE = "monitoring_sample"
TRANSACTION_ROWS = 100_000
"""Samples in one transaction, about."""

ATTEMPTS, PAUSE_S = 20, 0.5
"""How often a transaction is tried that another one is in the way of, and the pause between."""

LOCK_LIMIT_S = 600.0
"""How long another loading is waited for."""

_CONFLICT = "conflict with another transaction"
_MINUTE_US = 60_000_000
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)


class Loaded(NamedTuple):
    """What became of samples: added, there already, and lines that are none."""

    added: int
    known: int
    malformed: int


def load(folder: DataFolder, lines: Iterable[str]) -> Loaded:
    """Add the samples of files of dstat that are not in the database yet.

    Args:
        folder: whose database runs.
        lines: see :class:`~e2c.provenance.storing.dstat.Reader`.

    Raises:
        ProvenanceError: the database does not take them, or these are none. What is stored by then stays.
        BusyError: another loading does not come to its end.
    """
    import pymonetdb

    reader = Reader(lines)
    added = known = 0
    with _alone(folder):
        connection = connect(folder)
        try:
            for blocks in _transactions(reader.blocks()):
                new, old = _stored(connection, blocks)
                added, known = added + new, known + old
        except (pymonetdb.Error, OSError) as error:
            raise ProvenanceError("the database does not take the samples", why=explain(error)) from error
        finally:
            connection.close()
    return Loaded(added, known, reader.malformed)


@contextmanager
def _alone(folder: DataFolder) -> Iterator[None]:
    """Nobody else loads meanwhile: two that look for the same samples would both add them."""
    deadline = time.monotonic() + LOCK_LIMIT_S
    with (folder.root / "samples.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError("other samples are being loaded", where=str(folder.root)) from None
                time.sleep(0.1)
            else:
                break
        yield


def _transactions(blocks: Iterable[Samples]) -> Iterator[list[Samples]]:
    pending: list[Samples] = []
    count = 0
    for block in blocks:
        pending.append(block)
        count += len(block.times_us)
        if count >= TRANSACTION_ROWS:
            yield pending
            pending, count = [], 0
    if pending:
        yield pending


def _stored(connection: Any, blocks: Sequence[Samples]) -> tuple[int, int]:
    """Store what is not there yet in one transaction. Returns how many were added, and how many were there."""
    import pymonetdb

    for attempt in range(1, ATTEMPTS + 1):
        try:
            added = _added(connection, blocks)
            connection.commit()
        except pymonetdb.Error as error:
            connection.rollback()
            if _CONFLICT not in str(error) or attempt == ATTEMPTS:
                raise
            time.sleep(PAUSE_S)  # the server's own work is one, too
        else:
            break
    return added, sum(len(block.times_us) for block in blocks) - added


def _added(connection: Any, blocks: Sequence[Samples]) -> int:
    out = Rows(qualified(TABLE))
    there: dict[str, set[int]] = {}
    for block in blocks:
        known = there.setdefault(block.host, set())
        known |= _known(connection, block)
        fresh = block.without(known)
        if len(set(fresh.times_us)) < len(fresh.times_us):
            fresh = _once(fresh)
        known.update(fresh.times_us)
        if fresh.times_us:
            out.append(len(fresh.times_us), _columns(fresh))
    Session(connection).copy([out])
    return out.count


def _known(connection: Any, block: Samples) -> set[int]:
    """When the samples that are stored of the same host and the same span of time were taken."""
    first, last = moment(min(block.times_us)), moment(max(block.times_us))
    source = f"FROM {qualified(TABLE)} WHERE host = {literal(block.host)} AND sampled BETWEEN {first} AND {last}"
    if not rows(connection, f"SELECT count(*) {source}")[0][0]:
        return set()
    pieces: list[bytes] = []
    connection.set_downloader(downloader(pieces.append))  # ten times as fast as rows
    connection.cursor().execute(f"COPY SELECT sampled {source} INTO 'times' ON CLIENT")
    lines = b"".join(pieces).decode("ascii").split()
    days, clocks = lines[::2], lines[1::2]
    return {
        (datetime.fromisoformat(f"{day} {clock}") - _EPOCH) // _MICROSECOND
        for day, clock in zip(days, clocks, strict=True)
    }


def _once(samples: Samples) -> Samples:
    """The first of those that were taken at one time, as where a clock was set back."""
    seen: set[int] = set()
    twice = []
    for place, time_us in enumerate(samples.times_us):
        if time_us in seen:
            twice.append(place)
        seen.add(time_us)
    times, values = list(samples.times_us), {name: column[:] for name, column in samples.values.items()}
    for place in reversed(twice):
        del times[place]
        for column in values.values():
            del column[place]
    return Samples(samples.host, samples.hostname, samples.seconds, times, values)


def _columns(samples: Samples) -> dict[str, tuple[str, bytes]]:
    count, length_us = len(samples.times_us), round(samples.seconds * 1e6)
    number = (crc32(samples.host.encode()) & 0x7FFFFFFF) << 32
    made = {
        "host": ("TEXT", same_text(samples.host, count)),
        "hostname": ("TEXT", same_text(samples.hostname, count)),
        "began": ("TIMESTAMP", timestamps([time_us - length_us for time_us in samples.times_us])),
        "sampled": ("TIMESTAMP", timestamps(samples.times_us)),
        "seconds": ("DOUBLE", doubles([samples.seconds] * count)),
        "slot": ("BIGINT", bigints([number + time_us // _MINUTE_US for time_us in samples.times_us])),
    }
    sizes = {name: ("BIGINT", bigints(map(int, column))) for name, column in samples.values.items() if name in SIZES}
    rates = {name: ("DOUBLE", doubles(column)) for name, column in samples.values.items() if name not in SIZES}
    return {**made, **sizes, **rates}
