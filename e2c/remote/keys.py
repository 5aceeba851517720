"""Whether an ssh key can be used while nobody is there to type its passphrase."""

from __future__ import annotations

import subprocess
from pathlib import Path

from e2c.errors import TestbedError

_LIMIT_S = 10


def require_unlocked(private: Path) -> None:
    """Refuse a key with a passphrase that no agent knows: ssh would ask for it after the hosts are booked.

    Whatever else may be wrong with a key is left to ssh.

    Args:
        private: file of its private half.

    Raises:
        TestbedError: its passphrase would have to be typed.
    """
    opened = _run("ssh-keygen", "-y", "-P", "", "-f", str(private))
    if opened is None or opened.returncode == 0 or "incorrect passphrase" not in opened.stderr:
        return
    held = _run("ssh-add", "-T", f"{private}.pub")
    if held is None or held.returncode:
        raise TestbedError(
            "the ssh key has a passphrase, and no ssh agent holds the key",
            where=str(private),
            why="commands log in while nobody is there to type it",
            hint=f"Give it to an agent, `ssh-add {private}`, or name a key without a passphrase",
        )


def _run(*command: str) -> subprocess.CompletedProcess[str] | None:
    """``None`` where there is no such program, or it does not end."""
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
