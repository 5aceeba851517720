"""``query``: SQL."""

from __future__ import annotations

import argparse
import sys

from e2c.provenance.command import render
from e2c.provenance.command.arguments import Commands, add, folder


def register(commands: Commands) -> None:
    """Add the subcommands."""
    query = add(commands, "query", _query, "answer one SQL statement; only reading is possible")
    query.add_argument("sql", metavar="SQL", help="the statement, or - to read it from standard input")
    query.add_argument("--format", choices=("table", "json", "csv"), default="table")
    query.add_argument("--timeout", type=float, default=300.0, metavar="S", help="limit in seconds (default: 300)")


def _query(options: argparse.Namespace) -> int:
    from e2c.provenance.queries import ask

    sql = sys.stdin.read() if options.sql == "-" else options.sql
    with ask(folder(options), sql, options.timeout) as answer:
        if options.format == "json":
            render.json_rows(answer.columns, answer.rows)
        elif options.format == "csv":
            render.csv_rows(answer.columns, answer.rows)
        else:
            render.table(answer.columns, answer.numeric, list(answer.rows))
    return 0
