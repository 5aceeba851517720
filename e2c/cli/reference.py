"""The command reference, made from the commands themselves: ``python -m e2c.cli.reference``."""

from __future__ import annotations

import click
import typer

from e2c.cli import render
from e2c.cli.app import app

INTRODUCTION = """\
# Commands

Made by `python -m e2c.cli.reference` from the commands themselves; do not edit.

Results go to standard output, progress and messages to standard error. Exit codes: 0 done; 1 the scenario, the testbed
or the application failed, and the message says what to do; 2 the command line is wrong; 70 a fault of e2clab itself;
75 another command works on the same scenario; 130 interrupted; 143 terminated.
"""


def text() -> str:
    """Markdown with the help of every command, 100 characters wide."""
    root = typer.main.get_command(app)
    if not isinstance(root, click.Group):
        raise TypeError(type(root))
    parts = [INTRODUCTION, _section("e2clab", root, None)]
    with click.Context(root, info_name="e2clab") as context:
        parts += [_section(f"e2clab {name}", root.commands[name], context) for name in root.list_commands(context)]
    return "\n".join(parts)


def _section(name: str, command: click.Command, parent: click.Context | None) -> str:
    with click.Context(
        command, info_name=name.split()[-1], parent=parent, max_content_width=100, terminal_width=100
    ) as c:
        return f"## {name}\n\n```text\n{command.get_help(c).rstrip()}\n```\n"


if __name__ == "__main__":
    render.data(text())
