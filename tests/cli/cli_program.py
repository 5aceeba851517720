"""The command line in a process of its own, piped or on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

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
