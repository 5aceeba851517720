"""One consistent state of the whole database, read in bounded memory.

All that is read through one :class:`Snapshot` is of the same moment, however much arrives meanwhile, because it is one
transaction. Rows come by ``COPY SELECT ... ON CLIENT``, which is exact and several times faster than fetching.
"""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance.connections import connect, downloader, explain, rows
from e2c.provenance.folder import DataFolder
from e2c.provenance.names import SCHEMA, qualified, quoted
from e2c.provenance.serving.visit import running

_TYPES = {"int": "INTEGER", "clob": "TEXT", "timestamp": "TIMESTAMP"}

Fields = list[bytes]
"""A row as the server exports it: numbers as they are, texts quoted and escaped, ``NULL``."""


@dataclass(frozen=True)
class Column:
    """A column as the database describes it."""

    name: str
    type: str  # SQL
    nullable: bool


@dataclass(frozen=True)
class Table:
    """A table or view as the database describes it."""

    id: int
    schema: str
    name: str
    query: str | None  # of a view
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Its qualified name."""
        return qualified(self.name, self.schema)

    @property
    def select(self) -> str:
        """A statement that gives all its rows."""
        return f"SELECT {', '.join(quoted(column.name) for column in self.columns)} FROM {self.target}"

    def ordered(self, names: Sequence[str]) -> Table:
        """The same table with the named columns first."""
        place = {name: index for index, name in enumerate(names)}
        return replace(self, columns=tuple(sorted(self.columns, key=lambda one: place.get(one.name, len(place)))))


class Snapshot:
    """The database at one moment."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows of a statement with a small answer."""
        return rows(self.connection, sql)

    def execute(self, sql: str) -> None:
        """Execute a statement on temporary tables."""
        self.connection.cursor().execute(sql)

    def stream(self, select: str, row: Callable[[Fields], None]) -> None:
        """Hand on each row of a statement.

        Raises:
            ProvenanceError: the answer broke off.
        """
        rest = b""

        def receive(piece: bytes) -> None:
            nonlocal rest
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                row(line.split(b"\t"))

        self.connection.set_downloader(downloader(receive))
        self.execute(f"COPY {select} INTO 'rows' ON CLIENT USING DELIMITERS E'\\t', E'\\n', '''' NULL AS 'NULL'")
        if rest:
            raise ProvenanceError("an export broke off", why="the last row has no end")

    def values(self, select: str, kinds: Sequence[str], row: Callable[[list[Any]], None]) -> None:
        """Hand on each row of a statement as Python values: timestamps in UTC, without a zone.

        Args:
            kinds: SQL type of each column.
        """
        readers = [reader(kind) for kind in kinds]

        def convert(fields: Fields) -> None:
            row([None if field == b"NULL" else read(field) for read, field in zip(readers, fields, strict=True)])

        self.stream(select, convert)

    def tables(self) -> list[Table]:
        """Tables and views of this service, in the order they were made; a server may hold others as well."""
        ours = {SCHEMA} | {name for (name,) in self.rows('SELECT schema_name FROM "public".dataflow')}
        return [table for table in describe(self.connection) if table.schema in ours]

    def sets(self) -> dict[str, str]:
        """Name under which the rows of each set are exported, by its table: its view, where it has one."""
        found = self.rows('SELECT table_name, view_name FROM "public".data_set')
        return {table: view or table for table, view in found}


@contextmanager
def snapshot(folder: DataFolder, what: str = "the export") -> Iterator[Snapshot]:
    """Read the database of a data folder in one transaction. Where no service runs, it is started for this time.

    Raises:
        ProvenanceError: the database does not answer, or breaks off; or what is read cannot be written.
    """
    import pymonetdb

    with running(folder):
        connection = connect(folder)
        try:
            yield Snapshot(connection)
            connection.rollback()
        except (pymonetdb.Error, ConnectionError) as error:
            raise ProvenanceError(f"{what} failed", why=explain(error)) from error
        finally:
            connection.close()


def describe(connection: Any) -> Iterator[Table]:
    """Tables and views of users, in the order they were made."""
    found = rows(
        connection,
        "SELECT t.id, s.name, t.name, t.query, t.type FROM sys.tables AS t JOIN sys.schemas AS s ON s.id = t.schema_id "
        "WHERE NOT t.system AND t.type IN (0, 1) AND s.name <> 'tmp' ORDER BY t.id",
    )
    columns = rows(
        connection,
        'SELECT table_id, name, type, type_digits, type_scale, "null" FROM sys.columns ORDER BY table_id, number',
    )
    keys = rows(
        connection,
        "SELECT k.table_id, o.name FROM sys.keys AS k JOIN sys.objects AS o ON o.id = k.id "
        "WHERE k.type = 0 ORDER BY k.id, o.nr",
    )
    by_table: dict[int, list[Column]] = {}
    for table, column, sql, digits, scale, nullable in columns:
        by_table.setdefault(table, []).append(Column(column, _type(sql, digits, scale), nullable))
    for number, schema, name, query, kind in found:
        yield Table(
            number,
            schema,
            name,
            query.strip(" \n;") if kind == 1 else None,
            tuple(by_table[number]),
            tuple(column for table, column in keys if table == number),
        )


def _type(name: str, digits: int, scale: int) -> str:
    if name in ("varchar", "char") and digits:
        return f"{name}({digits})"
    if name == "decimal":
        return f"decimal({digits},{scale})"
    return _TYPES.get(name, name.upper())


def reader(kind: str) -> Callable[[bytes], Any]:
    """What turns an exported field, not NULL, into a Python value."""
    return _READERS.get(kind, _text)


def unescaped(field: bytes) -> bytes:
    """The UTF-8 of an exported text."""
    inner = field[1:-1]
    return _ESCAPE.sub(_character, inner) if b"\\" in inner else inner


def _text(field: bytes) -> str:
    return unescaped(field).decode() if field[:1] == b"'" else field.decode()


def _character(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPES.get(code, code)


_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"f": b"\f", b"b": b"\b", b"a": b"\a", b"v": b"\v"}


def _moment(field: bytes) -> datetime:
    return datetime.fromisoformat(field.decode())


def _truth(field: bytes) -> bool:
    return field == b"true"


_READERS: dict[str, Callable[[bytes], Any]] = {
    "INTEGER": int,
    "BIGINT": int,
    "SMALLINT": int,
    "TINYINT": int,
    "HUGEINT": int,
    "DOUBLE": float,
    "REAL": float,
    "BOOLEAN": _truth,
    "TIMESTAMP": _moment,
}
