"""What hosts do right now: lines below the log on a terminal, nothing but plain lines elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys

import pexpect
from cli_program import LIMIT_S, screen, typing_at

from e2c.cli.live import Live
from e2c.experiment.events import Event

STAGE = """
import sys, time
from e2c.cli import render
from e2c.experiment.events import Event
desk = render.Desk(quiet=len(sys.argv) > 1)
hosts = [f"edge.w.1.{number}" for number in range(1, 4)]
desk(Event("phase", "launch", "begins"))
for host in hosts:
    desk(Event("wait", "launch", "Ansible starts", host=host, state="waiting"))
for host in hosts:
    desk(Event("wait", "launch", f"{host}: train", host=host, task="train", state="running"))
time.sleep(1.5)
text = "edge.w.1.2: train: failed (rc 3): no space"
desk(Event("task", "launch", text, True, 1.5, host=hosts[1], task="train", state="failed"))
desk(Event("warning", "launch", "edge.w.1.3: does not answer any more", True, host=hosts[2], state="lost"))
time.sleep(0.5)
desk(Event("task", "launch", "edge.w.1.1: train: changed", False, 2.0, host=hosts[0], task="train", state="changed"))
rows = (("host", "outcome"), ("edge.w.1.1", "ok"), ("edge.w.1.2", "failed"), ("edge.w.1.3", "unreachable"))
desk(Event("table", "launch", "launch, host by host", True, rows=rows))
desk(Event("done", "launch", "failed", True, 2.0))
render.waiting.stop()
"""
TABLE = [
    "host        outcome",
    "----------  -----------",
    "edge.w.1.1  ok",
    "edge.w.1.2  failed",
    "edge.w.1.3  unreachable",
]


def script() -> list[str]:
    return [sys.executable, "-c", STAGE]


def test_a_terminal_has_a_line_for_each_host_that_is_drawn_in_place_and_goes() -> None:
    terminal = typing_at(program=script())
    terminal.expect(pexpect.EOF)
    sent = str(terminal.before)
    heads = [found.start() for found in re.finditer(r" +\d+\.\ds  launch    \S (?=train: 3 running)", sent)]
    assert len(heads) > 4, "it moved although nobody told anything"
    frames = ["\n".join(screen(sent[: found.start()])) for found in re.finditer(r"\x1b\[\d+A|$", sent)]
    assert any(
        re.search(r"train: 3 running.*\n +edge\.w\.1\.1  running +1 s  train\n +edge\.w\.1\.2  running", one)
        for one in frames
    )
    assert any(
        re.search(r"edge\.w\.1\.2  failed +1\.5 s  train\n +edge\.w\.1\.3  lost .* train", one) for one in frames
    )
    assert "\x1b[3A" in sent, "written in place"
    assert sent.count("edge.w.1.2  running") < len(heads), "and only what is new"
    lines = [re.sub(r"^ +\d+\.\ds  ", "", line) for line in screen(sent)]
    assert lines[0].startswith("launch    edge.w.1.2: train: failed (rc 3)")
    assert lines[1:3] == [
        "warning: edge.w.1.3: does not answer any more",
        "launch    edge.w.1.1: train: changed (2.0 s)",
    ]
    assert lines[3:9] == ["launch    launch, host by host", *TABLE]
    assert lines[9:] == ["launch    failed (2.0 s)", ""]


def test_elsewhere_there_are_plain_lines() -> None:
    done = subprocess.run(script(), capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert "\x1b[1A" not in done.stderr
    assert "edge.w.1.2: train: failed (rc 3)" in done.stderr
    assert done.stderr.splitlines()[-6:-1] == TABLE


def test_quiet_tells_bad_news_only() -> None:
    done = subprocess.run([*script(), "quiet"], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert "edge.w.1.2: train: failed" in done.stderr
    assert "changed" not in done.stderr
    assert "running" not in done.stderr


def hosts(number: int, state: str, first: int = 1) -> list[Event]:
    return [
        Event("wait", "launch", "", host=f"h{place}", task="t" * 90, state=state)
        for place in range(first, first + number)
    ]


def test_hosts_that_fail_or_run_come_first_where_not_all_have_a_line() -> None:
    live = Live()
    for event in [*hosts(10, "waiting"), *hosts(2, "running", 6), *hosts(1, "lost", 9)]:
        live.update(event, now=0)
    lines = live.lines(60, 5, now=75)
    assert [line.split()[0] for line in lines] == ["h9", "h6", "h7", "h1", "and"]
    assert lines[-1].endswith("and 6 more")
    assert "1 min 15 s" in lines[1]
    assert all(len(line) <= 60 for line in lines)
    assert len(live.lines(60, 10, now=75)) == 10
    assert live.lines(60, 0, now=75) == []


def test_another_phase_begins_without_the_hosts_of_the_one_before() -> None:
    live = Live()
    for event in hosts(3, "running"):
        live.update(event, now=0)
    assert live.busy
    live.update(Event("wait", "finalize", "", host="h1", task="fetch", state="running"), now=0)
    assert live.headline() == "fetch: 1 running"
