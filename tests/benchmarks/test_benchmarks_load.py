"""The load benchmark runs, with the tiniest sizes and without the peer; its figures are not judged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOAD = Path(__file__).parents[2] / "benchmarks" / "load"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LOAD), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_tiny_run_stores_everything_and_writes_its_figures(tmp_path: Path) -> None:
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed")
    done = run("--tiny", "--without-peers", "--only", "rate,curve", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out" / "load.json").read_text())
    assert set(written["parts"]) == {"rate", "curve"}
    ways = written["parts"]["curve"]["4000"]["us"]
    assert len(ways) == 4
    assert all(price > 0 for way in ways.values() for price in (way["wall"],))
    assert (tmp_path / "out" / "load.md").read_text().strip() in done.stdout
    assert len(written["targets"]) == done.stdout.count(" met |") + done.stdout.count("**not met**")


def test_a_wrong_part_is_refused() -> None:
    done = run("--only", "curve,speed")
    assert (done.returncode, "there is no part speed" in done.stderr) == (2, True)


def test_the_manual_has_a_place_for_the_tables() -> None:
    manual = (LOAD.parent / "README.md").read_text()
    assert manual.count("<!-- load: written by benchmarks/load -->") == manual.count("<!-- load: end -->") == 1
