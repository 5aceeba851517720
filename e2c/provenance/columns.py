"""Columns in the form of MonetDB's binary ``COPY``: little-endian, one buffer for each column."""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

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


def timestamps(values: Iterable[int | None]) -> bytes:
    """A column of type TIMESTAMP from microseconds since the epoch, UTC."""
    pack, minutes, out = _TIMESTAMP.pack, _MINUTES, []
    for value in values:
        if value is None:
            out.append(_NULL_TIMESTAMP)
            continue
        minute, rest = divmod(value, _MINUTE_US)
        parts = minutes.get(minute)
        if parts is None:
            if len(minutes) > 4096:
                minutes.clear()
            at = _EPOCH + timedelta(minutes=minute)
            parts = minutes[minute] = (at.minute, at.hour, 0, at.day, at.month, at.year)
        second, microsecond = divmod(rest, 1_000_000)
        out.append(pack(microsecond, second, *parts))
    return b"".join(out)


_MINUTES: dict[int, tuple[int, int, int, int, int, int]] = {}


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
