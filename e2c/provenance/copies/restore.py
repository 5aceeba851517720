"""A dump, or a folder of CSV files, as a data folder.

No statement of a file is executed: rows and definitions are read, checked, and stored by statements of our own. All of
it goes into a new folder beside the wanted one, which gets its name when every row is there.
"""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import glob
import os
import shutil
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from e2c.errors import ProvenanceError
from e2c.provenance.columns import BIGINT_NULL, INTEGER_NULL, bigints, doubles, integers, texts, timestamps
from e2c.provenance.connections import connect, explain, rows, uploader
from e2c.provenance.copies.restore_csv import read_csv
from e2c.provenance.copies.restore_source import Block, Source
from e2c.provenance.copies.restore_sql import read_dump
from e2c.provenance.dataflows.catalogue import Catalogue
from e2c.provenance.export.snapshot import describe
from e2c.provenance.folder import READER, DataFolder, write_json
from e2c.provenance.names import SCHEMA, literal, qualified, quoted
from e2c.provenance.progress import Progress, quiet
from e2c.provenance.serving.children import start_time
from e2c.provenance.serving.ownership import Ownership
from e2c.provenance.serving.visit import start

SET_TYPES = frozenset(("INTEGER", "DOUBLE", "TEXT"))
"""Types that the columns of a set can have."""


class Done(NamedTuple):
    """What was loaded."""

    tables: int
    rows: int


def restore(folder: DataFolder, source: Path, progress: Progress = quiet) -> Done:
    """Load a dump or a folder of CSV files into a data folder that does not exist yet, or is empty.

    Raises:
        ProvenanceError: the folder holds something, the source is damaged, or is not what this service writes. Then
            nothing is loaded.
    """
    import pymonetdb

    root = folder.root
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise ProvenanceError(
            "the data folder holds something already", where=str(root), hint="Import into a new folder with --data"
        )
    _clean(root)
    found = read_csv(source) if source.is_dir() else read_dump(source)
    part = DataFolder(root.with_name(f".{root.name}.{os.getpid()}.part"))
    try:
        with ExitStack() as cleanup:
            part.make()
            cleanup.enter_context(Ownership(part))
            part.passwords()
            write_json(part.dataflows, {"dataflows": []})
            start(part, cleanup)
            connection = connect(part)
            cleanup.callback(connection.close)
            try:
                done = _Loading(connection, found, progress).run()
            except (pymonetdb.Error, ConnectionError) as error:
                raise ProvenanceError("the import failed", where=str(source), why=explain(error)) from error
        part.database_endpoint.unlink(missing_ok=True)
        part.root.replace(root)
    except OSError as error:
        raise ProvenanceError("the import failed", where=str(root), why=error.strerror or str(error)) from error
    finally:
        shutil.rmtree(part.root, ignore_errors=True)
    return done


def _clean(root: Path) -> None:
    """Remove what an import that was killed has left."""
    for stale in root.parent.glob(f".{glob.escape(root.name)}.*.part"):
        pid = stale.name.split(".")[-2]
        if pid.isdigit() and start_time(int(pid)) is None:
            shutil.rmtree(stale, ignore_errors=True)


