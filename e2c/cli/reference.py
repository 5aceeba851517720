"""The command reference, made from the commands themselves: ``python -m e2c.cli.reference``."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator

import click
import typer

from e2c.cli import render
from e2c.cli.app import app
from e2c.cli.provenance import PROGRAM

INTRODUCTION = """\
# Commands

Made by `python -m e2c.cli.reference` from the commands themselves; do not edit.

Results go to standard output, progress and messages to standard error. Exit codes: 0 done; 1 the scenario, the testbed
or the application failed, and the message says what to do; 2 the command line is wrong; 70 a fault of e2clab itself;
75 another command works on the same scenario; 130 interrupted; 143 terminated.
"""

WIDTH = 100


def text() -> str:
    """Markdown with the help of every command, 100 characters wide."""
    root = typer.main.get_command(app)
    if not isinstance(root, click.Group):
        raise TypeError(type(root))
    parts = [INTRODUCTION, _section("e2clab", root, None)]
    with click.Context(root, info_name="e2clab") as context:
        for name in root.list_commands(context):
            if f"e2clab {name}" == PROGRAM:
                parts += _passed_on()
            else:
                parts += _sections(f"e2clab {name}", root.commands[name], context)
    return "\n".join(parts)


def _sections(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    """A command, and those of a group."""
    yield _section(name, command, parent)
    if isinstance(command, click.Group):
        with click.Context(command, info_name=name.split()[-1], parent=parent) as context:
            for inner in command.list_commands(context):
                yield from _sections(f"{name} {inner}", command.commands[inner], context)


def _passed_on() -> Iterator[str]:
    """The provenance service and its subcommands, which have a command line of their own."""
    from e2c.provenance.__main__ import parser

    service = parser(PROGRAM)
    yield f"## {PROGRAM}\n\n```text\n{_help(service)}\n```\n"
    for name, command in subcommands(service).items():
        yield f"## {PROGRAM} {name}\n\n```text\n{_help(command)}\n```\n"


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Subcommands by name, also of subcommands; one without subcommands of its own."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                inner = subcommands(command)
                found.update({f"{name} {one}": under for one, under in inner.items()} if inner else {name: command})
    return found


def _help(command: argparse.ArgumentParser) -> str:
    """As it looks in a terminal of 100 columns. argparse takes the width from the environment alone."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(WIDTH + 2)
    try:
        usage, text = command.format_usage(), command.format_help().rstrip()
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    return _filled(usage) + text.removeprefix(usage)


def _filled(usage: str) -> str:
    """A usage with line breaks of our own: versions of Python break it differently."""
    words = re.findall(r"\[[^\]]*\]|--\S+ \S+|\S+", " ".join(usage.split()))
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > WIDTH:
            lines.append(" " * len("usage:"))
        lines[-1] += f" {word}"
    return "\n".join(lines) + "\n"


def _section(name: str, command: click.Command, parent: click.Context | None) -> str:
    with click.Context(
        command, info_name=name.split()[-1], parent=parent, max_content_width=WIDTH, terminal_width=WIDTH
    ) as c:
        return f"## {name}\n\n```text\n{command.get_help(c).rstrip()}\n```\n"


if __name__ == "__main__":
    render.data(text())
