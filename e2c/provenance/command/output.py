"""Answers in the formats that a user can ask for, written as they come."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from e2c.errors import ProvenanceError, QueryError
from e2c.provenance.command import render
from e2c.provenance.command.cells import cell, printable, width
from e2c.provenance.queries.answer import Answer
from e2c.provenance.queries.fields import FLOATS, INTEGERS, Block, Column, decoder, fields

FORMATS = ("table", "json", "jsonl", "csv", "parquet")
TERMINAL_ROWS = 1000
"""Rows of a table on a terminal, unless others are asked for."""

_WINDOW = 1000
"""Rows that give a table its widths: memory does not grow with what follows."""


class Limited:
    """The blocks of an answer, up to a number of rows.

    Args:
        unread: give fields as they were sent instead of values, where there are such.

    Attributes:
        taken: rows that were taken.
        more: whether there were others, known at the end.
    """

    def __init__(self, answer: Answer, most: int | None, unread: bool = False) -> None:
        as_sent = unread and answer.pieces is not None
        self._blocks: Iterator[Any] = fields(answer.pieces) if as_sent and answer.pieces else answer.blocks
        self._most = most
        self.taken = 0
        self.more = False

    def __iter__(self) -> Iterator[Block]:
        for block in self._blocks:
            size = len(block[0]) if block else 0
            if self._most is not None and self.taken + size > self._most:
                self.more = True
                left = self._most - self.taken
                if left:
                    self.taken += left
                    yield [values[:left] for values in block]
                return
            self.taken += size
            yield block

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Row by row."""
        for block in self:
            yield from zip(*block, strict=True)


def write(answer: Answer, form: str, out: BinaryIO, most: int | None) -> Limited:
    """Write an answer.

    Args:
        form: one of :data:`FORMATS`, or ``raw``, which another process of this program reads.
        most: most rows; None means all.

    Raises:
        ProvenanceError: a package that the format needs is not installed.
        QueryError: the answer broke off, or has a value that the format cannot hold.
    """
    limited = Limited(answer, most, form == "csv")
    if form == "raw":
        for piece in answer.sent():
            out.write(piece)
        out.flush()
    elif form == "parquet":
        _parquet(answer, limited, out)
    else:
        for text in _TEXTS[form](answer, limited):
            out.write(text.encode())
        out.flush()
    return limited


@contextmanager
def target(path: Path | None, form: str) -> Iterator[BinaryIO]:
    """The file that receives an answer; it appears when it is whole. None is standard output.

    Raises:
        QueryError: it cannot be written, or would be binary data on a terminal.
    """
    if path is None:
        if form == "parquet" and sys.stdout.isatty():
            raise QueryError("parquet is no text for a terminal", hint="Name a file: `--output FILE`")
        sys.stdout.flush()
        yield sys.stdout.buffer
        return
    part = path.with_name(f".{path.name}.part")
    try:
        try:
            file = part.open("wb")
        except OSError as error:
            raise QueryError("--output cannot be written", where=str(path), why=error.strerror) from error
        with file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def most_rows(asked: int | None, form: str, path: Path | None) -> int | None:
    """How many rows are written: what was asked for, 0 meaning all, and for people on a terminal no endless table."""
    if asked is not None:
        return asked or None
    return TERMINAL_ROWS if form == "table" and path is None and sys.stdout.isatty() else None


def notice(limited: Limited) -> None:
    """Say on stderr that there were more rows."""
    if limited.more:
        sys.stdout.flush()
        print(f"... there are more than these {limited.taken} rows; `--limit 0` gives all", file=sys.stderr)


# ------------------------------------------------------------------------------------------------------- formats


def _json(answer: Answer, limited: Limited) -> Iterator[str]:
    separator = "["
    for row in limited.rows():
        yield separator + _object(answer.columns, row)
        separator = ",\n "
    yield "[]\n" if separator == "[" else "]\n"


def _jsonl(answer: Answer, limited: Limited) -> Iterator[str]:
    for row in limited.rows():
        yield _object(answer.columns, row) + "\n"


def _object(names: Sequence[str], row: Sequence[Any]) -> str:
    return json.dumps(dict(zip(names, map(render.json_value, row), strict=True)), ensure_ascii=False)


def _csv(answer: Answer, limited: Limited) -> Iterator[str]:
    """Fields are quoted where they must be; NULL is an empty field, an empty text is ``""``."""
    yield ",".join(map(_csv_text, answer.columns)) + "\n"
    writers = [_csv_values if answer.pieces is None else _csv_writer(column) for column in answer.described]
    for block in limited:
        columns = [write(values) for write, values in zip(writers, block, strict=True)]
        yield "\n".join(map(",".join, zip(*columns, strict=True))) + "\n"


