"""The benchmark of workflows runs, without the peer and with few hosts; its figures are not judged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError

WORKFLOW = Path(__file__).parents[2] / "benchmarks" / "workflow"


@pytest.mark.netns
def test_it_measures_each_case_on_real_hosts() -> None:
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, WORKFLOW, "--runs", "1", "--many", "0", "--without-peer"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    head, _, *rows = done.stdout.strip().splitlines()
    assert head == "| seconds, wall | e2c | E2Clab 3.7.0 | |"
    assert [row.split("|")[1].strip() for row in rows] == [
        "start-up: `e2clab --help`",
        "ten shell tasks, 3 hosts: the stage",
        "ten shell tasks, 3 hosts: the command",
    ]
    assert all("not measured" in row and " to " in row for row in rows)
