"""Columns in the form of MonetDB's binary ``COPY``: little-endian, one buffer for each column."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from e2c.provenance.names import quoted

INTEGER_NULL = -(1 << 31)
BIGINT_NULL = -(1 << 63)
_NULL_TEXT = b"\x80"  # alone it is not UTF-8, so no text can be taken for it
_NULL_TIMESTAMP = struct.pack("<IBBBBBBh", 0xFFFFFFFF, 255, 255, 255, 255, 255, 255, -1)
_TIMESTAMP = struct.Struct("<IBBBBBBh")  # microseconds, second, minute, hour, padding, day, month, year
_EPOCH = datetime(1970, 1, 1)
_MINUTE_US = 60_000_000

EARLIEST_US = int((datetime(1, 1, 2) - _EPOCH) / timedelta(microseconds=1))
LATEST_US = int((datetime(9999, 12, 31) - _EPOCH) / timedelta(microseconds=1))
"""Bounds of a timestamp, in microseconds since the epoch."""


def integers(values: Iterable[int]) -> bytes:
    """A column of type INTEGER; ``INTEGER_NULL`` means NULL."""
    return _little(array("i", values))


def checksums(values: Iterable[str]) -> bytes:
    """A column of type INTEGER with the CRC-32 of texts, without its highest bit."""
    return integers([crc32(value.encode()) & 0x7FFFFFFF for value in values])


def bigints(values: Iterable[int]) -> bytes:
    """A column of type BIGINT; ``BIGINT_NULL`` means NULL."""
    return _little(array("q", values))


def doubles(values: Any) -> bytes:
    """A column of type DOUBLE; NaN means NULL."""
    if isinstance(values, memoryview) and values.format == "d" and sys.byteorder == "little":
        return values.tobytes()
    return _little(array("d", values))


def texts(values: Sequence[str | None]) -> bytes:
    """A column of type TEXT.

    Raises:
        UnicodeEncodeError: a lone surrogate.
    """
    if None in values:
        return _kept(b"".join([_NULL_TEXT + b"\0" if value is None else value.encode() + b"\0" for value in values]))
    return _kept(("\0".join(values) + "\0").encode()) if values else b""  # type: ignore[arg-type]


def same_text(value: str | None, rows: int) -> bytes:
    """A column of type TEXT with one value."""
    return _kept((_NULL_TEXT if value is None else value.encode()) + b"\0") * rows


def _kept(column: bytes) -> bytes:
    """MonetDB 11.41 drops a carriage return that stands before a line feed, one of them, so it gets one more."""
    return column.replace(b"\r\n", b"\r\r\n") if b"\r\n" in column else column


def timestamps(values: Sequence[int | None]) -> bytes:
    """A column of type TIMESTAMP from microseconds since the epoch, UTC."""
    known = [value for value in values if value is not None] if None in values else values
    if not known:
        return _NULL_TIMESTAMP * len(values)
    # Three words for each: microseconds; second, minute, hour; day, month, year. Many have the same second.
    seconds = [value // 1_000_000 for value in known]  # type: ignore[operator]
    for second in set(seconds) - _SECONDS.keys():
        if len(_SECONDS) > _MAX_SECONDS:
            _SECONDS.clear()
            return timestamps(values)
        _SECONDS[second] = _words(second)
    words = [_SECONDS[second] for second in seconds]
    column = array("I", bytes(12 * len(known)))
    column[::3] = array("I", [value % 1_000_000 for value in known])  # type: ignore[operator]
    column[1::3] = array("I", [clock for clock, _ in words])
    column[2::3] = array("I", [day for _, day in words])
    data = _little(column)
    return data if len(known) == len(values) else _with_nulls(values, data)


def _words(second: int) -> tuple[int, int]:
    day, rest = divmod(second, 86_400)
    minutes, seconds = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    date = _DAYS.get(day)
    if date is None:
        if len(_DAYS) > _MAX_SECONDS:
            _DAYS.clear()
        at = _EPOCH + timedelta(days=day)
        date = _DAYS[day] = at.day | at.month << 8 | at.year << 16
    return seconds | minutes << 8 | hours << 16, date


def _with_nulls(values: Sequence[int | None], data: bytes) -> bytes:
    pieces = iter(range(0, len(data), _TIMESTAMP.size))
    size = _TIMESTAMP.size
    return b"".join([_NULL_TIMESTAMP if value is None else data[(at := next(pieces)) : at + size] for value in values])


_SECONDS: dict[int, tuple[int, int]] = {}
_DAYS: dict[int, int] = {}
_MAX_SECONDS = 1 << 14


def moment(time_us: int) -> str:
    """An SQL literal of type TIMESTAMP."""
    return f"TIMESTAMP '{(_EPOCH + timedelta(microseconds=time_us)).isoformat(sep=' ', timespec='microseconds')}'"


class Rows:
    """Rows on their way into one table."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.count = 0
        self._chunks: list[tuple[int, Mapping[str, tuple[str, bytes]]]] = []
        self._types: dict[str, str] = {}

    def append(self, count: int, columns: Mapping[str, tuple[str, bytes]]) -> None:
        """Add rows: type and bytes of each column, by name. Columns that are not given are NULL."""
        self._chunks.append((count, columns))
        for name, (kind, _) in columns.items():
            self._types[name] = kind
        self.count += count

    def statement(self) -> str:
        """The ``COPY`` that asks the client for :meth:`columns`."""
        names = ", ".join(quoted(name) for name in self._types)
        parts = ", ".join(f"'{index}'" for index in range(len(self._types)))
        return f"COPY LITTLE ENDIAN BINARY INTO {self.target} ({names}) FROM {parts} ON CLIENT"

    def columns(self) -> dict[str, bytes]:
        """Bytes by the names that :meth:`statement` uses."""
        out = {}
        for index, (name, kind) in enumerate(self._types.items()):
            null = NULLS[kind]
            out[str(index)] = b"".join(
                [columns[name][1] if name in columns else null * count for count, columns in self._chunks]
            )
        return out


def _little(numbers: array[Any]) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


NULLS = {
    "INTEGER": struct.pack("<i", INTEGER_NULL),
    "BIGINT": struct.pack("<q", BIGINT_NULL),
    "DOUBLE": struct.pack("<d", float("nan")),
    "TEXT": _NULL_TEXT + b"\0",
    "TIMESTAMP": _NULL_TIMESTAMP,
}
"""One NULL of each type."""
