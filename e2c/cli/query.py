"""``e2clab query``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from e2c.cli.arguments import RowsFormat, ScenarioDir


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("query")(query)


def query(
    scenario_dir: ScenarioDir,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SQL statement, or - to read it from standard input.")],
    output: Annotated[RowsFormat, typer.Option("--format", help="How rows are printed.")] = RowsFormat.table,
) -> None:
    """Ask the captured provenance in SQL.

    Works while the experiment runs and until it is destroyed. Only reading is possible. Every set S of the
    dataflow is a view S with a column <transformation>_task_id.
    """
    from e2c.experiment import report

    text = sys.stdin.read() if sql == "-" else sql
    sys.stdout.flush()
    report.query(scenario_dir, text, output.value, sys.stdout.fileno())