def _csv_values(values: Sequence[Any]) -> Sequence[str]:
    return ["" if value is None else _csv_text(cell(value)) for value in values]


def _csv_writer(column: Column) -> Callable[[Sequence[str]], Sequence[str]]:
    """What writes the fields of a column as they were sent: most need not be read for that."""
    decode = decoder(column)

    def numbers(sent: Sequence[str]) -> Sequence[str]:
        return ["" if value is None else repr(value) for value in decode(sent)]

    def as_sent(sent: Sequence[str]) -> Sequence[str]:
        return ["" if field == "NULL" else field for field in sent] if "NULL" in sent else sent

    def texts(sent: Sequence[str]) -> Sequence[str]:
        together = " ".join(sent)  # so that two quotes in a row are an empty text
        if "NULL" in sent or "''" in together or _SPECIAL.search(together) or "\\" in together:
            return _csv_values(decode(sent))
        return [field[1:-1] for field in sent]

    if column.type in FLOATS:
        return numbers
    if column.type in _AS_SENT:
        return as_sent
    if column.type in ("clob", "varchar"):
        return texts
    return lambda sent: _csv_values(decode(sent))


_AS_SENT = INTEGERS | {"decimal", "boolean", "timestamp", "timestamptz", "date", "time", "timetz", "uuid"}


def _csv_text(text: str) -> str:
    if not text or _SPECIAL.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


_SPECIAL = re.compile('[",\r\n]')


def _table(answer: Answer, limited: Limited) -> Iterator[str]:
    window: list[list[str]] = []
    widths: list[int] = []
    rights = answer.numeric

    def line(cells: Sequence[str]) -> str:
        padded = [
            (" " * (wide - width(text)) + text) if right else (text + " " * (wide - width(text)))
            for text, wide, right in zip(cells, widths, rights, strict=True)
        ]
        return "  ".join(padded).rstrip() + "\n"

    def begin() -> Iterator[str]:
        names = [printable(name) for name in answer.columns]
        widths.extend(max(map(width, column)) for column in zip(names, *window, strict=True))
        yield line(names)
        yield line(["-" * wide for wide in widths])
        yield from map(line, window)

    if not answer.described:
        return
    for row in limited.rows():
        cells = [printable(cell(value)) for value in row]
        if widths:
            yield line(cells)
            continue
        window.append(cells)
        if len(window) == _WINDOW:
            yield from begin()
    if not widths:
        yield from begin()


_TEXTS: dict[str, Callable[[Answer, Limited], Iterator[str]]] = {
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "table": _table,
}


# ------------------------------------------------------------------------------------------------------- parquet


def _parquet(answer: Answer, limited: Limited, out: BinaryIO) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ProvenanceError(
            "parquet needs pyarrow, which is not installed", hint='Install it: `pip install "e2c[parquet]"`'
        ) from error
    schema = pyarrow.schema([(column.name, _arrow(pyarrow, column)) for column in answer.described])
    with parquet.ParquetWriter(out, schema) as writer:
        held: list[Block] = []
        size = 0

        def flush() -> None:
            nonlocal size
            try:
                arrays = [
                    pyarrow.array([value for block in held for value in block[place]], kind.type)
                    for place, kind in enumerate(schema)
                ]
            except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
                raise QueryError("a value cannot be written as parquet", why=str(error).splitlines()[0]) from error
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            held.clear()
            size = 0

        for block in limited:
            held.append(block)
            size += len(block[0])
            if size >= 1 << 16:
                flush()
        if held:
            flush()


def _arrow(pyarrow: Any, column: Any) -> Any:
    simple = {
        "tinyint": pyarrow.int8(),
        "smallint": pyarrow.int16(),
        "int": pyarrow.int32(),
        "month_interval": pyarrow.int32(),
        "bigint": pyarrow.int64(),
        "hugeint": pyarrow.decimal128(38, 0),
        "real": pyarrow.float32(),
        "double": pyarrow.float64(),
        "boolean": pyarrow.bool_(),
        "timestamp": pyarrow.timestamp("us"),
        "timestamptz": pyarrow.timestamp("us", tz="UTC"),
        "date": pyarrow.date32(),
        "time": pyarrow.time64("us"),
        "day_interval": pyarrow.duration("us"),
        "sec_interval": pyarrow.duration("us"),
        "blob": pyarrow.binary(),
    }
    if column.type == "decimal":
        return pyarrow.decimal128(max(column.digits, column.scale, 1), column.scale)
    return simple.get(column.type, pyarrow.string())
