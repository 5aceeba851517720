"""``dump`` and ``import``: everything in the database, out of it and back."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from e2c.provenance.command.arguments import Commands, add, folder


def register(commands: Commands) -> None:
    """Add the subcommands."""
    dump = add(commands, "dump", _dump, "write the database as SQL statements that restore it exactly")
    dump.add_argument("--output", required=True, metavar="FILE", help="file to write, or - for standard output")

    restore = add(commands, "import", _import, "load a dump or a folder of CSV files into a new data folder")
    restore.add_argument(
        "source", type=Path, metavar="FILE_OR_FOLDER", help="what `dump` or `export --format csv` has written"
    )


def _dump(options: argparse.Namespace) -> int:
    from e2c.provenance.copies.dump import dump
    from e2c.provenance.export.output import whole_file
    from e2c.provenance.progress import Line

    progress = Line(sys.stderr)
    try:
        with whole_file(options.output) as out:
            rows = dump(folder(options), out, progress)
    finally:
        progress.clear()
    if options.output != "-":
        print(f"{rows} rows in {options.output}", file=sys.stderr)
    return 0


def _import(options: argparse.Namespace) -> int:
    from e2c.provenance.copies.restore import restore
    from e2c.provenance.progress import Line

    progress = Line(sys.stderr)
    try:
        done = restore(folder(options), options.source, progress)
    finally:
        progress.clear()
    print(f"{done.rows} rows in {done.tables} tables of {options.data}", file=sys.stderr)
    return 0
