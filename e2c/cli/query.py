"""``e2clab query``."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from e2c.cli.arguments import ScenarioDir


class RowsFormat(str, Enum):
    """Output of rows."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("query")(query)


def query(
    scenario_dir: ScenarioDir,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SQL statement, or - to read it from standard input.")],
    form: Annotated[RowsFormat, typer.Option("--format", help="How rows are written.")] = RowsFormat.table,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Value of :NAME in the statement: a number or text; NAME:=JSON for other values. May be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File to write instead of standard output.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Most rows, 0 for all; default: 1000 for a table on a terminal, else all."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, max=86_400, help="Time that the statement may take.")
    ] = 300,
) -> None:
    """Ask the captured provenance in SQL.

    Works while the experiment runs and until it is destroyed. Only reading is possible. Every set S of the
    dataflow is a view S with a column <transformation>_task_id.
    """
    from e2c.experiment import questions
    from e2c.provenance.command import output as writing
    from e2c.provenance.command.query import parameters
    from e2c.provenance.queries.statement import bind

    text = sys.stdin.buffer.read().decode(errors="surrogateescape") if sql == "-" else sql
    values = parameters(param or [])
    bound = bind(text, values)
    most = writing.most_rows(limit, form.value, output)
    host = questions.database_host(scenario_dir)
    with questions.query(host, bound, timeout) as answer, writing.target(output, form.value) as out:
        limited = writing.write(answer, form.value, out, most)
    writing.notice(limited)
