"""Ctrl-C, SIGTERM and kill -9 in every phase of a deployment: nothing is left, or it goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults_life import PHASES, Hit, e2clab, new_seed, standing, write

pytestmark = [pytest.mark.netns, pytest.mark.switch, pytest.mark.broker, pytest.mark.monetdb]
WITH_PROVENANCE = ("serve", "backup")


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    folder = tmp_path / "scenario"
    yield folder
    e2clab("destroy", folder)
    assert standing(folder) == []


@pytest.mark.parametrize("phase", PHASES)
def test_killed_in_a_phase_then_destroyed_leaves_nothing(scenario: Path, phase: str) -> None:
    write(scenario, lean=phase not in WITH_PROVENANCE)
    hit = Hit(scenario, phase, signal.SIGKILL, new_seed())
    assert hit.rc == -signal.SIGKILL
    freed = e2clab("destroy", scenario)
    assert freed.returncode == 0, freed.stderr
    assert hit.left(scenario) == []
    again = e2clab("destroy", scenario)
    assert (again.returncode, "nothing to release" in again.stderr) == (0, True)


def test_killed_in_every_phase_in_turn_the_next_deploy_goes_on_to_the_end(scenario: Path) -> None:
    write(scenario)
    stood: list[str] = []
    for phase in PHASES:
        hit = Hit(scenario, phase, signal.SIGKILL, new_seed())
        if phase not in ("acquire", "connect"):
            assert hit.testbeds == stood, "what stands is kept"
        stood = hit.testbeds
    done = e2clab("deploy", scenario, scenario / "artifacts")
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert list(scenario.glob("2*")) == [folder]
    phases = [record["phase"] for record in json.loads((folder / "state.json").read_text())["phases"]]
    assert set(phases) == set(PHASES)
    assert [phases.count(phase) for phase in ("acquire", "serve", "emulate", "prepare", "launch")] == [1] * 5
    rows = json.loads(e2clab("query", scenario, "SELECT DISTINCT y FROM made ORDER BY y", "--format", "json").stdout)
    assert [row["y"] for row in rows] == [0, 1, 4, 9, 16]
    assert (folder / "provenance-data" / "made.csv").exists()
    assert e2clab("destroy", scenario).returncode == 0
    assert hit.left(scenario) == []


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("number", "rc"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_phase_releases_everything(scenario: Path, phase: str, number: signal.Signals, rc: int) -> None:
    write(scenario, lean=phase not in WITH_PROVENANCE)
    hit = Hit(scenario, phase, number, new_seed())
    assert hit.rc == rc, hit.said
    assert hit.left(scenario) == []
    assert ("interrupted" if number is signal.SIGINT else "terminated") in hit.said
    assert "Traceback" not in hit.said
    assert "nothing to release" in e2clab("destroy", scenario).stderr
