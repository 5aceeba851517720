"""``export``: captured provenance in the forms that other tools read."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone

from e2c.provenance.command.arguments import Commands, add, folder, positive

FORMATS = ("prov-json", "prov-n", "ro-crate", "openlineage", "csv", "parquet")


def register(commands: Commands) -> None:
    """Add the subcommand."""
    export = add(commands, "export", _export, "write captured provenance in a form that other tools read")
    export.add_argument("--format", choices=FORMATS, required=True, help="form of the output")
    export.add_argument(
        "--output",
        required=True,
        metavar="PATH",
        help="file to write, or - for standard output; for ro-crate, csv and parquet a folder that does not exist yet",
    )
    export.add_argument("--workflow", metavar="W", help="only tasks of this workflow, as the application named it")
    export.add_argument("--dataflow", metavar="D", help="only tasks of this dataflow")
    export.add_argument("--run", metavar="NAME", help="only tasks of this run of the experiment")
    export.add_argument("--since", type=_moment, metavar="TIME", help="only tasks that began at this time or later")
    export.add_argument("--until", type=_moment, metavar="TIME", help="only tasks that began before this time")
    export.add_argument(
        "--part-tasks",
        type=positive,
        default=None,
        metavar="N",
        help="most tasks in one PROV document or RO-Crate; more make several (default: 5000)",
    )


def _export(options: argparse.Namespace) -> int:
    from e2c.provenance.command.browse import warn_of_run
    from e2c.provenance.export.formats import export
    from e2c.provenance.export.selection import Selection
    from e2c.provenance.progress import Line
    from e2c.provenance.queries import open_folder

    selection = Selection(options.workflow, options.dataflow, options.since, options.until, options.run)
    progress = Line(sys.stderr)
    try:
        written = export(
            folder(options),
            options.format,
            options.output,
            selection,
            progress,
            part_tasks=options.part_tasks,
        )
    finally:
        progress.clear()
    print(written, file=sys.stderr)
    if options.run is not None:
        with open_folder(folder(options)) as provenance:
            warn_of_run(provenance, options.run)
    return 0


def _moment(text: str) -> datetime:
    """A time, in UTC where it names no zone."""
    try:
        value = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 2026-01-31T12:00:00Z") from None
    return value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
