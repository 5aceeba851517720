"""Monitoring in the life of an experiment: deployed, told of, and fetched for each run by its time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError

E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
KEYS = ("edge.camera.1.1", "edge.camera.1.2")
LAYERS = """
environment: {local: {}}
monitoring: {type: dstat}
layers:
  - name: edge
    services:
      - {name: camera, quantity: 2, roles: [monitoring]}
"""
WORKFLOW = """
- hosts: edge.camera.1.1
  launch: [{shell: date +%s.%N; sleep 1.2}]
"""


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    told = [*E2CLAB, *map(str, arguments)]
    return subprocess.run(told, capture_output=True, text=True, timeout=280, check=False)


def moments(file: Path) -> list[float]:
    return [float(line.split(",")[0]) for line in file.read_text().splitlines() if line[:1].isdigit()]


@pytest.mark.netns
def test_each_run_gets_the_samples_of_its_time(tmp_path: Path) -> None:
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    (tmp_path / "artifacts").mkdir()
    for name, text in (("layers_services", LAYERS), ("network", "networks: []\n"), ("workflow", WORKFLOW)):
        (tmp_path / f"{name}.yaml").write_text(text)
    try:
        done = run("deploy", tmp_path, tmp_path / "artifacts", "--repeat", "1")
        assert done.returncode == 0, done.stderr
        output = Path(done.stdout.strip())
        header = (output / "layers_services-validate.yaml").read_text()
        assert "# monitoring on edge.camera.1.1, edge.camera.1.2: file:///var/lib/e2c/monitoring/samples.csv" in header
        state = json.loads((output / "state.json").read_text())
        (service,) = json.loads(run("inspect", tmp_path, "--format", "json").stdout)["services"]
        assert (service["name"], service["hosts"]) == ("monitoring", list(KEYS))
        assert service["health"] == {"healthy": True, "hosts": {key: {"healthy": True} for key in KEYS}}
        for shown in (run("inspect", tmp_path).stdout, run("status", tmp_path).stdout):
            assert re.findall(r"^monitoring +(\S+) .*healthy", shown, re.MULTILINE) == list(KEYS)

        first, second = ([moments(_samples(output, f"repeat-{n}", key)) for key in KEYS] for n in (1, 2))
        assert all(len(times) >= 2 for times in (*first, *second))
        # the sample in which a run ends may tell of the beginning of the next one as well
        assert all(earlier[-2] < later[0] for earlier, later in zip(first, second, strict=True))
        assert not (output / "monitoring-data").exists()
        assert [service["name"] for service in state["services"]] == ["monitoring"]
    finally:
        freed = run("destroy", tmp_path)
        assert freed.returncode == 0, freed.stderr


def _samples(output: Path, run: str, key: str) -> Path:
    return output / run / "monitoring-data" / key / "dstat.csv"
