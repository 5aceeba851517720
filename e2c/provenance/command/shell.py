"""``shell``: SQL, one statement after the other."""

from __future__ import annotations

import argparse

from e2c.provenance.command.arguments import Commands, add, folder, seconds


def register(commands: Commands) -> None:
    """Add the subcommand."""
    shell = add(commands, "shell", _shell, "ask in SQL, one statement after the other; only reading is possible")
    shell.add_argument(
        "--timeout", type=seconds, default=300.0, metavar="S", help="limit of a statement (default: 300)"
    )


def _shell(options: argparse.Namespace) -> int:
    from e2c.provenance.command.console import Shell
    from e2c.provenance.queries import Session

    with Session(folder(options)) as session:
        return Shell(session.ask, options.timeout).run()
