"""A captured application in a process of its own, and the command line of the service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from e2c.provenance.folder import DataFolder

TRAINING = """
import sys
from provlight import Data, Task, Workflow
workflow = Workflow("model_training")
workflow.begin()
for number in range(int(sys.argv[1])):
    task = Task(number, workflow, "training")
    task.begin([Data("training_input", workflow.id, [], {"h": [number, 2, 1, 2]})])
    task.end([Data("training_output", workflow.id, [], {"p": [0.9, number / 3]})])
workflow.end()
"""


def capture(environment: Mapping[str, str], trainings: int = 3, flush_s: int = 30) -> subprocess.CompletedProcess[str]:
    """Run the tutorial's training; what ProvLight has to say is on its standard error."""
    return subprocess.run(
        [sys.executable, "-c", TRAINING, str(trainings)],
        env={**os.environ, "PROVLIGHT_FLUSH_TIMEOUT": str(flush_s), **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )


def credentials(folder: Path, user: str = "edge", password: str = "secret-of-edge") -> str:
    """Path of a file for ``PROVLIGHT_CREDENTIALS``."""
    path = folder / f"credentials-of-{user}"
    path.touch(mode=0o600)
    path.write_text(f"{user}\n{password}\n")
    return str(path)


def command(
    name: str, data: DataFolder, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a subcommand of the service on a data folder."""
    return subprocess.run(
        [sys.executable, "-m", "e2c.provenance", name, "--data", str(data.root), *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, **(environment or {})},
    )
