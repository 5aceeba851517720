"""Reads the folders that :mod:`e2c.provenance.export.csv_files` writes, with every NULL and every digit."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from e2c.errors import ProvenanceError
from e2c.provenance.copies.restore_source import Block, Gathering, Source, damaged, moment, truth
from e2c.provenance.export.csv_files import DESCRIPTION, FORMAT

DUMP = "provenance_database.sql"
"""What `finalize` calls the dump of an experiment."""

_FORMS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "INTEGER": (rb"-?\d+", int),
    "BIGINT": (rb"-?\d+", int),
    "DOUBLE": (rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|-?inf", float),
    "BOOLEAN": (rb"true|false", truth),
    "TEXT": (rb'"[^"]*(?:""[^"]*)*"', lambda field: field[1:-1].replace(b'""', b'"').decode()),
    "TIMESTAMP": (rb"-?\d{4,5}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", moment),
}
"""Pattern of a field of each type, and what reads it."""


@dataclass(frozen=True)
class _File:
    path: Path
    table: str
    set: bool
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: int
    digest: str


def read_csv(folder: Path) -> Source:
    """A folder of CSV files as something to load.

    Raises:
        ProvenanceError: it is not whole, was changed, or is none of this service.
    """
    description = folder / DESCRIPTION
    try:
        package = json.loads(description.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProvenanceError(
            f"the folder has no {DESCRIPTION}",
            where=str(folder),
            hint="Import a folder that `e2clab provenance export --format csv` has written",
        ) from error
    except (OSError, ValueError) as error:
        raise ProvenanceError("the description cannot be read", where=str(description), why=str(error)) from error
    try:
        version, selected = package["e2c"]["format"], package["e2c"]["selected"]
        files = [
            _File(
                folder / Path(str(item["path"])).name,
                str(item["e2c"]["table"]),
                item["e2c"]["set"] is not None,
                tuple(str(one["name"]) for one in item["schema"]["fields"]),
                tuple(str(kind) for kind in item["e2c"]["types"]),
                int(item["e2c"]["rows"]),
                str(item["hash"]).removeprefix("sha256:"),
            )
            for item in package["resources"]
            if not item["e2c"]["view"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProvenanceError(
            "the description is not one of this service", where=str(description), why=f"{error} is missing or wrong"
        ) from error
    if version != FORMAT:
        raise ProvenanceError(
            f"the folder has format {version}, and this version reads format {FORMAT}", where=str(description)
        )
    if selected:
        dump = _dump(folder)
        raise ProvenanceError(
            "the folder holds a selection of tasks, which is no whole database",
            where=str(folder),
            hint=f"Import {dump}, which is whole"
            if dump is not None
            else "Export without --workflow, --dataflow, --run, --since and --until",
        )
    for file in files:
        _check(file)
    files.sort(key=lambda file: file.set)  # what sets there are is known before their rows

    def blocks() -> Iterator[Block]:
        for file in files:
            yield from _blocks(file)

    return Source(str(folder), {file.table: file.rows for file in files}, blocks)


def _dump(folder: Path) -> Path | None:
    """The dump of all runs, for the folder of one of them: it lies in that of their experiment, which is at most two
    folders above that of the run."""
    above = folder.absolute().parents[1:3]
    places = [place / DUMP for place in (folder, *(one / folder.name for one in above))]
    return next((place for place in places if place.is_file()), None)


def _check(file: _File) -> None:
    """See that a file is what its description says."""
    wrong = [kind for kind in file.types if kind not in _FORMS]
    if wrong or len(file.types) != len(file.columns) or len(set(file.columns)) != len(file.columns):
        raise ProvenanceError("the description has impossible columns", where=str(file.path))
    digest = hashlib.sha256()
    try:
        with file.path.open("rb") as content:
            while piece := content.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise ProvenanceError("a file of the folder is missing", where=str(file.path), why=error.strerror) from error
    if digest.hexdigest() != file.digest:
        raise ProvenanceError(
            "the file is not the one that was exported",
            where=str(file.path),
            why="its SHA-256 differs",
            hint="Take another copy of the folder",
        )


def _blocks(file: _File) -> Iterator[Block]:
    forms = [_FORMS[kind] for kind in file.types]
    row = re.compile(b",".join([b"(" + pattern + b"|)" for pattern, _ in forms]) + rb"\n", re.DOTALL)
    readers = [read for _, read in forms]
    table = Gathering(file.table, file.columns, file.types, str(file.path))
    with file.path.open("rb") as content:
        lines = _rows(content)
        next(lines, None)
        yield table.block()
        for number, line in lines:
            found = row.fullmatch(line)
            if found is None:
                damaged(str(file.path), number, "no row of this table")
            try:
                values = tuple(
                    [None if not field else read(field) for read, field in zip(readers, found.groups(), strict=True)]
                )
            except ValueError as error:
                damaged(str(file.path), number, str(error))
            if table.add(values, len(line)):
                yield table.block(f"{file.path}:{number}")
    yield table.block()


def _rows(content: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each row with the number of its first line; a text may have several lines."""
    number = 1
    while line := content.readline():
        parts, quotes = [line], line.count(b'"')
        while quotes % 2 and (line := content.readline()):
            parts.append(line)
            quotes += line.count(b'"')
        yield number, b"".join(parts)
        number += len(parts)
