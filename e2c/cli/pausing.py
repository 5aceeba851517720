"""A pause until somebody at the terminal presses Enter."""

from __future__ import annotations

import contextlib
import sys
import termios
from collections.abc import Callable

import typer

from e2c.cli import render
from e2c.cli.keeping import someone_there


def pauser(asked: bool) -> Callable[[], None] | None:
    """What waits for Enter, where that was asked.

    Raises:
        click.UsageError: it was asked, and there is no terminal.
    """
    if asked and not someone_there():
        raise typer.BadParameter("--pause waits for Enter on a terminal, and there is none. Give --duration SECONDS")
    return _wait if asked else None


def _wait() -> None:
    with contextlib.suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before is no answer
    render.prompt("Paused: press Enter to go on with finalize ")
    sys.stdin.readline()
