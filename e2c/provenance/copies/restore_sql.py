"""Reads what :mod:`~e2c.provenance.copies.dump` writes and nothing else: by lines, by the grammar of its statements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from e2c.errors import ProvenanceError
from e2c.provenance.copies.dump import FORMAT, HEAD, SPECIAL
from e2c.provenance.copies.restore_source import Block, Gathering, Source, damaged, moment, truth
from e2c.provenance.export.snapshot import unescaped
from e2c.provenance.names import SCHEMA, qualified

_NAME = r'"((?:[^"]|"")+)"'
_SCHEMA = re.compile(rf"CREATE SCHEMA IF NOT EXISTS {_NAME};\Z")
_SET_SCHEMA = f'SET SCHEMA "{SCHEMA}";'
_TABLE = re.compile(rf"CREATE TABLE {_NAME}\.{_NAME} \((.+)\);\Z")
_COLUMN = re.compile(rf"{_NAME} ([A-Z]+)( NOT NULL)?(?:, |\Z)")
_KEY = re.compile(rf"PRIMARY KEY \({_NAME}(?:, {_NAME})*\)\Z")
_ROWS = re.compile(rf"INSERT INTO {_NAME}\.{_NAME} VALUES\Z")
_VIEW = re.compile(r"create (?:or replace )?view (.+);\Z", re.IGNORECASE | re.DOTALL)

_NUMBERS = {value: float(name) for name, value in SPECIAL.items()}
_FORMS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "INTEGER": (rb"-?\d+", int),
    "BIGINT": (rb"-?\d+", int),
    "DOUBLE": (
        rb"-?\d+(?:\.\d+)?e[+-]?\d+|" + b"|".join(map(re.escape, SPECIAL.values())),
        lambda field: _NUMBERS[field] if field in _NUMBERS else float(field),
    ),
    "BOOLEAN": (rb"true|false", truth),
    "TEXT": (rb"'[^'\\]*(?:\\.[^'\\]*)*'", lambda field: unescaped(field).decode()),
    "TIMESTAMP": (rb"'-?\d{4,5}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}'", lambda field: moment(field[1:-1])),
}
"""Pattern of a literal of each type, and what reads it."""


def read_dump(path: Path) -> Source:
    """A dump as something to load.

    Raises:
        ProvenanceError: it cannot be read, or is no dump of this service.
    """
    try:
        with path.open("rb") as file:
            first = file.readline(64 << 20)
    except OSError as error:
        raise ProvenanceError("the dump cannot be read", where=str(path), why=error.strerror) from error
    if not first.startswith(HEAD.encode()):
        raise ProvenanceError(
            "this is no dump of `e2clab provenance dump`",
            where=str(path),
            why="its first line says nothing of what it holds",
            hint="Other SQL is not executed; a server's own client can load it",
        )
    try:
        head = json.loads(first[len(HEAD) :])
        version = head["format"]
        rows = {str(name): int(count) for name, count in head["rows"].items()}
        views = [str(name) for name in head["views"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        damaged(str(path), 1, "its first line is cut off or changed")
    if version != FORMAT:
        raise ProvenanceError(
            f"the dump has format {version}, and this version reads format {FORMAT}",
            where=str(path),
            hint="Import with the version that wrote it",
        )
    reading = _Reading(path, rows, views)
    names = {_plain(name, path): count for name, count in rows.items()}
    return Source(str(path), names, reading.blocks)


def _plain(target: str, path: Path) -> str:
    prefix = f'"{SCHEMA}".'
    name = target.removeprefix(prefix)
    if not target.startswith(prefix) or not re.fullmatch(_NAME, name):
        damaged(str(path), 1, f"there is a table {target}")
    return name[1:-1].replace('""', '"')


class _Reading:
    """One pass over a dump."""

    def __init__(self, path: Path, rows: dict[str, int], views: list[str]) -> None:
        self._path = path
        self._rows = rows
        self._views = views
        self._line = 1

    def blocks(self) -> Iterator[Block]:
        """The rows of all tables.

        Raises:
            ProvenanceError: a line is not what a dump has there.
        """
        tables: dict[str, Gathering] = {}
        views = []
        with self._path.open("rb") as file:
            file.readline()
            for raw in self._lines(file):
                text = self._decoded(raw)
                if (found := _ROWS.match(text)) is not None:
                    target = self._target(found)
                    if target not in tables:
                        self._damaged(f"rows of {target}, which is not defined")
                    yield from self._insertion(file, tables[target])
                elif (found := _TABLE.match(text)) is not None:
                    target = self._target(found)
                    if target in tables or target not in self._rows:
                        self._damaged(f"a definition of {target} that is not expected")
                    tables[target] = self._definition(found)
                    yield tables[target].block()
                elif (found := _VIEW.match(text)) is not None:
                    views.append(text)  # views are made anew, from what the tables say
                elif text != _SET_SCHEMA and _SCHEMA.match(text) is None:
                    self._damaged(f"{text[:60]!r} is no statement of a dump")
        if len(views) != len(self._views) or len(tables) != len(self._rows):
            self._damaged("it ends too early")

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        while raw := file.readline():
            self._line += 1
            while not raw.endswith(b";\n") and not raw.endswith(b" VALUES\n"):  # a view may have several lines
                more = file.readline() if raw[:6].lower() == b"create" else b""
                if not more:
                    self._damaged("it is cut off in the middle of a statement" if raw[-1:] != b"\n" else "no statement")
                self._line += 1
                raw += more
            yield raw.rstrip(b"\n")

    def _insertion(self, file: BinaryIO, table: Gathering) -> Iterator[Block]:
        row, readers = self._row(table)
        start = self._line
        while True:
            raw = file.readline()
            self._line += 1
            found = row.fullmatch(raw)
            if found is None:
                self._damaged(
                    f"no row of {qualified(table.table)}"
                    if raw.endswith(b"\n")
                    else "it is cut off in the middle of a row"
                )
            *fields, end = found.groups()
            try:
                values = tuple(
                    [None if field == b"NULL" else read(field) for read, field in zip(readers, fields, strict=True)]
                )
            except ValueError as error:
                self._damaged(str(error))
            full = table.add(values, len(raw))
            if full or end == b";":
                yield table.block(f"{self._path}:{start}")
            if end == b";":
                return

    def _row(self, table: Gathering) -> tuple[re.Pattern[bytes], list[Callable[[bytes], Any]]]:
        forms = [_FORMS[kind] for kind in table.types]
        fields = b",".join([b"(" + pattern + b"|NULL)" for pattern, _ in forms])
        return re.compile(rb"\(" + fields + rb"\)([,;])\n", re.DOTALL), [read for _, read in forms]

    def _definition(self, found: re.Match[str]) -> Gathering:
        name, body = found.group(2).replace('""', '"'), found.group(3)
        columns: list[str] = []
        types: list[str] = []
        place = 0
        while place < len(body):
            if _KEY.match(body, place):
                break
            column = _COLUMN.match(body, place)
            if column is None or column.group(2) not in _FORMS:
                self._damaged(f"a column of {name!r} that no table of this service has")
            columns.append(column.group(1).replace('""', '"'))
            types.append(column.group(2))
            place = column.end()
        if len(set(columns)) < len(columns) or not columns:
            self._damaged(f"the columns of {name!r}")
        return Gathering(name, tuple(columns), tuple(types), f"{self._path}:{self._line}")

    def _target(self, found: re.Match[str]) -> str:
        return f'"{found.group(1)}"."{found.group(2)}"'

    def _decoded(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            self._damaged(str(error))

    def _damaged(self, why: str) -> NoReturn:
        damaged(str(self._path), self._line, why)
