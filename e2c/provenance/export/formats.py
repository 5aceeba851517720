"""The forms of an export, and what writes each."""

from __future__ import annotations

from pathlib import Path

from e2c.errors import ProvenanceError
from e2c.provenance.export.output import Parts, whole_file, whole_folder
from e2c.provenance.export.selection import Selection
from e2c.provenance.export.snapshot import Snapshot, snapshot
from e2c.provenance.folder import DataFolder
from e2c.provenance.progress import Progress, quiet

PART_TASKS = 5000
"""Most tasks in one PROV document or RO-Crate."""

_PROV = {"prov-json": "json", "prov-n": "provn"}


def export(
    folder: DataFolder,
    form: str,
    output: str,
    selection: Selection | None = None,
    progress: Progress = quiet,
    *,
    part_tasks: int | None = None,
) -> str:
    """Write captured provenance, all of one moment.

    Args:
        form: ``prov-json``, ``prov-n``, ``ro-crate``, ``openlineage``, ``csv`` or ``parquet``.
        output: file, ``-`` for standard output; a new folder for ``csv``, ``parquet`` and ``ro-crate``.
        part_tasks: most tasks in one document; None means ``PART_TASKS``.

    Returns:
        A clause that says what was written.

    Raises:
        ProvenanceError: the database does not answer, a package is missing, or the output cannot be written.
    """
    selection = selection or Selection()
    with snapshot(folder) as found:
        if form in ("csv", "parquet"):
            return _tables(found, form, output, selection, progress)
        if form == "openlineage":
            from e2c.provenance.export import openlineage
            from e2c.provenance.export.records import Records

            with whole_file(output) as out:
                count = openlineage.write(Records(found, selection), out, progress)
            return f"{count} events in {output}"
        if form == "ro-crate":
            return _crate(found, output, selection, progress, part_tasks or PART_TASKS)
        return _prov(found, _PROV[form], output, selection, progress, part_tasks or PART_TASKS)


def _tables(found: Snapshot, form: str, output: str, selection: Selection, progress: Progress) -> str:
    from e2c.provenance.export import csv_files, parquet

    if form == "parquet":
        parquet.require()
    selection.apply(found)
    with whole_folder(output) as part:
        written = (parquet.write if form == "parquet" else csv_files.write)(found, selection, part, progress)
    return f"{len(written)} files in {output}"


def _prov(found: Snapshot, form: str, output: str, selection: Selection, progress: Progress, part_tasks: int) -> str:
    try:
        from e2c.provenance.export import prov_document
    except ImportError as error:
        raise ProvenanceError("PROV needs the Python package prov", hint="pip install prov") from error
    from e2c.provenance.export.records import Records

    records = Records(found, selection)
    with Parts(output) as parts:
        for document in prov_document.documents(records, part_tasks, progress):
            parts.write(f"{document.serialize(format=form)}\n")
            del document  # before the next one is made
        names = parts.finish()
    return f"{len(records.tasks)} tasks in {_shown(names) if names else output}"


def _crate(found: Snapshot, output: str, selection: Selection, progress: Progress, part_tasks: int) -> str:
    from e2c.provenance.export import crate
    from e2c.provenance.export.records import Records

    crate.require()
    records = Records(found, selection)
    with whole_folder(output) as part:
        count = crate.write(records, part, part_tasks, progress)
    return f"{len(records.tasks)} tasks in {output}" + (f", {count} crates" if count > 1 else "")


def _shown(names: list[Path]) -> str:
    return str(names[0]) if len(names) == 1 else f"{names[0]} to {names[-1].name}"
