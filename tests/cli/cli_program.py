"""The command line in a process of its own, piped or on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pexpect

E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
LIMIT_S = 60


def e2clab(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*E2CLAB, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, **environment},
    )


def on_terminal(*arguments: str | Path, typed: str = "", **environment: str) -> tuple[int, str]:
    """Exit code, and everything that a terminal shows."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*E2CLAB, *map(str, arguments)],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", **environment},
    ) as process:
        os.close(follower)
        os.write(leader, typed.encode())
        shown = b""
        try:
            while piece := os.read(leader, 65536):
                shown += piece
        except OSError:  # Linux says so when the last one has closed the terminal
            pass
        code = process.wait(LIMIT_S)
    os.close(leader)
    return code, shown.decode().replace("\r\n", "\n")


def typing_at(*arguments: str | Path, program: Sequence[str] = E2CLAB, **environment: str) -> pexpect.spawn:
    """The program on a terminal of 24 lines and 100 columns, to talk with."""
    return pexpect.spawn(
        program[0],
        [*program[1:], *map(str, arguments)],
        timeout=LIMIT_S,
        encoding="utf-8",
        dimensions=(24, 100),
        env={**os.environ, "TERM": "xterm", **environment},
    )


def screen(shown: str) -> list[str]:
    """The lines that stay on a terminal which was sent this text, colours and blanks at their ends left away.

    Knows what this program sends: back to the beginning of the line, up, clear the line or everything below.
    """
    lines: list[list[str]] = [[]]
    row = column = 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", shown, re.DOTALL):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [[] for _ in range(row + 1 - len(lines))]
        elif part.endswith("A") and len(part) > 1:
            row -= int(part[2:-1])
            assert row >= 0, "above the first line"
        elif part == "\x1b[K":
            del lines[row][column:]
        elif part == "\x1b[J":
            del lines[row][column:]
            del lines[row + 1 :]
        elif len(part) == 1:
            lines[row] += " " * (column + 1 - len(lines[row]))
            lines[row][column] = part
            column += 1
        else:
            assert part.endswith("m"), f"unknown: {part!r}"
    return ["".join(line).rstrip() for line in lines]
