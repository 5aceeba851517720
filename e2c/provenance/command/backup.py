"""``dump`` and ``export-csv``: everything in the database, in files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from e2c.provenance.command.arguments import Commands, add, folder


def register(commands: Commands) -> None:
    """Add the subcommands."""
    dump = add(commands, "dump", _dump, "write the database as SQL statements that restore it exactly")
    dump.add_argument("--output", required=True, metavar="FILE", help="file to write, or - for standard output")

    export = add(commands, "export-csv", _export, "write each set and table as a CSV file")
    export.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write into")


def _dump(options: argparse.Namespace) -> int:
    from e2c.provenance.dump import dump

    if options.output == "-":
        dump(folder(options), sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return 0
    path = Path(options.output)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as out:
            rows = dump(folder(options), out)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    print(f"{rows} rows in {path}", file=sys.stderr)
    return 0


def _export(options: argparse.Namespace) -> int:
    from e2c.provenance.dump import export_csv

    for path in export_csv(folder(options), options.output):
        print(path)
    return 0
