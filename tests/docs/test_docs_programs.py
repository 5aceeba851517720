"""Each program that stands on its own feet says what it is for, and refuses what it does not know."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = (
    "e2c.provenance",
    "e2c.config.schema",
    "e2c.config.reference",
    "e2c.optimizer",
    "provlight.bundle",
    "provlight.dataflow.evaluate",
    "provlight.dataflow.run",
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_explains_and_writes_nothing(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", program, "--help"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m {program}")
    assert len(done.stdout) > 150
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_option_is_2(program: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", program, "--nonsense"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert "usage: " in done.stderr
    assert list(tmp_path.iterdir()) == []
