"""Work in a child process: bounded, stopped with all it started, and silent about passwords."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agent_child
import pytest
from agent_child import PASSWORD

from e2c.environments.base import Claim, Finding, Watch
from e2c.environments.enos import agent, worker
from e2c.environments.enos.secrets import Redaction
from e2c.errors import TestbedError
from e2c.model.plan import PlannedHost

LIMIT_S = 60


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".python-grid5000.yaml").write_text(f"username: jdoe\npassword: {PASSWORD}\n")
    return tmp_path


@pytest.fixture
def naughty(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "WORKER", "agent_child")
    monkeypatch.setenv("PYTHONPATH", str(Path(agent_child.__file__).parent))


def _ask(action: str, said: list[str], **request: Any) -> Any:
    return agent.run(action, {"provider": "g5k", **request}, Watch(said.append, said.append), LIMIT_S)


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not all(map(_gone, pids)):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.05)


def test_result_is_handed_back(home: Path) -> None:
    (home / ".python-grid5000.yaml").unlink()
    found = agent.run("examine", {"provider": "g5k", "settings": {}}, Watch(lambda _: None), LIMIT_S)
    assert Finding.model_validate(found[0]).ok is False


@pytest.mark.usefixtures("naughty")
def test_events_of_any_size_arrive_whole() -> None:
    said: list[str] = []
    assert _ask("large", said) == "y" * 1_000_000
    assert said == ["x" * 1_000_000]


@pytest.mark.usefixtures("naughty")
def test_crash_is_one_sentence_with_the_last_words_and_no_password() -> None:
    with pytest.raises(TestbedError) as caught:
        _ask("crash", [])
    assert str(caught.value) == (
        "the work with Grid'5000 broke off: the last words, with ********. "
        "This is a fault of e2c or of a library that it uses: please report it."
    )


@pytest.mark.usefixtures("naughty")
def test_passwords_are_hidden_in_every_event() -> None:
    basic = base64.b64encode(f"jdoe:{PASSWORD}".encode()).decode()
    said: list[str] = []
    with pytest.raises(TestbedError) as caught:
        _ask("leak", said, basic=f"Authorization: Basic {basic}")
    assert said == ["as jdoe:********", "Authorization: Basic ********"]
    error = caught.value
    assert [error.what, error.where, error.why, error.hint] == ["what ********", "********", "********!", "********"]


def test_passwords_of_both_testbeds_are_known_in_every_form(tmp_path: Path) -> None:
    (tmp_path / ".python-grid5000.yaml").write_text("username: jdoe\npassword: 'a b/c'\n")
    encoded = base64.b64encode(b"other pass").decode()
    (tmp_path / ".iotlabrc").write_text(f"jdoe:{encoded}\n")
    redact = Redaction(tmp_path)
    assert redact(f"a b/c a%20b%2Fc other pass {encoded} jdoe") == "******** ******** ******** ******** jdoe"


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "password: [1\n", "\x00\xff", "username: jdoe\n", "password: ''\n"])
def test_damaged_credentials_hide_nothing_and_break_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / ".python-grid5000.yaml").write_bytes(text.encode("latin-1"))
    (tmp_path / ".iotlabrc").write_bytes(b"\xff\xfe")
    assert Redaction(tmp_path)("plain words") == "plain words"


@pytest.mark.usefixtures("naughty")
def test_limit_stops_the_child_and_all_it_started() -> None:
    said: list[str] = []
    for limit_s in (1, 5, 25):  # a busy machine may not let the child begin within the first
        with pytest.raises(TestbedError, match=rf"Grid'5000 did not finish within {limit_s} s: what was asked: hang\."):
            agent.run("hang", {"provider": "g5k"}, Watch(said.append), limit_s)
        if said:
            break
    _wait_until_gone(json.loads(said[0]))


@pytest.mark.usefixtures("naughty")
@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, TestbedError])
def test_whatever_is_raised_here_stops_the_child(raised: type[BaseException]) -> None:
    pids: list[int] = []

    def stop(text: str) -> None:
        pids.extend(json.loads(text))
        raise raised("stop")

    with pytest.raises(raised):
        agent.run("hang", {"provider": "g5k"}, Watch(stop), LIMIT_S)
    _wait_until_gone(pids)


PARENT = """
import sys
from e2c.environments.base import Watch
from e2c.environments.enos import agent
agent.WORKER = "agent_child"
agent.run("hang", {"provider": "g5k"}, Watch(lambda text: print(text, flush=True)), 600)
"""


@pytest.fixture
def parent(naughty: None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_child_ends_with_its_parent(parent: subprocess.Popen[str], number: signal.Signals) -> None:
    assert parent.stdout is not None
    child, started = json.loads(parent.stdout.readline())
    try:
        os.kill(parent.pid, number)
        parent.wait(LIMIT_S)
        _wait_until_gone([child] if number == signal.SIGKILL else [child, started])
    finally:
        if not _gone(started):  # kill -9 leaves no chance to stop what the child had started
            os.kill(started, signal.SIGKILL)


def test_folders_of_killed_parents_are_removed(
    parent: subprocess.Popen[str],
) -> None:
    assert parent.stdout is not None
    pids = json.loads(parent.stdout.readline())
    (left,) = Path(tempfile.gettempdir()).glob(f"e2c-enos-{parent.pid}-*")
    agent._sweep()
    assert left.exists()  # its owner lives
    parent.kill()
    parent.wait(LIMIT_S)
    os.kill(pids[1], signal.SIGKILL)
    agent._sweep()
    assert not left.exists()


def _performed(request: dict[str, Any]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    worker.perform(request, lambda event: events.append(json.loads(json.dumps(event))))
    return events


def test_worker_turns_the_request_into_models_and_the_result_into_json(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = Claim(provider="g5k", experiment="e", scenario="/s", job_name="j", walltime_s=60)
    host = PlannedHost(key="a.b.1.1", layer="a", service="b", testbed="g5k", provider="g5k")
    monkeypatch.setitem(worker.ADAPTERS, "g5k", __name__)
    request = {"provider": "g5k", "action": "adapter_action", "more": 3}
    found = _performed(request | {"claim": claim.model_dump(mode="json"), "hosts": [host.model_dump(mode="json")]})
    assert found == [
        {"event": "say", "text": "j a.b.1.1 3"},
        {"event": "result", "value": [claim.model_dump(mode="json"), ["x"]]},
    ]


def adapter_action(claim: Claim, hosts: tuple[PlannedHost, ...], more: int, watch: Watch) -> Any:
    watch(f"{claim.job_name} {hosts[0].key} {more}")
    return claim, ("x",)


def adapter_failure() -> None:
    raise ValueError("two\n  lines.")


def test_worker_makes_a_sentence_of_what_nobody_foresaw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(worker.ADAPTERS, "g5k", __name__)
    (event,) = _performed({"provider": "g5k", "action": "adapter_failure"})
    assert (event["event"], event["where"], event["why"]) == ("error", "Grid'5000", "two lines")
