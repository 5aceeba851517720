"""``check-testbeds``, ``ssh`` and ``status`` against testbeds that answer as the real ones do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from standins_lab import StandIns

pytestmark = [pytest.mark.netns]

LAYERS = """\
environment:
  job_name: desk
  walltime: "01:00:00"
  g5k: {cluster: gros, ssh_key: ~/.ssh/your_g5k_key.pub}
  iotlab: {cluster: grenoble}
layers:
- name: cloud
  services: [{name: Server}]
- name: edge
  services:
  - {name: Client, environment: iotlab, archi: "a8:at86rf231"}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "layers_services.yaml").write_text(LAYERS)
    (folder / "network.yaml").write_text("networks: []\n")
    (folder / "workflow.yaml").write_text("[]\n")
    return folder


def check(standins: StandIns, *arguments: str | Path) -> tuple[int, dict[str, dict[str, Any]]]:
    done = standins.run("check-testbeds", *arguments, "--format", "json")
    assert done.stdout, done.stderr
    for secret in (*(standins.grid5000.users or {}).values(), *(standins.iotlab.users or {}).values()):
        assert secret not in done.stdout + done.stderr
    return done.returncode, {one["testbed"]: one for one in json.loads(done.stdout)}


def test_what_check_testbeds_finds(standins: StandIns, scenario: Path) -> None:
    code, found = check(standins, "g5k", "iotlab")
    assert (code, found["g5k"]["state"], found["iotlab"]["state"]) == (0, "ok", "ok"), found
    for one in found.values():
        aspects = [finding["aspect"] for finding in one["findings"]]
        assert {"credentials", "API", "ssh"} <= set(aspects)
        assert all(finding["ok"] for finding in one["findings"])
    code, found = check(standins, "--scenario", scenario)
    assert (code, set(found)) == (0, {"g5k", "iotlab"})

    standins.log_in(grid5000="wrong", iotlab="wrong")
    code, found = check(standins, "g5k", "iotlab")
    assert code == 1
    for one in found.values():
        assert one["state"] in ("failed", "not set up")
        (wrong,) = (finding for finding in one["findings"] if finding["ok"] is False)
        assert wrong["remedy"]
    standins.log_in()

    standins.grid5000.__exit__()
    code, found = check(standins)
    assert code == 0, "nobody asked for it"
    assert (found["g5k"]["state"], found["iotlab"]["state"]) == ("failed", "ok")
    assert check(standins, "g5k")[0] == 1


def test_hosts_behind_jump_hosts_are_shown_and_reached(standins: StandIns, scenario: Path) -> None:
    done = standins.run("layers-services", scenario, scenario / "artifacts")
    assert done.returncode == 0, done.stderr
    try:
        print(done.stderr)
        assert re.search(r" (reserve|acquire) .*nancy", done.stderr), "the testbed's own words"
        found = json.loads(standins.run("status", scenario, "--format", "json").stdout)
        assert [host["reachable"] for host in found["hosts"]] == [True, True]
        assert {one["provider"] for one in found["reservations"]} == {"g5k", "iotlab"}
        for one in found["reservations"]:
            assert 0 < one["remaining_s"] <= 3600
        text = standins.run("status", scenario).stdout
        assert "hosts 2 of 2 answer" in text
        assert re.search(r"\d+ +g5k +nancy +desk-[0-9a-f]{8} +running +\d+ min \d\d s", text), text

        for key in ("cloud.server.1.1", "edge.client.1.1"):
            done = standins.run("ssh", scenario, key, "--", "hostname; exit 4")
            assert (done.returncode, done.stderr) == (4, "")
            assert done.stdout.startswith("gros-" if key.startswith("cloud") else ("a8-", "node-a8-"))
        executed = json.loads(standins.run("exec", scenario, "all", "--format", "json", "true").stdout)
        assert [row["rc"] for row in executed] == [0, 0]
    finally:
        freed = standins.run("destroy", scenario)
    assert freed.returncode == 0, freed.stderr
    assert "(released)" in standins.run("status", scenario).stdout
