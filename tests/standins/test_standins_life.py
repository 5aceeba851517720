"""A booked experiment that is cut off, runs out of its time or is lengthened, through the commands that users type."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from standins_lab import StandIns

pytestmark = [pytest.mark.netns, pytest.mark.timeout(400)]

LAYERS = """\
environment:
  job_name: life
  walltime: "01:00:00"
  g5k: {cluster: gros}
  iotlab: {cluster: grenoble}
layers:
- name: cloud
  services:
  - name: server
    environment: g5k
- name: edge
  services:
  - name: sensor
    environment: iotlab
    archi: "m3:at86rf231"
"""
WORKFLOW = """\
- hosts: cloud
  launch:
  - name: measuring
    command: sleep 60
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    (folder / "artifacts").mkdir(parents=True)
    (folder / "layers_services.yaml").write_text(LAYERS)
    (folder / "network.yaml").write_text("networks: []\n")
    (folder / "workflow.yaml").write_text(WORKFLOW)
    return folder


def killed(standins: StandIns, scenario: Path) -> None:
    """Kill the deployment with -9 as soon as something is booked."""
    with standins.popen("layers-services", scenario, scenario / "artifacts", start_new_session=True) as process:
        while not standins.living():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            if process.stderr:
                process.stderr.readline()
        process.send_signal(signal.SIGKILL)


def test_killed_while_booking_the_next_command_takes_the_jobs_up(standins: StandIns, scenario: Path) -> None:
    killed(standins, scenario)
    booked = {job.uid for job in standins.grid5000.living()}
    done = standins.run("layers-services", scenario, scenario / "artifacts")
    assert done.returncode == 0, done.stderr
    assert "which was cut off" in done.stderr
    assert len(standins.living()) == 2
    assert booked <= {job.uid for job in standins.grid5000.living()}
    assert standins.run("exec", scenario, "cloud", "--", "true").returncode == 0

    ends = {job.uid: job.walltime for job in standins.grid5000.living()}
    extended = standins.run("extend", scenario, "00:30:00")
    assert [job.walltime - ends[job.uid] for job in standins.grid5000.living()] == [1800], extended.stderr

    freed = standins.run("destroy", scenario)
    assert freed.returncode == 0, freed.stderr
    assert standins.living() == []


def test_killed_while_booking_destroy_frees_it_even_without_a_state(standins: StandIns, scenario: Path) -> None:
    killed(standins, scenario)
    (state,) = scenario.glob("2*/state.json")
    state.write_text(state.read_text()[:20])
    freed = standins.run("destroy", scenario)
    assert freed.returncode == 0, freed.stderr
    assert standins.living() == []
    assert "nothing to release" in standins.run("destroy", scenario).stderr


def test_a_reservation_that_ends_during_launch_is_the_reason_that_is_told(standins: StandIns, scenario: Path) -> None:
    with standins.popen("deploy", scenario, scenario / "artifacts") as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "launch" in line and "measuring" in line:
                break
        for job in standins.grid5000.living():
            standins.grid5000.end(job)
            for node in job.nodes:
                standins.nodes.boot(node)
        said += process.stderr.read()
        assert process.wait() == 1
    assert "ended at" in said, said
    assert "so its hosts are gone" in said
    assert standins.living() == []
    (folder,) = scenario.glob("2*")
    assert json.loads((folder / "state.json").read_text())["released"] is True
    assert str(folder) in said