class _Loading:
    """One transaction that loads everything."""

    def __init__(self, connection: Any, source: Source, progress: Progress) -> None:
        self._connection = connection
        self._source = source
        self._progress = progress
        self._system = {
            table.name: {column.name: column.type for column in table.columns}
            for table in describe(connection)
            if table.schema == SCHEMA and table.query is None
        }
        self._loaded: dict[str, int] = {}

    def run(self) -> Done:
        """Load, verify and commit."""
        self._progress.start(sum(self._source.rows.values()), "rows")
        for block in self._source.blocks():
            if block.table not in self._loaded:
                self._prepare(block)
            if block.rows:
                self._copy(block)
        self._make_views()
        self._verify()
        self._connection.commit()
        return Done(len(self._loaded), sum(self._loaded.values()))

    def _prepare(self, block: Block) -> None:
        """See that the table is one that this service has; make it when it is the table of a set."""
        name, where = block.table, block.where
        columns = dict(zip(block.columns, block.types, strict=True))
        self._loaded[name] = 0
        if name in self._system:
            for column, kind in columns.items():
                known = self._system[name].get(column)
                if known is None:
                    raise ProvenanceError(
                        f"table {name!r} has the column {column!r}, which this version does not know",
                        where=where,
                        hint="Import with the version that wrote it, or a later one",
                    )
                if known != kind:
                    raise ProvenanceError(f"column {column!r} of table {name!r} is {kind}, not {known}", where=where)
            return
        if not self._rows(f'SELECT 1 FROM "public".data_set WHERE table_name = {literal(name)}'):
            raise ProvenanceError(f"table {name!r} is none of this service", where=where)
        wrong = next((kind for kind in block.types if kind not in SET_TYPES), None)
        if wrong is not None:
            raise ProvenanceError(f"table {name!r} has a column of type {wrong}, which no set has", where=where)
        lines = [f"{quoted(column)} {kind}{' NOT NULL' if column == 'id' else ''}" for column, kind in columns.items()]
        self._execute(f"CREATE TABLE {qualified(name)} ({', '.join(lines)})")
        self._execute(f"GRANT SELECT ON {qualified(name)} TO {READER}")

    def _copy(self, block: Block) -> None:
        # The server takes no NULL of type BOOLEAN in this form, so such rows go without the column.
        groups: dict[tuple[int, ...], list[tuple[Any, ...]]] = {}
        truths = [place for place, kind in enumerate(block.types) if kind == "BOOLEAN"]
        for row in block.rows:
            groups.setdefault(tuple(place for place in truths if row[place] is None), []).append(row)
        for left_out, group in groups.items():
            self._copy_columns(block, group, left_out)
        self._loaded[block.table] += len(block.rows)
        self._progress.step(len(block.rows))

    def _copy_columns(self, block: Block, group: list[tuple[Any, ...]], left_out: tuple[int, ...]) -> None:
        data, names = {}, []
        for place, values in enumerate(zip(*group, strict=True)):
            if place in left_out:
                continue
            names.append(quoted(block.columns[place]))
            try:
                data[str(place)] = _BINARY[block.types[place]](values)
            except (OverflowError, ValueError) as error:
                raise ProvenanceError(
                    f"a value of column {block.columns[place]!r} is impossible", where=block.where, why=str(error)
                ) from error
        parts = ", ".join(f"'{name}'" for name in data)
        self._connection.set_uploader(uploader(data))
        self._execute(
            f"COPY LITTLE ENDIAN BINARY INTO {qualified(block.table)} ({', '.join(names)}) FROM {parts} ON CLIENT"
        )

    def _make_views(self) -> None:
        missing = [
            name
            for (name,) in self._rows('SELECT table_name FROM "public".data_set ORDER BY id')
            if name not in self._loaded
        ]
        if missing:
            raise ProvenanceError(f"the table {missing[0]!r} of a set is missing", where=self._source.where)
        known = {name for (name,) in self._rows("SELECT name FROM sys.schemas")}
        for (schema,) in self._rows('SELECT schema_name FROM "public".dataflow WHERE schema_name IS NOT NULL'):
            if schema in known:
                raise ProvenanceError(f"a dataflow has the schema {schema!r}", where=self._source.where)
            self._execute(f"CREATE SCHEMA {quoted(schema)}")
        Catalogue(self._connection).remake_views()

    def _verify(self) -> None:
        for name, expected in self._source.rows.items():
            ((stored,),) = self._rows(f"SELECT count(*) FROM {qualified(name)}") if name in self._loaded else ((0,),)
            if stored != expected:
                raise ProvenanceError(
                    f"table {name!r} has {stored} rows, not {expected} as its head says",
                    where=self._source.where,
                    hint="The file was cut off or changed; take another copy of it",
                )

    def _execute(self, statement: str) -> None:
        self._connection.cursor().execute(statement)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return rows(self._connection, statement)


def _integers(values: Sequence[int | None]) -> bytes:
    return integers([INTEGER_NULL if value is None else value for value in values])


def _bigints(values: Sequence[int | None]) -> bytes:
    return bigints([BIGINT_NULL if value is None else value for value in values])


def _doubles(values: Sequence[float | None]) -> bytes:
    return doubles(array("d", [float("nan") if value is None else value for value in values]))


def _booleans(values: Sequence[bool]) -> bytes:
    return bytes(values)


def _texts(values: Sequence[str | None]) -> bytes:
    if any(value is not None and "\0" in value for value in values):
        raise ValueError("a text with a NUL character cannot be stored")
    return texts(values)


def _timestamps(values: Sequence[datetime | None]) -> bytes:
    return timestamps([None if value is None else (value - _EPOCH) // _MICROSECOND for value in values])


_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)

_BINARY: dict[str, Callable[[Any], bytes]] = {
    "INTEGER": _integers,
    "BIGINT": _bigints,
    "DOUBLE": _doubles,
    "BOOLEAN": _booleans,
    "TEXT": _texts,
    "TIMESTAMP": _timestamps,
}
