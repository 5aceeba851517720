"""Parquet files of all tables and sets, by the package ``pyarrow``.

Doubles are bit for bit what was captured: NaN is NaN where the database has NULL for it and knows so in
``exact_value``. Timestamps are microseconds in UTC.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance.export.selection import Selection
from e2c.provenance.export.snapshot import Fields, Snapshot, unescaped
from e2c.provenance.export.tables import ExportedTable, exported_tables
from e2c.provenance.names import literal
from e2c.provenance.progress import Progress

ROW_GROUP = 1 << 14
"""Rows of a row group."""

GROUP_BYTES = 16 << 20
"""A row group ends earlier when its texts reach this size."""


def require() -> None:
    """See that the package is there.

    Raises:
        ProvenanceError: it is not.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ProvenanceError(
            "Parquet needs the Python package pyarrow", hint="Install it: pip install 'e2c[parquet]'"
        ) from error


def write(found: Snapshot, selection: Selection, destination: Path, progress: Progress) -> list[Path]:
    """Write a Parquet file for each table and set into an existing folder. Returns the files.

    Raises:
        ProvenanceError: the database does not answer.
        OSError: a file cannot be written.
    """
    written = []
    for table in exported_tables(found, selection, progress):
        path = destination / f"{table.file}.parquet"
        _File(found, table, progress).write(path)
        written.append(path)
    return written


class _File:
    """One file."""

    def __init__(self, found: Snapshot, table: ExportedTable, progress: Progress) -> None:
        import pyarrow

        self._arrow = pyarrow
        self._found = found
        self._table = table
        self._progress = progress
        types = {
            "INTEGER": pyarrow.int32(),
            "BIGINT": pyarrow.int64(),
            "DOUBLE": pyarrow.float64(),
            "BOOLEAN": pyarrow.bool_(),
            "TIMESTAMP": pyarrow.timestamp("us", tz="UTC"),
        }
        fields = [
            pyarrow.field(column.name, types.get(column.type, pyarrow.string()), column.nullable)
            for column in table.columns
        ]
        self._schema = pyarrow.schema(fields)
        self._pending: list[Fields] = []
        self._size = 0
        self._nan = _not_numbers(found, table)
        ids = [place for place, column in enumerate(table.columns) if column.name == "id"]
        self._id = ids[0] if ids else 0

    def write(self, path: Path) -> None:
        """Write the rows."""
        from pyarrow import parquet

        with parquet.ParquetWriter(path, self._schema, compression="zstd") as writer:

            def row(fields: Fields) -> None:
                self._pending.append(fields)
                self._size += sum(map(len, fields))
                if len(self._pending) >= ROW_GROUP or self._size >= GROUP_BYTES:
                    self._flush(writer)

            self._found.stream(self._table.select, row)
            self._flush(writer)

    def _flush(self, writer: Any) -> None:
        if not self._pending:
            return
        columns = list(zip(*self._pending, strict=True))
        ids = [int(field) for field in columns[self._id]] if self._nan else []
        arrays = []
        for column, fields, described in zip(self._table.columns, columns, self._schema, strict=True):
            values = _values(column.type, fields)
            if column.name in self._nan:
                known = self._nan[column.name]
                values = [
                    math.nan if value is None and _among(number, known) else value
                    for number, value in zip(ids, values, strict=True)
                ]
            arrays.append(self._array(values, column.type, described.type))
        writer.write_batch(self._arrow.record_batch(arrays, schema=self._schema))
        self._progress.step(len(self._pending))
        self._pending, self._size = [], 0

    def _array(self, values: list[Any], kind: str, type_: Any) -> Any:
        if kind == "TIMESTAMP":
            return self._arrow.array(values, self._arrow.string()).cast(self._arrow.timestamp("us")).cast(type_)
        return self._arrow.array(values, type_)


def _values(kind: str, fields: tuple[bytes, ...]) -> list[Any]:
    if kind in ("INTEGER", "BIGINT"):
        return [None if field == b"NULL" else int(field) for field in fields]
    if kind == "DOUBLE":
        return [None if field == b"NULL" else float(field) for field in fields]
    if kind == "BOOLEAN":
        return [None if field == b"NULL" else field == b"true" for field in fields]
    if kind == "TIMESTAMP":
        return [None if field == b"NULL" else field.decode() for field in fields]
    return [
        None if field == b"NULL" else (unescaped(field) if field[:1] == b"'" else field).decode() for field in fields
    ]


def _not_numbers(found: Snapshot, table: ExportedTable) -> dict[str, array[int]]:
    """Elements whose value is NaN, in order, by column: four bytes for each."""
    if table.set is None:
        return {}
    out: dict[str, array[int]] = {}
    wanted = (
        'FROM "public".exact_value AS e JOIN "public".attribute AS a ON a.id = e.attribute_id '
        'JOIN "public".data_set AS s ON s.id = a.ds_id '
        f"WHERE s.table_name = {literal(table.name)} AND e.value = 'NaN'"
    )
    for number, column in found.rows(f"SELECT DISTINCT a.id, a.column_name {wanted}"):
        ids = out.setdefault(column, array("i"))

        def element(fields: Fields, ids: array[int] = ids) -> None:
            ids.append(int(fields[0]))

        found.stream(f"SELECT e.element_id {wanted} AND a.id = {number}", element)
        out[column] = array("i", sorted(ids))
    return out


def _among(number: int, ordered: array[int]) -> bool:
    place = bisect_left(ordered, number)
    return place < len(ordered) and ordered[place] == number
