"""Processes, children of forks, threads and signal handlers around one spool."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from provlight_broker import ROOT, Broker, Translator
from provlight_spool_parts import ENDLESS, begun, contiguous, environment, sent

pytestmark = pytest.mark.broker

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_processes_share_a_spool_and_leave_nothing(broker: Broker, translator: Translator, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ENDLESS, str(number * 1000), "150"],
            env=environment(broker, spool),
            stdout=subprocess.DEVNULL,
            cwd=ROOT,
        )
        for number in range(4)
    ]
    assert [process.wait(60) for process in started] == [0] * 4
    assert sorted(begun(translator)) == sorted(number * 1000 + index for number in range(4) for index in range(150))
    assert contiguous(translator)
    assert list(spool.iterdir()) == []


CHILDREN = """
import multiprocessing, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 and later, about fork beside threads
from provlight import Task

def work(number):
    Task(number, "w", "child").begin()
    return number

if __name__ == "__main__":
    Task(0, "w", "parent").begin()
    context = multiprocessing.get_context(sys.argv[1])
    pool = context.Pool(2)
    pool.map(work, range(1, 9))
    pool.close()
    pool.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_have_folders_of_their_own(
    broker: Broker, translator: Translator, tmp_path: Path, method: str
) -> None:
    spool = tmp_path / "spool"
    program = tmp_path / "children.py"
    program.write_text(CHILDREN)
    done = subprocess.run(
        [sys.executable, str(program), method],
        env=environment(broker, spool),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(begun(translator)) == list(range(9))
    assert contiguous(translator)
    assert list(spool.iterdir()) == []


FORK = """
import os, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from provlight import Task
Task(1, "w", "parent").begin()
if os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
os.kill(os.getpid(), 9)
"""


def test_a_child_that_outlives_its_killed_parent_does_not_hold_the_parents_folder(
    broker: Broker, translator: Translator, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    broker.kill()
    process = subprocess.Popen(
        [sys.executable, "-c", FORK],
        env=environment(broker, spool, PROVLIGHT_DURABILITY="record"),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert process.wait(30) == -signal.SIGKILL
        broker.start()
        sent(broker, spool)
        assert begun(translator) == [1]
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


SIGNALS = """
import itertools, signal, sys
from provlight import Task
numbers = itertools.count()
def handler(*_):
    Task(next(numbers), "w", "handler").begin()
    signal.setitimer(signal.ITIMER_REAL, 0.001)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.001)
for _ in range(400):
    Task(next(numbers), "w", "main").begin()
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(next(numbers))
"""


def test_signal_handlers_may_capture_while_a_call_waits_for_the_disk(
    broker: Broker, translator: Translator, tmp_path: Path, run_python: Run
) -> None:
    done = run_python(SIGNALS, environment(broker, tmp_path / "spool", PROVLIGHT_DURABILITY="record"))
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 400
    assert sorted(begun(translator)) == list(range(int(done.stdout)))


FORKS = """
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from provlight import Task
stop = threading.Event()
def work():
    number = 10**6
    while not stop.is_set():
        Task(number, "w", "thread").begin()
        number += 1
thread = threading.Thread(target=work, daemon=True)
thread.start()
for number in range(40):
    pid = os.fork()
    if not pid:
        Task(number, "w", "child").begin()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
thread.join()
"""


def test_children_that_leave_without_a_word_lose_nothing_either(
    broker: Broker, translator: Translator, tmp_path: Path, run_python: Run
) -> None:
    """``os._exit`` asks nobody; what the child wrote is adopted by its parent or whoever comes next."""
    spool = tmp_path / "spool"
    done = run_python(FORKS, environment(broker, spool, PROVLIGHT_DURABILITY="record"))
    assert (done.returncode, done.stderr) == (0, "")
    sent(broker, spool)
    children = [number for number in begun(translator) if number < 10**6]
    assert sorted(children) == list(range(40))
    assert len(begun(translator)) == len(set(begun(translator)))
    assert contiguous(translator)
