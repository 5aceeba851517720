from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2c.model.host import Host
from e2c.remote import background, playbook, shell

WAITS = 200


@pytest.fixture
def jobs(host: Host, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Two background tasks: one fails after it was released, one runs until then."""
    gate = tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.1; done"
    tasks = [
        {"name": "fails", "shell": "echo out; echo err >&2; exit 3", "async": 60, "poll": 0},
        {"name": "waits", "shell": f"{wait}; echo done", "async": 60, "poll": 0},
    ]
    results = playbook.run([{"hosts": [host.key], "gather_facts": False, "tasks": tasks}], [host], work_dir=tmp_path)
    made = {result.task: result.job for result in results if result.job}
    yield made
    gate.touch()
    shell.run(host, "rm -f " + " ".join(f"~/.ansible_async/{job}" for job in made.values()))


def until_ended(host: Host, job: str) -> background.JobState:
    for _ in range(WAITS):
        state = background.look({host.key: host}, [(host.key, job)])[host.key, job]
        if state.ended:
            return state
        threading.Event().wait(0.1)
    raise AssertionError("never ended")


def test_states_of_background_tasks(host: Host, unreachable: Host, jobs: dict[str, str], tmp_path: Path) -> None:
    failed = until_ended(host, jobs["fails"])
    assert (failed.rc, failed.stdout, failed.stderr) == (3, "out", "err")

    hosts = {host.key: host, unreachable.key: unreachable}
    asked = [(host.key, jobs["waits"]), (host.key, "123.456"), (unreachable.key, "1.2")]
    states = background.look(hosts, asked)
    assert not states[host.key, jobs["waits"]].ended
    assert states[host.key, "123.456"].ended
    assert "knows nothing" in states[host.key, "123.456"].reason
    assert not states[unreachable.key, "1.2"].ended
    assert "ssh" in states[unreachable.key, "1.2"].reason

    (tmp_path / "gate").touch()
    done = until_ended(host, jobs["waits"])
    assert (done.rc, done.stdout) == (0, "done")
