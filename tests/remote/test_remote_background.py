from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2c.model.host import Host
from e2c.remote import background, playbook, shell
from e2c.remote.watching import Watcher

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


def tasks_in_background(host: Host, folder: Path, *tasks: dict[str, object]) -> dict[str, str]:
    made = [{"async": 60, "poll": 0, **task} for task in tasks]
    play = {"hosts": [host.key], "gather_facts": False, "tasks": made}
    return {result.task: result.job for result in playbook.run([play], [host], work_dir=folder) if result.job}


def living(word: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if word in words:
                found.append(words)
    return found


def test_the_end_of_background_tasks_is_told_without_asking(host: Host, jobs: dict[str, str], tmp_path: Path) -> None:
    left = set(jobs.values())
    ends: dict[str, background.JobState] = {}
    with Watcher({host.key: host}, lambda _: background.follow(sorted(left))) as watcher:
        while not watcher.over:
            for notice in watcher.next(30):
                found = background.followed(notice.text)
                if found is not None:
                    ends[found[0]] = found[1]
                    left.discard(found[0])
                    (tmp_path / "gate").touch()
    assert {name: ends[job].rc for name, job in jobs.items()} == {"fails": 3, "waits": 0}
    assert ends[jobs["waits"]].stdout == "done"


def test_a_task_whose_process_was_killed_has_ended(host: Host, tmp_path: Path) -> None:
    (job,) = tasks_in_background(host, tmp_path, {"name": "long", "shell": "sleep 777701"}).values()
    for line in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if job.partition(".")[0] in (line / "cmdline").read_text() or "777701" in (line / "cmdline").read_text():
                os.kill(int(line.name), signal.SIGKILL)
    notices = []
    with Watcher({host.key: host}, lambda _: None if notices else background.follow([job])) as watcher:
        while not watcher.over:
            notices += [notice for notice in watcher.next(30) if notice.kind == "line"]
    found = background.followed(notices[0].text)
    assert found is not None
    assert (found[1].ended, found[1].rc, found[1].reason) == (True, None, background.GONE)


def test_a_module_without_an_exit_code_ends_too() -> None:
    assert background.state('{"started": 1, "finished": 0, "ansible_job_id": "j1.2"}').ended is False
    touched = background.state('{"dest": "/tmp/made", "changed": true, "state": "file", "uid": 0}')
    assert (touched.ended, touched.rc) == (True, 0)
    assert background.state('{"msg": "Timeout exceeded", "failed": true, "child_pid": 7}').rc == 1


def test_stopping_ends_all_descendants_and_lets_the_command_save_what_it_has(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "STOP_GRACE_S", 2)
    saving = f"trap 'echo saved; exit 7' TERM; echo begun >{tmp_path}/begun; while :; do sleep 0.1; done"
    jobs = tasks_in_background(
        host,
        tmp_path,
        {"name": "saves", "shell": saving},
        {"name": "forks", "shell": "(setsid sleep 777702 & sleep 777702) & sleep 777702"},
        {"name": "deaf", "shell": "trap '' TERM; sleep 777702 & while :; do sleep 1; done"},
        {"name": "other", "shell": "sleep 777703"},
        {"shell": "nohup sleep 777702 >/dev/null 2>&1 &", "async": 0, "environment": {"E2C_TEST": "mine"}},
    )
    other = jobs.pop("other")
    for _ in range(WAITS):
        if (tmp_path / "begun").exists() and len(living("sleep 777702")) > 5:
            break
        threading.Event().wait(0.1)

    found = background.stop({host.key: host}, {host.key: list(jobs.values())}, ["E2C_TEST=mine"])[host.key]
    assert (found.reason, found.left) == ("", ())
    assert living("777702") == []
    assert [line for job in jobs.values() for line in living(job.partition(".")[0])] == []
    assert (found.jobs[jobs["saves"]].rc, found.jobs[jobs["saves"]].stdout) == (7, "saved")
    assert all(state.ended for state in found.jobs.values())
    assert found.jobs[jobs["deaf"]].rc == -signal.SIGKILL
    assert living("sleep 777703"), "what others run goes on"
    background.stop({host.key: host}, {host.key: [other]})
    assert living("777703") == []


def test_a_host_that_cannot_be_reached_is_no_success(unreachable: Host) -> None:
    found = background.stop({unreachable.key: unreachable}, {unreachable.key: ["j1.2"]})[unreachable.key]
    assert "refused" in found.reason
