"""The commands of the tutorial page, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "provenance.md"
LIMIT_S = 240

pytestmark = [pytest.mark.netns, pytest.mark.switch, pytest.mark.broker, pytest.mark.monetdb]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """What the page works on: the example and the installed environment."""
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    ignored = shutil.ignore_patterns("[0-9]*-[0-9]*")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=ignored)
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    environment = Path(os.environ.get("VIRTUAL_ENV", ROOT / ".venv"))
    (tmp_path / ".venv").symlink_to(environment)
    yield tmp_path
    scenario = tmp_path / "examples" / "provenance-tutorial"
    subprocess.run([environment / "bin" / "e2clab", "destroy", scenario], capture_output=True, check=True, timeout=60)


def round_trips(text: str) -> list[float]:
    """Average round trips, in ms, of the pings in an output."""
    return [float(average) for average in re.findall(r"rtt min/avg/max/mdev = [\d.]+/([\d.]+)/", text)]


def test_every_command_of_the_page_does_what_the_page_says(clone: Path) -> None:
    script = "set -euo pipefail\n" + "".join(
        f"echo '### {number}'\n{block}" for number, block in enumerate(blocks(PAGE))
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=clone, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("cloud.master.1.1", "edge.worker.1.1", "provenance_service.1"):
        assert name in done.stdout
    before, after = round_trips(done.stdout)
    assert before < 5
    assert 27 < after < 45
    assert "training_task_id" not in done.stderr
    assert '"highest": 0.' in done.stdout
    assert "provenance_database.sql" in done.stdout
    assert "released" in done.stderr
