"""Connections that stay: lines of a command, and word of hosts that go and come back."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from e2c.model.host import Host
from e2c.remote import shell
from e2c.remote.lookout import lookout
from e2c.remote.watching import Command, Notice, Watcher

LIMIT_S = 60


def until(watcher: Watcher, wanted: Callable[[Notice], bool]) -> list[Notice]:
    notices: list[Notice] = []
    while not any(map(wanted, notices)):
        notices += watcher.next(LIMIT_S)
    return notices


def master(host: Host) -> str:
    return str(next(Path(str(host.control_dir)).iterdir()))


def test_lines_and_the_end_of_a_command(host: Host) -> None:
    asked = [Command("read word; echo $word; echo b; exit 3", "first\n")]
    with Watcher({host.key: host}, lambda _: asked.pop() if asked else None) as watcher:
        notices = until(watcher, lambda notice: notice.kind == "ended")
        assert [(notice.kind, notice.text) for notice in notices] == [
            ("line", "first"),
            ("line", "b"),
            ("ended", "exit code 3"),
        ]
        assert watcher.over


def test_commands_end_when_the_watcher_does(host: Host, tmp_path: Path) -> None:
    with Watcher({host.key: host}, lambda _: Command(f"echo up; cat >/dev/null; touch {tmp_path}/ended")) as watcher:
        until(watcher, lambda notice: notice.text == "up")
    assert (tmp_path / "ended").exists()


def test_a_watcher_that_has_ended_by_itself_can_still_be_woken() -> None:
    watcher = Watcher({}, lambda _: None)
    with watcher:
        pass
    before = os.listdir("/proc/self/fd")
    watcher.wake()
    assert os.listdir("/proc/self/fd") == before


def test_a_connection_that_breaks_is_made_again_and_only_a_host_that_is_gone_is_lost(host: Host) -> None:
    with Watcher({host.key: host}, lambda _: Command("echo up; exec cat >/dev/null")) as watcher:
        until(watcher, lambda notice: notice.text == "up")
        subprocess.run(["ssh", "-o", f"ControlPath={master(host)}", "-O", "exit", "x"], capture_output=True, check=True)
        kinds = [notice.kind for notice in until(watcher, lambda notice: notice.text == "up")]
    assert kinds in (["line"], ["lost", "back", "line"])  # where the machine takes its time, the host is missed first


def test_a_host_that_does_not_answer_is_lost_and_the_others_are_not(host: Host, unreachable: Host) -> None:
    hosts = {one.key: one for one in (host, unreachable)}
    with Watcher(hosts, lambda _: Command("echo up; exec cat >/dev/null")) as watcher:
        notices = until(watcher, lambda notice: notice.kind == "lost")
        if not any(notice.kind == "line" for notice in notices):
            notices += until(watcher, lambda notice: notice.kind == "line")
    assert {(notice.key, notice.kind) for notice in notices} == {(host.key, "line"), (unreachable.key, "lost")}
    assert f"nothing listens on port {unreachable.port}" in next(n.text for n in notices if n.kind == "lost")


def test_a_host_that_falls_silent_is_lost_before_ssh_gives_up_and_comes_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = [option.replace(f"Interval={shell.ALIVE_S}", "Interval=1") for option in shell._OPTIONS]
    monkeypatch.setattr(shell, "_OPTIONS", [option.replace("CountMax=3", "CountMax=1") for option in quick])
    shell.close([host])
    with Watcher({host.key: host}, lambda _: Command("echo up $PPID; exec cat >/dev/null")) as watcher:
        (line,) = (notice for notice in until(watcher, lambda notice: notice.text.startswith("up")))
        session = int(line.text.split()[1])
        listener = int(Path(f"/proc/{session}/stat").read_text().rpartition(")")[2].split()[1])
        try:
            os.kill(session, signal.SIGSTOP)
            os.kill(listener, signal.SIGSTOP)
            notices = until(watcher, lambda notice: notice.kind == "lost")
            assert [notice.text for notice in notices] == ["its connection ended, and another one is not made"]
        finally:
            os.kill(listener, signal.SIGCONT)
            os.kill(session, signal.SIGCONT)
        assert [notice.kind for notice in until(watcher, lambda notice: notice.kind == "line")] == ["back", "line"]


def test_the_lookout_opens_the_connection_that_others_use_then_and_ends_at_once(host: Host, unreachable: Host) -> None:
    told: list[Notice] = []
    heard = threading.Event()

    def tell(notice: Notice) -> None:
        told.append(notice)
        heard.set()

    before = threading.active_count()
    with lookout([host, unreachable], tell):
        assert heard.wait(LIMIT_S)
        assert shell.run(host, "true").ok
    assert [(notice.key, notice.kind) for notice in told] == [(unreachable.key, "lost")]
    assert threading.active_count() == before
