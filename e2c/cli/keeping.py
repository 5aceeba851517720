"""What becomes of the hosts after a failure: the options, and the question to whoever sits at a terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
from typing import TYPE_CHECKING, Annotated

import typer

from e2c.cli import render

if TYPE_CHECKING:
    from e2c.experiment.failure import OnFailure

DestroyOnFail = Annotated[
    bool,
    typer.Option(
        "--destroy-on-fail", help="Release the hosts when something fails, also those of an earlier command; never ask."
    ),
]


def wish(*, keep: bool = False, destroy_on_fail: bool = False) -> OnFailure:
    """What the options ask for.

    Raises:
        click.UsageError: they contradict each other.
    """
    from e2c.experiment.failure import OnFailure

    if keep and destroy_on_fail:
        raise typer.BadParameter("--keep and --destroy-on-fail contradict each other")
    there = someone_there()
    return OnFailure(
        keep=keep,
        destroy=destroy_on_fail,
        ask=ask_to_keep if there else None,
        ask_to_stop=ask_to_stop if there else None,
    )


def someone_there() -> bool:
    """A user can be asked: not a job in the background, which reading from its terminal would stop."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # closed, or a terminal of somebody else
        return False


def ask_to_keep() -> bool:
    """Ask whether the hosts are kept. No answer in time, Ctrl-C, or a terminal that has gone: they are not."""
    return _answered("Keep the hosts to look into it, or release them? [release]", "keep", "releasing")


def ask_to_stop() -> bool:
    """Ask whether background tasks are ended. No answer in time, Ctrl-C, or a terminal that has gone: they are."""
    question = "Stop what the workflow runs on the hosts, or leave it running? [stop]"
    return not _answered(question, "leave it running", "stopping")


def _answered(question: str, wanted: str, otherwise: str) -> bool:
    """The answer begins like what is not done without one."""
    from e2c.config.settings import read_settings

    if not someone_there():
        return False
    limit_s = read_settings(os.environ)[0].answer_timeout
    try:
        termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before is no answer
        render.prompt(f"{question} (within {limit_s:g} s) ")
        if not select.select([sys.stdin], [], [], limit_s)[0]:
            render.note(f"\nno answer: {otherwise}")
            return False
        answer = os.read(sys.stdin.fileno(), 4096).decode(errors="replace").strip().lower()
        return bool(answer) and wanted.startswith(answer)
    except (OSError, ValueError, termios.error):
        return False
    except BaseException:  # noqa: BLE001 - Ctrl-C is an answer, and so is SIGTERM
        render.note("")
        return False
