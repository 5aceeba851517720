"""What goes wrong on testbeds, from the command line: a clear sentence, and no reservation left."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from grid5000_park import write_date
from standins_lab import StandIns

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError

pytestmark = [pytest.mark.netns, pytest.mark.timeout(400)]

LAYERS = """\
environment:
  job_name: faults
  walltime: "00:30:00"
  g5k: {{cluster: gros{keys}}}
{iotlab}layers:
- name: cloud
  services: [{{name: server, environment: g5k, quantity: 2{roles}}}]
"""
PRIVATE = "monitoring: {type: dstat, network: private}\n"
EDGE = """\
- name: edge
  services: [{name: client, environment: iotlab, archi: "a8:at86rf231"}]
"""
IMAGE = ", job_type: [deploy], env_name: debian11-x64-big"
LIMITS = {
    "E2C_API_TIMEOUT": "5",
    "E2C_START_TIMEOUT": "15",
    "E2C_SSH_TIMEOUT": "12",
    "E2C_DEPLOY_TIMEOUT": "60",
    "E2C_RELEASE_TIMEOUT": "10",
}
FIRST, SECOND = "gros-1.nancy.grid5000.fr", "gros-2.nancy.grid5000.fr"


@pytest.fixture(scope="module")
def standing() -> Iterator[StandIns]:
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    with StandIns() as lab:
        yield lab


@pytest.fixture
def lab(standing: StandIns) -> Iterator[StandIns]:
    """All is well at the beginning, and nothing is reserved at the end."""
    standing.reset()
    yield standing
    left = standing.living()
    standing.reset()
    assert left == []


def scenario(folder: Path, *, keys: str = "", both: bool = False, private: bool = False, launch: str = "date") -> Path:
    (folder / "artifacts").mkdir()
    roles = ", roles: [monitoring]" if private else ""
    text = LAYERS.format(keys=keys, roles=roles, iotlab="  iotlab: {cluster: grenoble}\n" if both else "")
    (folder / "layers_services.yaml").write_text((PRIVATE if private else "") + text + (EDGE if both else ""))
    (folder / "network.yaml").write_text("networks: []\n")
    (folder / "workflow.yaml").write_text(f"- hosts: cloud\n  launch:\n  - shell: {launch}\n")
    return folder


def all_busy(lab: StandIns) -> None:
    for node in lab.grid5000.park.nodes:
        lab.grid5000.occupy(node, time.time(), time.time() + 7200)


def down_during(lab: StandIns) -> None:
    """The submission arrives, but its answer does not, and then nothing answers for a while."""
    lab.grid5000.faults.afterwards("POST", "/jobs$", lambda: lab.grid5000.outage(2))
    lab.grid5000.faults.lose("POST", "/jobs$")


def job_breaks(lab: StandIns) -> None:
    lab.grid5000.launching_s = 1000
    lab.grid5000.error_after = 1


@dataclass(frozen=True)
class Fault:
    """``arrange`` brings it about; ``said``: words of the message, none where the deployment survives it."""

    arrange: Callable[[StandIns], object]
    said: tuple[str, ...] = ()
    keys: str = ""
    both: bool = False
    private: bool = False
    jobs: int = 1


NODES_GONE = {"code": 500, "message": "Invalid nodes state : [a8-1.grenoble.iot-lab.info]"}
FAULTS = {
    "no credentials": Fault(lambda lab: lab.log_out(), (".python-grid5000.yaml", "username:"), jobs=0),
    "wrong password": Fault(lambda lab: lab.log_in(grid5000="x7-wrong"), ("does not accept", "password"), jobs=0),
    "API down before": Fault(lambda lab: lab.grid5000.close(), ("nothing listens", "grid5000.fr/status"), jobs=0),
    "API down during the submission": Fault(down_during),
    "API down after the submission": Fault(
        lambda lab: lab.grid5000.faults.afterwards("POST", "/jobs$", lambda: lab.grid5000.outage(2))
    ),
    "answer to the submission lost": Fault(lambda lab: lab.grid5000.faults.lose("POST", "/jobs$")),
    "reservation not valid": Fault(
        all_busy,
        ("Reservation not valid", "could run at", "leave reservation out"),
        keys=', reservation: "LATER"',
    ),
    "more than there is": Fault(
        lambda lab: setattr(lab.grid5000.park.nodes[FIRST], "hard", "dead"), ("There are not enough resources",)
    ),
    "never starts": Fault(all_busy, ("does not run after 15 s", "waiting", "E2C_START_TIMEOUT")),
    "job in error": Fault(job_breaks, ("went to error", "bipbip")),
    "fewer nodes than asked": Fault(lambda lab: setattr(lab.grid5000, "fewer", 1), ("2 machines", "1 came")),
    "one node without ssh": Fault(lambda lab: lab.without_ssh.add(SECOND), (SECOND, "E2C_SSH_TIMEOUT")),
    "deployment failed on one node": Fault(
        lambda lab: lab.grid5000.failing_nodes.add(SECOND), (SECOND, "1 of 2 machines", "3 attempts"), keys=IMAGE
    ),
    "no free KaVLAN": Fault(
        lambda lab: lab.grid5000.taken_vlans.update("456789"),
        ("does not run after 15 s", "waiting", "a free KaVLAN", "network: shared"),
        keys=IMAGE,
        private=True,
    ),
    "KaVLAN refuses one node": Fault(
        lambda lab: lab.grid5000.refused_in_vlans.add(SECOND),
        ("gros-2-eth1.nancy.grid5000.fr could not be put into the monitoring network", "network: shared"),
        keys=IMAGE,
        private=True,
    ),
    "no address in the KaVLAN": Fault(
        lambda lab: lab.without_dhcp.add(SECOND),
        (f"no address in the monitoring network on {SECOND}", "no DHCP answer on eno2", "dhclient"),
        keys=IMAGE,
        private=True,
    ),
    "no second interface": Fault(
        lambda lab: lab.grid5000.park.single.add("gros"),
        ("the machines of gros have no second interface", "another cluster", "network: shared"),
        keys=IMAGE,
        private=True,
        jobs=0,
    ),
    "second testbed refuses": Fault(
        lambda lab: lab.iotlab.faults.answer("POST", "/experiments$", 500, NODES_GONE), ("a8-1.grenoble",), both=True
    ),
    "second testbed breaks": Fault(
        lambda lab: setattr(lab.iotlab, "error_after", 0), ("went to state Error",), both=True
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_nothing_stays_booked(lab: StandIns, tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    folder = scenario(
        tmp_path,
        keys=fault.keys.replace("LATER", write_date(time.time() + 4000)),
        both=fault.both,
        private=fault.private,
    )
    fault.arrange(lab)
    done = lab.run("deploy", folder, folder / "artifacts", **LIMITS)
    assert done.returncode == (1 if fault.said else 0), done.stderr
    last = done.stderr[done.stderr.find("e2clab: error") :]
    assert [words for words in fault.said if words not in last] == [], done.stderr
    assert not any(ugly in done.stderr for ugly in ("Traceback", "x7-wrong", "g5k-secret", "iotlab-secret"))
    if fault.said:
        assert lab.living() == []
    else:
        assert lab.run("destroy", folder, **LIMITS).returncode == 0
    assert len(lab.grid5000.asked("POST", "/jobs$")) == fault.jobs


def test_while_nobody_can_be_asked_what_may_be_booked_is_told(lab: StandIns, tmp_path: Path) -> None:
    folder = scenario(tmp_path)
    lab.grid5000.faults.afterwards("POST", "/jobs$", lab.grid5000.close)
    done = lab.run("deploy", folder, folder / "artifacts", **LIMITS)
    assert done.returncode == 1
    assert "MAY STILL BE BOOKED" in done.stderr
    assert f"e2clab destroy {folder}" in done.stderr
    late = lab.run("destroy", folder, **LIMITS)
    assert late.returncode == 1, late.stderr
    lab.grid5000.open()
    assert len(lab.living()) == 1
    assert lab.run("destroy", folder, **LIMITS).returncode == 0


def deploying(lab: StandIns, folder: Path) -> subprocess.Popen[str]:
    return lab.popen("deploy", folder, folder / "artifacts", env=LIMITS, stdout=subprocess.DEVNULL)


def left_behind(lab: StandIns) -> list[str]:
    """Processes of this user that outlived their command, seen by the home folder in their environment."""
    mine = f"HOME={lab.home}\0".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mine in (process / "environ").read_bytes() + b"\0":
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile
    return [line for line in found if line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_cut_off_while_the_job_waits(lab: StandIns, tmp_path: Path, number: signal.Signals) -> None:
    folder = scenario(tmp_path)
    lab.grid5000.start_after_s = 1000
    process = deploying(lab, folder)
    deadline = time.monotonic() + 120
    while not lab.grid5000.asked("GET", r"/jobs/\d+$") and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.stderr is not None
    told = process.stderr.read()
    assert process.wait(60) == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], told
    assert len(lab.living()) == (1 if number == signal.SIGKILL else 0)
    assert lab.run("destroy", folder, **LIMITS).returncode == 0
    assert lab.living() == []
    while left_behind(lab) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_behind(lab) == []


def test_the_walltime_is_over_during_launch(lab: StandIns, tmp_path: Path) -> None:
    folder = scenario(tmp_path, launch="sleep 200")
    process = deploying(lab, folder)
    assert process.stderr is not None
    for line in process.stderr:
        if " launch " in line:
            break
    lab.grid5000.forward(7200)
    told = process.stderr.read()
    assert process.wait(60) == 1, told
    assert "ended at" in told
    assert "ask for a longer walltime" in told
