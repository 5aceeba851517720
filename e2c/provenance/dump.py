"""The database as SQL statements that restore it exactly, and as CSV files.

``monetdbe_dump_database`` of the server's libraries loses timestamps and digits, so this is a generator of our own. All
of a dump is one snapshot, however much arrives meanwhile. Each statement ends with ``;`` and a new line, which occur in
no text, because new lines in texts are escaped.
"""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from e2c.errors import ProvenanceError
from e2c.provenance.connections import connect, downloader, explain, rows
from e2c.provenance.folder import DataFolder
from e2c.provenance.names import SCHEMA, qualified, quoted

ROWS_PER_STATEMENT = 500
BYTES_PER_STATEMENT = 1 << 18

_TYPES = {"int": "INTEGER", "clob": "TEXT", "timestamp": "TIMESTAMP"}
# MonetDB has no literal for infinities, and takes -0 for 0 when a statement holds both; its JSON reader is exact.
_SPECIAL = {
    field: b'"json"."number"(CAST(\'' + number + b"' AS JSON))"
    for field, number in ((b"inf", b"1e400"), (b"-inf", b"-1e400"), (b"-0", b"-0"))
}


@dataclass(frozen=True)
class Table:
    """A table or view as the database describes it."""

    id: int
    schema: str
    name: str
    query: str | None  # of a view
    columns: tuple[tuple[str, str, bool], ...]  # name, SQL type, nullable
    key: tuple[str, ...]

    @property
    def target(self) -> str:
        """Its qualified name."""
        return qualified(self.name, self.schema)


