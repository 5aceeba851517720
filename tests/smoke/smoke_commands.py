"""The command line, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "provenance-tutorial"
E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
LIMIT_S = 240


def run_e2clab(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [*E2CLAB, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env={**os.environ, **environment},
    )


def traces(scenario: Path) -> list[str]:
    """What on this machine still belongs to local testbeds of a scenario: their folders, and what carries their id."""
    records = Path("/run/e2c").glob("*/testbed.json")
    return [str(record) for record in records if str(scenario) in record.read_text()]
