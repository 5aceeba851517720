"""CSV files of all tables and sets, with a description of their columns beside them.

Numbers stand as they are, texts in double quotes, NULL is an empty field without quotes, so that it and the empty text
differ. ``datapackage.json`` (a Data Package of the Frictionless standard) says which columns and rows each file has.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import e2c
from e2c.provenance.export.selection import Selection
from e2c.provenance.export.snapshot import Fields, Snapshot, unescaped
from e2c.provenance.export.tables import FIELD_TYPES, ExportedTable, exported_tables
from e2c.provenance.progress import Progress

DESCRIPTION = "datapackage.json"
FORMAT = 1
"""Version of the form of the folder."""

_BLOCK = 1000


def write(found: Snapshot, selection: Selection, destination: Path, progress: Progress) -> list[Path]:
    """Write a CSV file for each table and set into an existing folder. Returns the files.

    Raises:
        ProvenanceError: the database does not answer.
        OSError: a file cannot be written.
    """
    resources, written = [], []
    tables = exported_tables(found, selection, progress)
    for table in tables:
        path = destination / f"{table.file}.csv"
        with path.open("wb") as out:
            digest, size, count = _write(found, table, out, progress)
        resources.append(_resource(table, path.name, digest, size, count))
        written.append(path)
    package = {
        "profile": "tabular-data-package",
        "name": "e2c-provenance",
        "e2c": {"format": FORMAT, "version": e2c.__version__, "selected": selection.any},
        "resources": resources,
    }
    description = destination / DESCRIPTION
    description.write_text(json.dumps(package, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [*written, description]


def _write(found: Snapshot, table: ExportedTable, out: BinaryIO, progress: Progress) -> tuple[str, int, int]:
    digest = hashlib.sha256()
    size = count = 0
    block: list[bytes] = []

    def flush() -> None:
        nonlocal size, count
        data = b"\n".join(block) + b"\n"
        digest.update(data)
        out.write(data)
        size += len(data)
        count += len(block)
        progress.step(len(block))
        block.clear()

    block.append(",".join(_quoted(column.name) for column in table.columns).encode())
    texts = [place for place, column in enumerate(table.columns) if column.type not in _PLAIN]

    def row(fields: Fields) -> None:
        for place in texts:
            fields[place] = _text(fields[place])
        line = b",".join(fields)
        block.append(_without_null(fields) if b"NULL" in line else line)
        if len(block) >= _BLOCK:
            flush()

    found.stream(table.select, row)
    if block:
        flush()
    return digest.hexdigest(), size, count - 1


_PLAIN = frozenset(("INTEGER", "BIGINT", "DOUBLE", "TIMESTAMP", "BOOLEAN", "SMALLINT", "TINYINT", "HUGEINT"))


def _without_null(fields: Fields) -> bytes:
    return b",".join([b"" if field == b"NULL" else field for field in fields])


def _text(field: bytes) -> bytes:
    return field if field == b"NULL" else b'"' + unescaped(field).replace(b'"', b'""') + b'"'


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _resource(table: ExportedTable, path: str, digest: str, size: int, rows: int) -> dict[str, Any]:
    return {
        "name": Path(path).stem,
        "path": path,
        "profile": "tabular-data-resource",
        "encoding": "utf-8",
        "bytes": size,
        "hash": f"sha256:{digest}",
        "e2c": {"table": table.name, "rows": rows, "view": table.view, "set": table.set, "types": _types(table)},
        "schema": {
            "fields": [
                {"name": column.name, "type": FIELD_TYPES.get(column.type, "string")} for column in table.columns
            ],
            "missingValues": [""],
        },
    }


def _types(table: ExportedTable) -> Sequence[str]:
    return [column.type for column in table.columns]
