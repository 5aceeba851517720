"""Ctrl-C at a terminal goes to all its processes: those that release must live on, too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from e2c.experiment.interrupts import held_off

RELEASING = """
import signal, subprocess, sys
from e2c.experiment.interrupts import held_off
try:
    with held_off(lambda text: print("told", text, flush=True)):
        print("begun", flush=True)
        done = subprocess.run(["sh", "-c", "read line; echo lived"], text=True)
        print("child", done.returncode, flush=True)
    print("held", flush=True)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_program_that_is_needed_for_the_release_is_spared(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RELEASING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            os.killpg(process.pid, number)
            process.stdin.write("\n")
            process.stdin.flush()
            said = [process.stdout.readline() for _ in range(4)]
            assert "lived\n" in said
            assert "child 0\n" in said
            assert "held\n" in said
            assert any(line.startswith("told releasing, please wait") for line in said)
            os.killpg(process.pid, signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n", "afterwards Ctrl-C works as before"
        finally:
            process.kill()


def test_the_message_may_fail() -> None:
    def broken(text: str) -> None:
        raise RuntimeError("reentrant call inside a buffer")

    with held_off(broken):
        os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_it_does_nothing() -> None:
    reached: list[bool] = []

    def work() -> None:
        with held_off(lambda text: None):
            reached.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert reached == [True]
