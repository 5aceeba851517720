"""``query``: SQL."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from e2c.provenance.command.arguments import Commands, add, folder, seconds

END = "\0"
"""Follows a statement on standard input that stays open: when it is closed then, the statement is stopped."""


def register(commands: Commands) -> None:
    """Add the subcommands."""
    query = add(commands, "query", _query, "answer one SQL statement; only reading is possible")
    query.add_argument("sql", metavar="SQL", help="the statement, or - to read it from standard input")
    query.add_argument(
        "--format",
        choices=("table", "json", "jsonl", "csv", "parquet", "raw"),
        default="table",
        help="how rows are written; raw is for this program itself (default: table)",
    )
    query.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="value of :NAME in the statement: a number or text; NAME:=JSON for other values; may be repeated",
    )
    query.add_argument("--output", type=Path, metavar="FILE", help="file to write instead of standard output")
    query.add_argument(
        "--limit",
        type=limit,
        metavar="N",
        help="most rows, 0 for all (default: 1000 for a table on a terminal, else all)",
    )
    query.add_argument("--timeout", type=seconds, default=300.0, metavar="S", help="limit in seconds (default: 300)")


def _query(options: argparse.Namespace) -> int:
    from e2c.provenance.command import output
    from e2c.provenance.queries import ask

    sql = _statement() if options.sql == "-" else options.sql
    values = parameters(options.param)
    most = output.most_rows(options.limit, options.format, options.output)
    asked = ask(folder(options), sql, options.timeout, values)
    with asked as answer, output.target(options.output, options.format) as out:
        limited = output.write(answer, options.format, out, most)
    output.notice(limited)
    return 0


def parameters(given: list[str]) -> dict[str, Any]:
    """The values of ``NAME=VALUE`` and ``NAME:=JSON``.

    Raises:
        QueryError: one of them is neither.
    """
    from e2c.errors import QueryError

    values: dict[str, Any] = {}
    for word in given:
        name, mark, text = word.partition("=")
        exact = name.endswith(":")
        name = name.removesuffix(":")
        if not mark or not name.isidentifier():
            raise QueryError(f"--param {word} is not NAME=VALUE", hint="Write, for example, `--param limit=0.9`")
        try:
            value: Any = json.loads(text)
        except ValueError as error:
            if exact:
                raise QueryError(f"--param {word} is not JSON", why=str(error)) from error
            value = text
        if isinstance(value, dict) or (isinstance(value, list) and not exact):
            value = text
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        values[name] = value if exact or plain else text
    return values


def limit(text: str) -> int:
    """A number of rows."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("a number of rows is 0 or more")
    return number


def _statement() -> str:
    """The statement on standard input."""
    text = b""
    while piece := os.read(sys.stdin.fileno(), 1 << 16):
        text += piece
        if piece.endswith(END.encode()):
            threading.Thread(target=_watch, daemon=True).start()
            break
    return text.decode(errors="surrogateescape").removesuffix(END)


def _watch() -> None:
    """Who asked has gone: stop the statement, as Ctrl-C does."""
    while os.read(sys.stdin.fileno(), 1 << 10):
        pass
    os.kill(os.getpid(), signal.SIGINT)