def dump(folder: DataFolder, out: BinaryIO) -> int:
    """Write the SQL dump. Returns the number of rows in it.

    Raises:
        ProvenanceError: the database does not answer, or ``out`` cannot be written.
    """
    with _snapshot(folder) as connection:
        tables = list(describe(connection))
        _statement(out, f"CREATE SCHEMA IF NOT EXISTS {quoted(SCHEMA)}")
        _statement(out, f"SET SCHEMA {quoted(SCHEMA)}")
        for schema in sorted({table.schema for table in tables} - {SCHEMA}):
            _statement(out, f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        total = 0
        for table in tables:
            if table.query is None:
                _statement(out, _definition(table))
                total += _insertions(connection, table, out)
        for table in tables:
            if table.query is not None:
                _statement(out, table.query)
        return total


def export_csv(folder: DataFolder, destination: Path) -> list[Path]:
    """Write a CSV file for each table and set: header, texts quoted, NULL as an empty field.

    The file of a set is named like its view, or like its table where the short view belongs to another dataflow.

    Raises:
        ProvenanceError: the database does not answer, or a file cannot be written.
    """
    destination.mkdir(parents=True, exist_ok=True)
    written = []
    with _snapshot(folder) as connection:
        tables = {table.name: table for table in describe(connection) if table.schema == SCHEMA}
        sets = rows(connection, 'SELECT table_name, view_name FROM "public".data_set')
        names = {name: name for name, table in tables.items() if table.query is None}
        for table, view in sets:
            if view is not None:
                del names[table]
                names[view] = view
        for name in sorted([*names, *({"performance", "undeclared"} & set(tables))]):
            path = destination / f"{_file_name(name)}.csv"
            with path.open("wb") as out:
                _csv(connection, tables[name], out)
            written.append(path)
    return written


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
    for number, schema, name, query, kind in found:
        yield Table(
            number,
            schema,
            name,
            query.strip(" \n;") if kind == 1 else None,
            tuple(
                (column, _type(sql, digits, scale), nullable)
                for table, column, sql, digits, scale, nullable in columns
                if table == number
            ),
            tuple(column for table, column in keys if table == number),
        )


def _type(name: str, digits: int, scale: int) -> str:
    if name in ("varchar", "char") and digits:
        return f"{name}({digits})"
    if name == "decimal":
        return f"decimal({digits},{scale})"
    return _TYPES.get(name, name.upper())


def _definition(table: Table) -> str:
    lines = [f"{quoted(name)} {kind}{'' if nullable else ' NOT NULL'}" for name, kind, nullable in table.columns]
    if table.key:
        lines.append(f"PRIMARY KEY ({', '.join(quoted(name) for name in table.key)})")
    return f"CREATE TABLE {table.target} ({', '.join(lines)})"


def _insertions(connection: Any, table: Table, out: BinaryIO) -> int:
    prefix = f"INSERT INTO {table.target} VALUES\n".encode()
    forms = [_form(kind) for _, kind, _ in table.columns]
    pending: list[bytes] = []
    size = total = 0

    def flush() -> None:
        nonlocal size
        if pending:
            out.write(prefix + b",\n".join(pending) + b";\n")
            pending.clear()
            size = 0

    def row(fields: list[bytes]) -> None:
        nonlocal size, total
        values = b",".join([form(value) for form, value in zip(forms, fields, strict=True)])
        pending.append(b"(" + values + b")")
        size += len(values)
        total += 1
        if len(pending) >= ROWS_PER_STATEMENT or size >= BYTES_PER_STATEMENT:
            flush()

    _stream(connection, table, row)
    flush()
    return total


def _form(kind: str) -> Callable[[bytes], bytes]:
    """How an exported field becomes a literal."""
    if kind == "DOUBLE":
        return _double
    if kind == "TIMESTAMP":
        return _timestamp
    return bytes


def _double(field: bytes) -> bytes:
    if field in _SPECIAL:
        return _SPECIAL[field]
    if field == b"NULL" or b"e" in field:
        return field
    return field + b"e0"  # without an exponent it would be read as a decimal, and rounded twice


def _timestamp(field: bytes) -> bytes:
    return field if field == b"NULL" else b"'" + field + b"'"


def _csv(connection: Any, table: Table, out: BinaryIO) -> None:
    out.write(",".join(_csv_text(name) for name, _, _ in table.columns).encode() + b"\n")

    def row(fields: list[bytes]) -> None:
        out.write(b",".join([_csv_field(field) for field in fields]) + b"\n")

    _stream(connection, table, row)


def _csv_field(field: bytes) -> bytes:
    if field == b"NULL":
        return b""
    if not field.startswith(b"'"):
        return field
    return b'"' + _ESCAPE.sub(_unescaped, field[1:-1]).replace(b'"', b'""') + b'"'


def _csv_text(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match.group(1)
    return bytes([int(code, 8)]) if len(code) == 3 else _ESCAPES.get(code, code)


_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"f": b"\f", b"b": b"\b", b"a": b"\a", b"v": b"\v"}


def _stream(connection: Any, table: Table, row: Callable[[list[bytes]], None]) -> None:
    """Hand on each row as exported fields: numbers as they are, texts quoted and escaped, ``NULL``."""
    rest = b""

    def receive(piece: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            row(line.split(b"\t"))

    names = ", ".join(quoted(name) for name, _, _ in table.columns)
    connection.set_downloader(downloader(receive))
    connection.cursor().execute(
        f"COPY SELECT {names} FROM {table.target} INTO 'rows' ON CLIENT "
        "USING DELIMITERS E'\\t', E'\\n', '''' NULL AS 'NULL'"
    )
    if rest:
        raise ProvenanceError("an export broke off", where=table.target)


def _file_name(name: str) -> str:
    """A table's name as a file name: what could leave the folder or needs quoting in a shell becomes ``_``."""
    return "".join(character if character.isalnum() or character in "_-." else "_" for character in name).lstrip(".")


@contextmanager
def _snapshot(folder: DataFolder) -> Iterator[Any]:
    """A connection in one read transaction."""
    import pymonetdb

    connection = connect(folder)
    try:
        yield connection
        connection.rollback()
    except (pymonetdb.Error, OSError) as error:
        raise ProvenanceError("the export failed", why=explain(error)) from error
    finally:
        connection.close()


def _statement(out: BinaryIO, sql: str) -> None:
    out.write(sql.encode() + b";\n")
