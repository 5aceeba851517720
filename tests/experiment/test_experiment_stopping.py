"""Ctrl-C during a launch ends what runs on hosts, asking first where somebody can answer; finalize still saves.

After kill -9 every command knows of the background tasks that the launch had begun.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError
from e2c.experiment import background

pytestmark = pytest.mark.netns

E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
LIMIT_S = 120
LAYERS = """
environment: {local: {}}
layers:
- name: edge
  services:
  - {name: worker, quantity: 2}
"""
WORKFLOW = """
- hosts: edge
  launch:
  - name: train
    shell: trap 'echo saved >/tmp/saved; exit 7' TERM; while [ ! -e /tmp/gate ]; do sleep 0.1; done; echo trained
    async: 600
    poll: 0
  - name: forks
    shell: (sleep 777901 & setsid sleep 777901) & sleep 777901
    async: 600
    poll: 0
  - name: in the foreground
    shell: sleep 777901
  finalize:
  - name: fetch
    shell: cat /tmp/saved
"""


def e2clab(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*E2CLAB, *map(str, arguments)], capture_output=True, text=True, timeout=LIMIT_S, check=False)


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[Path]:
    """A scenario of two hosts that is deployed."""
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    (tmp_path / "layers_services.yaml").write_text(LAYERS)
    (tmp_path / "network.yaml").write_text("networks:\n")
    (tmp_path / "workflow.yaml").write_text(WORKFLOW)
    done = e2clab("layers-services", tmp_path, tmp_path)
    assert done.returncode == 0, done.stderr
    yield tmp_path
    e2clab("destroy", tmp_path)


def processes(scenario: Path) -> str:
    return e2clab(
        "exec", scenario, "edge", "--", "ps ax -o args | grep -v grep | grep '[s]leep 77\\|[a]sync_wrapper'"
    ).stdout


def output(scenario: Path, name: str) -> Path:
    (folder,) = scenario.glob("2*")
    return folder / name


def launched(scenario: Path, number: signal.Signals) -> tuple[str, int]:
    """What a launch says that gets a signal in its last task, and its exit code."""
    with subprocess.Popen(
        [*E2CLAB, "workflow", str(scenario), "launch"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        said = ""
        while "in the foreground" not in said:
            said += process.stderr.readline()
        os.killpg(process.pid, number)
        said += process.stderr.read()
        return said, process.wait(LIMIT_S)


def test_without_a_terminal_all_is_ended_and_finalize_saves(scenario: Path) -> None:
    said, code = launched(scenario, signal.SIGINT)
    assert code == 130
    assert "edge.worker.1.1: stopped forks, train" in said
    assert "edge.worker.1.2: train: stopped by you, rc 7" in said
    assert "sleep" not in processes(scenario)
    assert "async_wrapper" not in processes(scenario)

    done = e2clab("finalize", scenario)
    assert done.returncode == 0, done.stderr
    assert "saved" in output(scenario, "workflow-validate.out").read_text()
    assert output(scenario, "background/edge.worker.1.1-train.out").exists()
    tasks = json.loads(output(scenario, "state.json").read_text())["background"]
    assert {(task["task"], task["ended"], task["stopped"]) for task in tasks} == {
        ("train", True, True),
        ("forks", True, True),
    }


def test_killed_in_the_middle_of_a_launch_its_background_tasks_are_known(scenario: Path) -> None:
    assert launched(scenario, signal.SIGKILL)[1] == -signal.SIGKILL
    path = output(scenario, "state.json")
    state = json.loads(path.read_text())
    begun = {(task["host"], task["task"]) for task in state["background"]}
    assert begun == {(f"edge.worker.1.{number}", task) for number in (1, 2) for task in ("train", "forks")}

    lost = next(task for task in state["background"] if (task["host"], task["task"]) == ("edge.worker.1.1", "train"))
    state["background"].remove(lost)  # as if the kill had come before the word of it
    path.write_text(json.dumps(state))
    told = json.loads(e2clab("status", scenario, "--format", "json").stdout)["background"]
    (unheard,) = [task for task in told if task["task"] == background.UNHEARD]
    assert (unheard["host"], unheard["job"], unheard["run"]) == (lost["host"], lost["job"], "run")
    assert not any(task["ended"] for task in told)

    said, _ = launched(scenario, signal.SIGINT)
    assert f"{lost['host']}: {background.UNHEARD}: stopped, because its stage begins anew, rc 7" in said
    assert "edge.worker.1.2: train: stopped, because its stage begins anew, rc 7" in said
    assert "edge.worker.1.2: train: stopped by you, rc 7" in said
    tasks = json.loads(path.read_text())["background"]
    assert len(tasks) == 4, "those of the attempt before say nothing of this one"
    assert "sleep" not in processes(scenario)


def test_on_a_terminal_the_user_may_leave_it_running(scenario: Path) -> None:
    terminal = pexpect.spawn(
        E2CLAB[0],
        [*E2CLAB[1:], "workflow", str(scenario), "launch"],
        timeout=LIMIT_S,
        encoding="utf-8",
        env={**os.environ, "TERM": "xterm"},
    )
    terminal.expect("in the foreground")
    terminal.sendintr()
    terminal.expect("leave it running")
    terminal.sendline("leave")
    terminal.expect("goes on: edge.worker.1.1 ")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert "sleep 777901" in processes(scenario)

    e2clab("exec", scenario, "edge", "--", "touch /tmp/gate /tmp/saved; pkill -x sleep")
    done = e2clab("finalize", scenario)
    assert "train: ended, rc 0" in done.stderr
    assert output(scenario, "background/edge.worker.1.2-train.out").read_text() == "trained\n"
