"""A scenario on FIT IoT-LAB alone, whole: an A8 node with real ssh behind its site, boards beside it, measurements."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from standins_lab import StandIns

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError

pytestmark = [pytest.mark.root, pytest.mark.netns]

SITE = "grenoble.iot-lab.info"
LAYERS = """\
environment:
  iotlab:
    cluster: grenoble
monitoring_iotlab:
  profiles:
  - {name: power, archi: m3, power: true, radio: {mode: rssi, channels: [11], period: 10}}
layers:
- name: edge
  services:
  - {name: Server, archi: "a8:at86rf231"}
  - {name: Sensor, archi: "m3:at86rf231", quantity: 2, image: sense.elf, profile: power}
"""
WORKFLOW = """\
- hosts: edge.*
  launch:
  - shell: echo "$(id -un)@$(hostname)"
"""


@pytest.fixture
def standins() -> Iterator[StandIns]:
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    with StandIns(grid5000=(), iotlab=("a8-1.grenoble",)) as lab:
        yield lab
        assert lab.living() == []


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/sense.elf").write_bytes(b"\x7fELF")
    (tmp_path / "layers_services.yaml").write_text(LAYERS)
    (tmp_path / "network.yaml").write_text("networks:\n")
    (tmp_path / "workflow.yaml").write_text(WORKFLOW)
    return tmp_path


def test_the_whole_life_of_an_experiment_with_a_host_and_boards(standins: StandIns, scenario: Path) -> None:
    def record(what: str, experiment: object) -> None:
        if what == "running":
            number = experiment.id  # type: ignore[attr-defined]
            standins.nodes.write(SITE, f"/home/jdoe/.iot-lab/{number}/consumption/m3_1.oml", "1 2 3\n")

    standins.iotlab.listeners.append(record)

    done = standins.run("deploy", scenario, scenario / "artifacts")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "board" in done.stdout + done.stderr
    (state_file,) = scenario.glob("*/state.json")
    state, folder = json.loads(state_file.read_text()), state_file.parent
    (host,) = state["hosts"]
    assert host["address"] == host["hostname"] == "node-a8-1.grenoble.iot-lab.info"
    assert host["jump"] == f"jdoe@{SITE}"
    assert host["addresses"]["v6"]
    assert [board["address"] for board in state["boards"]] == [f"m3-{number}.{SITE}" for number in (1, 2)]
    layers = yaml.safe_load((folder / "layers_services-validate.yaml").read_text())
    assert {key for entry in layers["edge"] for key in entry} == {
        "edge.server.1.1",
        "edge.sensor.2.1",
        "edge.sensor.2.2",
    }
    assert standins.iotlab.nodes[f"m3-2.{SITE}"].firmware == "sense.elf"
    (launched,) = yaml.safe_load_all((folder / "workflow-validate.out").read_text())
    assert [(one["host"], one["stdout"]) for one in launched["RETURN"]] == [
        ("edge.server.1.1", "root@node-a8-1.grenoble.iot-lab.info")
    ]
    (experiment,) = standins.iotlab.living()
    data = folder / "monitoring-data/iotlab-data"
    with tarfile.open(data / f"{experiment.id}-grenoble.tar.gz") as archive:
        measured = archive.extractfile(f"{experiment.id}/consumption/m3_1.oml")
        assert measured is not None
        assert measured.read() == b"1 2 3\n"
    with tarfile.open(data / f"{experiment.id}.tar.gz") as archive:
        assert archive.getnames() == [f"{experiment.id}/{experiment.id}.json"]

    gone = standins.run("destroy", scenario)

    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert f"experiment {experiment.id} of FIT IoT-LAB (3 nodes)" in gone.stdout + gone.stderr
    assert standins.iotlab.profiles == {}


def test_a_node_without_ssh_fails_the_deployment_and_nothing_stays(standins: StandIns, scenario: Path) -> None:
    standins.without_ssh.add("node-a8-1.grenoble.iot-lab.info")

    done = standins.run("deploy", scenario, scenario / "artifacts", E2C_SSH_TIMEOUT="2")

    assert done.returncode == 1
    assert "node-a8-1.grenoble.iot-lab.info" in done.stderr
    assert "E2C_SSH_TIMEOUT" in done.stderr
    assert standins.living() == []
    assert standins.iotlab.profiles == {}


def test_the_account_is_examined_down_to_ssh(standins: StandIns) -> None:
    code = """
from e2c.environments.iotlab.provider import IotLabProvider
for found in IotLabProvider().examine({"cluster": "grenoble"}):
    print(found.aspect, found.ok, found.text, found.remedy)
"""

    good = standins.python(code).stdout.splitlines()
    (standins.home / ".ssh/id_ed25519").unlink()
    bad = standins.python(code).stdout.splitlines()

    assert [line.split()[:2] for line in good] == [["credentials", "True"], ["API", "True"], ["ssh", "True"]]
    assert bad[:2] == good[:2]
    assert bad[2].startswith("ssh False")
    assert "iotlab-auth --add-ssh-key" in bad[2]
