"""The database as SQL statements that restore it exactly.

``monetdbe_dump_database`` of the server's libraries loses timestamps and digits, so this is a generator of our own. All
of a dump is one snapshot, however much arrives meanwhile. Each statement ends with ``;`` and a new line, which occur in
no text, because new lines in texts are escaped. The first line is a comment that says what the file must hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import BinaryIO

import e2c
from e2c.provenance.export.snapshot import Fields, Snapshot, Table, snapshot
from e2c.provenance.folder import DataFolder
from e2c.provenance.names import SCHEMA, quoted
from e2c.provenance.progress import Progress, quiet

FORMAT = 1
"""Version of the form of a dump."""

HEAD = "-- e2c provenance dump "

ROWS_PER_STATEMENT = 500
BYTES_PER_STATEMENT = 1 << 18

# MonetDB has no literal for infinities, and takes -0 for 0 when a statement holds both; its JSON reader is exact.
SPECIAL = {
    field: b'"json"."number"(CAST(\'' + number + b"' AS JSON))"
    for field, number in ((b"inf", b"1e400"), (b"-inf", b"-1e400"), (b"-0", b"-0"))
}
"""Expressions for the doubles that have no literal, by their exported form."""


def dump(folder: DataFolder, out: BinaryIO, progress: Progress = quiet) -> int:
    """Write the SQL dump. Returns the number of rows in it.

    Raises:
        ProvenanceError: the database does not answer.
        OSError: ``out`` cannot be written.
    """
    with snapshot(folder, "the dump") as found:
        tables = found.tables()
        counts = {
            table.target: found.rows(f"SELECT count(*) FROM {table.target}")[0][0]  # noqa: S608 - a quoted name
            for table in tables
            if table.query is None
        }
        head = {
            "format": FORMAT,
            "e2c": e2c.__version__,
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "rows": counts,
            "views": [table.target for table in tables if table.query is not None],
        }
        out.write(f"{HEAD}{json.dumps(head)}\n".encode())
        _statement(out, f"CREATE SCHEMA IF NOT EXISTS {quoted(SCHEMA)}")
        _statement(out, f"SET SCHEMA {quoted(SCHEMA)}")
        for schema in sorted({table.schema for table in tables} - {SCHEMA}):
            _statement(out, f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        progress.start(sum(counts.values()), "rows")
        for table in tables:
            if table.query is None:
                _statement(out, _definition(table))
                _insertions(found, table, out, progress)
        for table in tables:
            if table.query is not None:
                _statement(out, table.query)
        out.flush()
        return sum(counts.values())


def _definition(table: Table) -> str:
    lines = [f"{quoted(column.name)} {column.type}{'' if column.nullable else ' NOT NULL'}" for column in table.columns]
    if table.key:
        lines.append(f"PRIMARY KEY ({', '.join(quoted(name) for name in table.key)})")
    return f"CREATE TABLE {table.target} ({', '.join(lines)})"


def _insertions(found: Snapshot, table: Table, out: BinaryIO, progress: Progress) -> None:
    prefix = f"INSERT INTO {table.target} VALUES\n".encode()
    forms = [(place, _FORMS[column.type]) for place, column in enumerate(table.columns) if column.type in _FORMS]
    pending: list[bytes] = []
    size = 0

    def flush() -> None:
        nonlocal size
        out.write(prefix + b",\n".join(pending) + b";\n")
        progress.step(len(pending))
        pending.clear()
        size = 0

    def row(fields: Fields) -> None:
        nonlocal size
        for place, form in forms:
            fields[place] = form(fields[place])
        values = b"(" + b",".join(fields) + b")"
        pending.append(values)
        size += len(values)
        if len(pending) >= ROWS_PER_STATEMENT or size >= BYTES_PER_STATEMENT:
            flush()

    found.stream(table.select, row)
    if pending:
        flush()


def _double(field: bytes) -> bytes:
    if field in SPECIAL:
        return SPECIAL[field]
    if field == b"NULL" or b"e" in field:
        return field
    return field + b"e0"  # without an exponent it would be read as a decimal, and rounded twice


def _timestamp(field: bytes) -> bytes:
    return field if field == b"NULL" else b"'" + field + b"'"


_FORMS: dict[str, Callable[[bytes], bytes]] = {"DOUBLE": _double, "TIMESTAMP": _timestamp}
"""How an exported field becomes a literal, where it is none."""


def _statement(out: BinaryIO, sql: str) -> None:
    out.write(sql.encode() + b";\n")
