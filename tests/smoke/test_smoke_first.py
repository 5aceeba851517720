"""The scenario that ``init`` writes runs on this machine as it is, and answers its question."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from smoke_commands import run_e2clab, traces

pytestmark = [pytest.mark.netns, pytest.mark.switch, pytest.mark.broker, pytest.mark.monetdb]


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    yield tmp_path / "first"
    run_e2clab("destroy", tmp_path / "first")
    assert traces(tmp_path / "first") == []


def test_the_commands_that_init_shows_work(first: Path) -> None:
    shown = run_e2clab("init", first).stderr.partition("Next:")[2]
    check, deploy, query, destroy = [shlex.split(line)[1:] for line in shown.strip().splitlines()]

    assert run_e2clab(*check, "--strict").returncode == 0
    deployed = run_e2clab(*deploy)
    assert deployed.returncode == 0, deployed.stderr
    answers = json.loads(run_e2clab(*query, "--format", "json").stdout)
    assert [row["kilobytes"] for row in answers] == [1, 4, 16, 64, 256]
    assert all(row["seconds"] > 0.04 for row in answers), "20 ms each way"
    assert answers[-1]["seconds"] > 256 * 8 / 10_000, "10 Mbit/s"
    assert run_e2clab(*destroy).returncode == 0
