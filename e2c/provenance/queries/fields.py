"""Rows as the server sends them in bulk: lines of fields with tabs between, and the values they stand for."""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

INTO = "INTO 'rows' ON CLIENT USING DELIMITERS E'\\t', E'\\n', '''' NULL AS 'NULL'"
"""End of the ``COPY`` statement that sends rows in this form: texts in quotes and escaped, so tabs are only between."""

INTEGERS = frozenset(("tinyint", "smallint", "int", "bigint", "hugeint", "month_interval"))
FLOATS = frozenset(("real", "double"))
NUMERIC = INTEGERS | FLOATS | {"decimal", "oid"}


@dataclass(frozen=True)
class Column:
    """A column of a result."""

    name: str
    type: str = "clob"  # as MonetDB names it
    digits: int = 0
    scale: int = 0


Block = list[Sequence[Any]]
"""Some rows: for each column its values."""


def blocks(columns: Sequence[Column], pieces: Iterable[bytes]) -> Iterator[Block]:
    """The values of a result, from pieces of any size."""
    decoders = [decoder(column) for column in columns]
    for block in fields(pieces):
        yield [decode(values) for decode, values in zip(decoders, block, strict=True)]


def fields(pieces: Iterable[bytes]) -> Iterator[list[tuple[str, ...]]]:
    """The fields of a result as they were sent, for each column, from pieces of any size."""
    rest = b""
    for piece in pieces:
        whole, mark, tail = piece.rpartition(b"\n")
        if not mark:
            rest += piece
            continue
        lines = (rest + whole).decode().split("\n")
        rest = tail
        yield list(zip(*[line.split("\t") for line in lines], strict=True))


Decoder = Callable[[Sequence[str]], Sequence[Any]]


def decoder(column: Column) -> Decoder:
    """What makes values of a column's fields."""
    if column.type in INTEGERS:
        return _nullable(int)
    if column.type in FLOATS:
        return _nullable(float)
    return _nullable(_SINGLE.get(column.type, _text))


def _nullable(one: Callable[[str], Any]) -> Decoder:
    def decode(fields: Sequence[str]) -> Sequence[Any]:
        if "NULL" in fields:
            return [None if field == "NULL" else one(field) for field in fields]
        return list(map(one, fields))

    return decode


def _text(field: str) -> str:
    if field[:1] == "'":
        field = field[1:-1]
        if "\\" in field:
            return _ESCAPE.sub(_unescaped, field.encode()).decode()
    return field


def _double_quoted(field: str) -> str:
    """Some types keep their own quotes, whatever quotes were asked for."""
    return _text(f"'{field[1:-1]}'") if field[:1] == '"' else _text(field)


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPES.get(code, code)


_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"f": b"\f", b"b": b"\b", b"a": b"\a", b"v": b"\v"}


def _or_text(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Years before 1 and after 9999 have no value in Python, and stay texts."""

    def one(field: str) -> Any:
        try:
            return read(field)
        except ValueError:
            return field

    return one


def _moment(field: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(_six_digits(field))


def _time(field: str) -> datetime.time:
    return datetime.time.fromisoformat(_six_digits(field))


def _six_digits(field: str) -> str:
    """Python 3.10 reads fractions of three or six digits."""
    if field[-7:-6] == "." or "." not in field:
        return field
    return re.sub(r"\.(\d+)", lambda match: f".{match.group(1)[:6]:0<6}", field)


def line(values: Sequence[Any]) -> bytes:
    """A row of texts in this form."""
    fields = ["NULL" if value is None else f"'{_WRITTEN.sub(_escaped, str(value))}'" for value in values]
    return "\t".join(fields).encode() + b"\n"


_WRITTEN = re.compile(r"[\x00-\x1f\x7f\\']")


def _escaped(match: re.Match[str]) -> str:
    return f"\\{ord(match.group()):03o}"


def _seconds(field: str) -> datetime.timedelta:
    return datetime.timedelta(milliseconds=int(decimal.Decimal(field) * 1000))


_SINGLE: dict[str, Callable[[str], Any]] = {
    "boolean": "true".__eq__,
    "decimal": decimal.Decimal,
    "timestamp": _or_text(_moment),
    "timestamptz": _or_text(_moment),
    "date": _or_text(datetime.date.fromisoformat),
    "time": _or_text(_time),
    "timetz": _or_text(_time),
    "day_interval": _or_text(_seconds),
    "sec_interval": _or_text(_seconds),
    "blob": bytes.fromhex,
    "json": _double_quoted,
    "url": _double_quoted,
}
