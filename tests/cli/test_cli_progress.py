"""What is being waited for: one living line on a terminal, few lines in a log, other output intact."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from cli_program import LIMIT_S, e2clab, screen, typing_at

BEGIN = """
import sys, time
from e2c.cli import render, waiting
from e2c.experiment.events import Event
desk = render.Desk()
"""
CLOCK = r" +\d+\.\ds  "


def script(text: str) -> list[str]:
    return [sys.executable, "-c", BEGIN + text]


def logged(text: str) -> list[str]:
    done = subprocess.run(script(text), capture_output=True, text=True, timeout=LIMIT_S, check=True)
    return done.stderr.splitlines()


def shown(text: str, **environment: str) -> str:
    terminal = typing_at(program=script(text), **environment)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before
    return str(terminal.before)


def test_a_terminal_shows_a_line_that_moves_by_itself_and_goes() -> None:
    sent = shown(
        """
desk(Event("wait", "acquire", "job 1234567 at nancy: waiting, starts at 20:15"))
time.sleep(2.5)
desk(Event("step", "acquire", "job 1234567 runs"))
render.waiting.stop()
"""
    )
    frames = re.findall(r"acquire   (\S) job 1234567 at nancy: waiting, starts at 20:15(  \d s)?", sent)
    assert len({frame for frame, _ in frames}) > 5, "it turned although nobody told anything"
    assert {since for _, since in frames} >= {"", "  1 s", "  2 s"}
    (line, rest) = screen(sent)
    assert re.fullmatch(CLOCK + "acquire   job 1234567 runs", line)
    assert rest == ""


def test_output_of_other_kinds_never_mixes_with_the_line() -> None:
    sent = shown(
        """
import threading
for number in range(150):
    desk(Event("wait", "launch", f"waiting for {number}"))
    time.sleep(0.01 if number % 10 else 0.3)
    [render.note, render.data, render.warning, render.failure][number % 4](f"text {number}")
desk(Event("wait", "launch", "the end"))
render.waiting.stop()
"""
    )
    lines = screen(sent)
    assert lines[-1] == ""
    assert [line.replace("warning: ", "").replace("e2clab: error: ", "") for line in lines[:-1]] == [
        f"text {number}" for number in range(150)
    ]


def test_a_long_text_with_steering_characters_stays_one_line() -> None:
    sent = shown(
        """
desk(Event("wait", "acquire", "\\x1b[31m\\n" + "\\u65e5\\u672c" * 80))
time.sleep(1.3)
render.waiting.stop()
"""
    )
    assert screen(sent) == [""]
    drawn = [part for part in sent.split("\r\x1b[K") if "acquire" in part]
    assert drawn
    for line in drawn:
        assert "\n" not in line
        assert "\x1b" not in line
        assert len(line) + len(re.findall("[\u65e5\u672c]", line)) <= 99
    assert drawn[-1].endswith("  1 s")


def test_keys_that_were_pressed_leave_no_trace_before_a_message() -> None:
    terminal = typing_at(
        program=script(
            """
print("ready")
try:
    time.sleep(60)
except KeyboardInterrupt:
    desk(Event("warning", "release", "please wait"))
    print("more")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        render.failure("interrupted")
"""
        )
    )
    for word in ("ready", "more"):
        terminal.expect(f"{word}\r\n")
        terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert screen(str(terminal.before)) == ["e2clab: error: interrupted", ""]


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_a_terminal_that_cannot_gets_lines(term: str) -> None:
    sent = shown(
        """
desk(Event("wait", "acquire", "somebody"))
time.sleep(1)
render.waiting.stop()
""",
        TERM=term,
    )
    assert ("\x1b" in sent) == (term == "xterm")
    assert (len(sent.splitlines()) == 1) == (term == "dumb")


def test_a_terminal_that_does_not_tell_its_size_shows_the_line_too() -> None:
    terminal = pexpect.spawn(
        sys.executable,
        ["-c", BEGIN + "desk(Event('wait', 'acquire', 'somebody'))\ntime.sleep(1)\nrender.waiting.stop()"],
        encoding="utf-8",
        dimensions=(0, 0),
        timeout=LIMIT_S,
        env={**os.environ, "TERM": "xterm"},
    )
    terminal.expect(r"acquire   \S somebody")
    terminal.expect(pexpect.EOF)


def test_plain_frames_where_the_terminal_knows_no_others() -> None:
    sent = shown(
        """
desk(Event("wait", "acquire", "somebody"))
time.sleep(1)
render.waiting.stop()
""",
        PYTHONIOENCODING="ascii",
    )
    assert set(re.findall(r"acquire   (.) somebody", sent)) == set("-\\|/")


def test_a_log_repeats_at_growing_intervals() -> None:
    lines = logged(
        """
waiting.FIRST_S, waiting.CALM_S = 0.2, 0.05
desk(Event("wait", "acquire", "job 12: waiting"))
time.sleep(3.5)
desk(Event("step", "acquire", "job 12 runs"))
render.waiting.stop()
"""
    )
    assert all("job 12: waiting" in line for line in lines[:-1])
    assert 3 <= len(lines) - 1 <= 6, "at 0, 0.2, 0.6, 1.4 and 3 s"
    assert re.search(r" \(for \d+ s\)$", lines[-2])
    assert lines[-1].endswith("job 12 runs")


def test_a_log_tells_other_words_but_no_counting() -> None:
    lines = logged(
        """
waiting.CALM_S = 2
for number in range(40):
    desk(Event("wait", "acquire", f"{number} of 40 hosts answer"))
desk(Event("wait", "acquire", "job 12: launching"))
desk(Event("wait", "acquire", "job 12: running"))
time.sleep(4)
render.waiting.stop()
"""
    )
    assert [re.sub(CLOCK, "", line) for line in lines] == [
        "acquire   0 of 40 hosts answer",
        "acquire   job 12: running",
    ]


def test_quiet_is_quiet() -> None:
    assert logged("desk.quiet = True\ndesk(Event('wait', 'a', 'b'))\ntime.sleep(0.5)") == []


def test_a_terminal_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    terminal = typing_at(
        program=script(
            f"""
import pathlib, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
desk(Event("wait", "release", "somebody"))
time.sleep(1)
desk(Event("wait", "release", "somebody else"))
render.waiting.end()
render.waiting.stop()
pathlib.Path({str(tmp_path / "done")!r}).touch()
"""
        )
    )
    terminal.expect("somebody")
    terminal.ptyproc.fileobj.close()  # only the terminal: pexpect would end the program too
    terminal.ptyproc.closed = True
    assert_appears(tmp_path / "done")


def assert_appears(path: Path) -> None:
    import time

    end = time.monotonic() + LIMIT_S
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


@pytest.mark.netns
def test_a_deployment_on_a_terminal_leaves_clean_lines(fresh: Path) -> None:
    (fresh / "workflow.yaml").write_text("- hosts: edge\n  launch:\n  - {name: slow, command: sleep 2}\n")
    terminal = typing_at("deploy", fresh, fresh / "artifacts")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before
    assert re.search(r"launch    \S slow: 2 running", str(terminal.before))
    assert re.search(r"edge\.client\.1\.2  running +1 s  slow", str(terminal.before))
    *lines, folder, rest = screen(str(terminal.before))
    assert rest == ""
    assert folder == e2clab("get-output-dir", fresh).stdout.strip()
    assert [line for line in lines if not re.match(CLOCK + r"[a-z]+ +\S", line)] == []
