"""``status`` and ``inspect`` of hosts of the local testbed, from deployment to release."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cli_program import E2CLAB, LIMIT_S, e2clab, screen, typing_at

from e2c.cli import status

pytestmark = pytest.mark.netns

KEYS = {
    *(
        "at",
        "experiment",
        "folder",
        "scenario",
        "rehearsal",
        "released",
        "now",
        "begun",
        "phases",
        "reservations",
        "planned",
    ),
    *("hosts", "boards", "services", "background", "runs"),
}
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d "


def look(scenario: Path) -> dict[str, object]:
    done = e2clab("status", scenario, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, object] = json.loads(done.stdout)
    assert set(found) == KEYS
    return found


@pytest.mark.xdist_group("cli-deployed")
def test_json_tells_all(deployed: Path) -> None:
    found = look(deployed)
    assert (found["released"], found["now"], found["planned"]) == (False, None, 4)
    assert [record["phase"] for record in found["phases"]] == ["acquire", "connect", "serve"]
    assert [(host["service"], host["reachable"]) for host in found["hosts"]] == [
        ("cloud.server.1.1", True),
        ("edge.client.1.1", True),
        ("edge.client.1.2", True),
    ]
    assert [board["key"] for board in found["boards"]] == ["edge.mote.2.1"]


@pytest.mark.xdist_group("cli-deployed")
def test_text_is_for_people(deployed: Path) -> None:
    done = e2clab("status", deployed)
    assert "(living), results in " in done.stdout
    assert "done  acquire, connect, serve\nnow   no command works on it\nhosts 3 of 3 answer\n" in done.stdout
    assert "edge.mote.2.1  m3-1.grenoble.iot-lab.info  m3:at86rf231  -" in done.stdout


@pytest.mark.xdist_group("cli-deployed")
def test_a_host_that_does_not_answer_is_named_with_the_reason(deployed: Path) -> None:
    (path,) = deployed.glob("*-*/state.json")
    original = path.read_text()
    state = json.loads(original)
    state["hosts"][1] |= {"port": 1, "control_dir": None}
    path.write_text(json.dumps(state))
    try:
        text = e2clab("status", deployed).stdout
    finally:
        path.write_text(original)
    assert "hosts 2 of 3 answer" in text
    assert "edge.client.1.1  nothing listens on port 1" in text


@pytest.mark.xdist_group("cli-deployed")
def test_reservations_show_what_is_left(deployed: Path) -> None:
    """As last heard: their testbed cannot be asked from here."""
    (path,) = deployed.glob("*-*/state.json")
    original = path.read_text()
    state = json.loads(original)
    known = {"provider": "g5k", "site": "nancy", "id": "1234567", "name": "mine-0a1b2c3d", "state": "running"}
    state["reservations"] = [{**known, "starts": 1.0, "ends": 9e9}, {**known, "id": "8", "ends": None}]
    path.write_text(json.dumps(state))
    try:
        found = look(deployed)
        text = e2clab("status", deployed).stdout
        inspected = e2clab("inspect", deployed).stdout
        parts = json.loads(e2clab("inspect", deployed, "--format", "json").stdout)
    finally:
        path.write_text(original)
    assert [one["remaining_s"] is None for one in found["reservations"]] == [False, True]
    assert re.search(r"1234567 +g5k +nancy +mine-0a1b2c3d +running +\d+ d \d\d h\n", text)
    assert re.search(r"8 +g5k +nancy +mine-0a1b2c3d +running +not known yet", text)
    assert re.search(r"1234567 +g5k +nancy +mine-0a1b2c3d +running +2255-", inspected)
    assert [one["id"] for one in parts["reservations"]] == ["1234567", "8"]
    assert [one["service"] for one in parts["boards"]] == ["edge.mote.2.1"]
    assert re.search(r"edge\.mote\.2\.1 +edge +iotlab +m3-1\.grenoble", inspected)


@pytest.mark.xdist_group("cli-deployed")
def test_watching_redraws_in_place_and_ends_quietly(deployed: Path) -> None:
    terminal = typing_at("status", deployed, "--watch", "0.5")
    sent = ""
    for _ in range(3):
        terminal.expect("m3-1.grenoble.iot-lab.info +m3:at86rf231 +-\r\n")
        sent += f"{terminal.before}{terminal.after}"
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    lines = screen(sent + str(terminal.before))
    assert sum(line.startswith("experiment ") for line in lines) == 1, "drawn over, not again below"
    assert re.fullmatch(r"\d\d:\d\d:\d\d  Ctrl-C ends this", lines[0])
    assert lines[-1] == ""
    assert "interrupted" not in "".join(lines)


@pytest.mark.xdist_group("cli-deployed")
def test_watching_fits_a_small_terminal(deployed: Path) -> None:
    terminal = pexpect.spawn(
        E2CLAB[0],
        [*E2CLAB[1:], "status", str(deployed), "--watch"],
        timeout=LIMIT_S,
        encoding="utf-8",
        dimensions=(6, 30),
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"},  # what was exported elsewhere is no size
    )
    terminal.expect(r"\.\.\. \d+ more lines\r\n")
    lines = screen(f"{terminal.before}{terminal.after}")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert len(lines) == 6
    assert max(map(len, lines)) <= 29


def test_what_runs_in_the_background_and_for_how_long() -> None:
    began = (datetime.now(timezone.utc) - timedelta(seconds=90)).isoformat()
    task = {"task": "stays", "run": "large", "host": "cloud.server.1.1", "ended": False, "rc": None, "reason": ""}
    task["started"] = began
    found: dict[str, Any] = {
        "experiment": "x",
        "folder": "/x",
        "released": False,
        "rehearsal": False,
        "now": None,
        "begun": None,
    }
    found |= {name: [] for name in ("phases", "reservations", "hosts", "boards", "services", "runs")}
    shown = "\n".join(status.lines({**found, "planned": 1, "background": [task]}))
    assert re.search(r"stays +large +cloud\.server\.1\.1 +running for 1 min 3\d s", shown)


def test_from_deployment_to_release(fresh: Path) -> None:
    none = e2clab("status", fresh)
    assert none.returncode == 1
    assert "nothing was deployed" in none.stderr
    assert e2clab("layers-services", fresh, fresh / "artifacts").returncode == 0
    (fresh / "workflow.yaml").write_text(
        "- hosts: cloud\n  launch:\n"
        "  - {name: fails, shell: exit 3, async: 60, poll: 0}\n"
        "  - {name: stays, command: sleep 50, async: 60, poll: 0}\n"
        "- hosts: edge\n  launch:\n  - {name: holds on, command: sleep 60}\n"
    )
    with (
        subprocess.Popen(
            [*E2CLAB, "status", str(fresh), "--watch", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as watcher,
        subprocess.Popen(
            [*E2CLAB, "status", str(fresh), "--format", "json", "--watch"], stdout=subprocess.PIPE, text=True
        ) as program,
    ):
        assert watcher.stdout is not None
        assert re.fullmatch(STAMP + "no command works on it; hosts 3 of 3 answer\n", watcher.stdout.readline())
        with subprocess.Popen([*E2CLAB, "workflow", str(fresh), "launch"], stderr=subprocess.PIPE, text=True) as launch:
            assert launch.stderr is not None
            for line in launch.stderr:
                if "stays: changed" in line:
                    break
            found = look(fresh)
            launch.send_signal(signal.SIGINT)
            launch.stderr.read()
        working = found["now"]
        assert isinstance(working, dict)
        assert (working["pid"], working["phase"]) == (launch.pid, "launch")
        assert working["command"].endswith(f"workflow {fresh} launch")
        found = look(fresh)
        assert {task["task"]: (task["ended"], task["rc"]) for task in found["background"]} == {
            "fails": (True, 3),
            "stays": (True, -15),
        }, "Ctrl-C without a terminal ends what runs in the background"
        text = e2clab("status", fresh).stdout
        assert "now   no command works on it; launch began and did not end well\n" in text
        assert re.search(r"fails +run +cloud\.server\.1\.1 +ended, exit code 3\n", text)
        assert re.search(r"stays +run +cloud\.server\.1\.1 +ended, exit code -15\n", text)
        assert e2clab("destroy", fresh).returncode == 0
        lines, words = watcher.communicate(timeout=LIMIT_S)
        objects = [json.loads(line) for line in program.communicate(timeout=LIMIT_S)[0].splitlines()]
    assert (watcher.returncode, words, program.returncode) == (0, "", 0)
    assert re.fullmatch(STAMP + r"\d{8}-\d{6} released", lines.splitlines()[-1])
    assert any(" launch, by process " in line for line in lines.splitlines())
    assert all(re.match(STAMP, line) for line in lines.splitlines())
    assert [one["released"] for one in objects[-2:]] == [False, True]
    after = e2clab("status", fresh)
    assert after.returncode == 0
    assert "(released), results in " in after.stdout
