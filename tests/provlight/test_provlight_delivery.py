"""Delivery over a real broker, through its deaths and refusals."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from provlight_broker import Broker, Translator

import provlight
from provlight import Data, Task, Workflow
from provlight.wire import TASK_BEGIN, TASK_END

pytestmark = pytest.mark.broker

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def capture_tasks(first: int, count: int, workflow: Workflow) -> None:
    for number in range(first, first + count):
        task = Task(number, workflow, "training", [number - 1] if number else [])
        task.begin([Data("training_input", workflow.id, [], {"x": [number, number / 2]})])
        task.end([Data("training_output", workflow.id, [], {"accuracy": number / 1000})])


def ended(translator: Translator) -> list[int]:
    return [record.task for record in translator.records() if record.kind == TASK_END]


def contiguous(translator: Translator) -> bool:
    by_client: dict[str, list[int]] = {}
    for batch in translator.batches:
        by_client.setdefault(batch.client, []).append(batch.seq)
    return all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_client.values())


def test_every_record_arrives_once_and_in_order(broker: Broker, translator: Translator) -> None:
    provlight.configure(**broker.settings())
    with Workflow("w") as workflow:
        capture_tasks(0, 500, workflow)
    assert provlight.flush(30)
    assert ended(translator) == list(range(500))
    assert contiguous(translator)
    stats = provlight.stats()
    assert (stats["captured"], stats["stored"], stats["pending"], stats["lost"]) == (1002, 1002, 0, {})
    assert len({record.kind for record in translator.records()}) == 4


def test_a_killed_broker_costs_nothing(
    broker: Broker, translator: Translator, caplog: pytest.LogCaptureFixture
) -> None:
    provlight.configure(**broker.settings())
    workflow = Workflow("w").begin()
    for kill in range(3):
        capture_tasks(kill * 300, 150, workflow)
        broker.kill()
        capture_tasks(kill * 300 + 150, 150, workflow)
        broker.start()
    assert provlight.flush(60)
    assert ended(translator) == list(range(900))
    assert contiguous(translator)
    assert translator.gaps == 0
    assert len(caplog.records) <= 3  # an outage is said once


def test_a_translator_that_forgot_is_sent_it_again(broker: Broker, translator: Translator) -> None:
    """What reached the broker is not what is stored: only the acknowledgement counts."""
    provlight.configure(**broker.settings())
    workflow = Workflow("w").begin()
    translator.mute = True
    capture_tasks(0, 100, workflow)
    assert not provlight.flush(1)
    translator.mute = False
    assert provlight.flush(30)
    assert ended(translator) == list(range(100))


def test_a_translator_without_shapes_asks_for_them(broker: Broker, translator: Translator) -> None:
    """A database that was made anew has neither sequence numbers nor shapes of a client that goes on."""
    provlight.configure(**broker.settings())
    workflow = Workflow("w").begin()
    capture_tasks(0, 100, workflow)
    assert provlight.flush(30)
    translator.last.clear()
    translator.shapes.clear()
    capture_tasks(100, 100, workflow)
    assert provlight.flush(30)
    assert ended(translator) == list(range(200))
    assert translator.gaps == 1


def test_threads_share_one_client(broker: Broker, translator: Translator) -> None:
    provlight.configure(**broker.settings())
    workflow = Workflow("w").begin()
    threads = [threading.Thread(target=capture_tasks, args=(number * 1000, 200, workflow)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provlight.flush(30)
    wanted = {number * 1000 + index for number in range(6) for index in range(200)}
    assert sorted(ended(translator)) == sorted(wanted)
    assert contiguous(translator)
    assert len(translator.last) == 1


def test_a_message_the_broker_refuses_becomes_a_counted_loss(tmp_path: Path) -> None:
    broker = Broker(tmp_path, extra="max_packet_size 20000\n")
    try:
        broker.start()
        translator = Translator(broker)
        provlight.configure(**broker.settings(), compress=False)
        workflow = Workflow("w").begin()
        assert provlight.flush(10)
        Task(1, workflow, "t").begin([Data("big", "w", [], {"text": "x" * 30000})])
        translator.wait_for(lambda: any(batch.lost for batch in translator.batches))
        Task(2, workflow, "t").begin()
        assert provlight.flush(30)
        assert provlight.stats()["lost"] == {"a message was too large": 1}
        assert sum(batch.lost for batch in translator.batches) == 1
        assert [record.task for record in translator.records()] == [None, 2]
        assert contiguous(translator)
        translator.close()
    finally:
        broker.kill()


@pytest.fixture
def broker6(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path, "::1")
    try:
        started.start()
        yield started
    finally:
        started.kill()


def test_ipv6(broker6: Broker) -> None:
    translator = Translator(broker6)
    provlight.configure(**{**broker6.settings(), "server_url": "::1", "server_port": broker6.port})
    capture_tasks(0, 10, Workflow("w"))
    assert provlight.flush(30)
    assert ended(translator) == list(range(10))
    translator.close()


PROGRAM = """
import sys, provlight
from provlight import Data, Task, Workflow
with Workflow("w") as w:
    for i in range(200):
        with Task(i, w, "training").begin([Data("training_input", 1, [], {"x": [i]})]) as t:
            t.generated(Data("training_output", 1, [], {"accuracy": i}))
print("application done")
"""


def test_the_end_of_a_program_waits_for_delivery(broker: Broker, translator: Translator, run_python: Run) -> None:
    done = run_python(PROGRAM, broker.environment())
    assert (done.returncode, done.stdout, done.stderr) == (0, "application done\n", "")
    assert ended(translator) == list(range(200))


def test_a_wrong_password_is_said_once_and_hurts_nobody(broker: Broker, run_python: Run) -> None:
    broker.credentials.write_text("edge-1\nwrong\n")
    done = run_python(PROGRAM, {**broker.environment(), "PROVLIGHT_FLUSH_TIMEOUT": "2"})
    assert done.returncode == 0
    assert done.stdout == "application done\n"
    assert len(done.stderr.splitlines()) == 2
    assert "not authorized" in done.stderr
    assert "402 of 402 records were not delivered within 2 s" in done.stderr
    assert "wrong\n" not in done.stderr


def test_no_broker_at_all_hurts_nobody(broker: Broker, run_python: Run) -> None:
    broker.kill()
    done = run_python(PROGRAM, {**broker.environment(), "PROVLIGHT_FLUSH_TIMEOUT": "1"})
    assert done.returncode == 0
    assert done.stdout == "application done\n"
    assert "402 of 402 records were not delivered" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_missing_credentials_are_said(broker: Broker, run_python: Run) -> None:
    broker.credentials.unlink()
    done = run_python(PROGRAM, {**broker.environment(), "PROVLIGHT_FLUSH_TIMEOUT": "0.5"})
    assert done.returncode == 0
    assert f"credentials {broker.credentials} cannot be read" in done.stderr


def test_nothing_configured_is_said_once(run_python: Run, broker: Broker) -> None:
    environment = broker.environment()
    del environment["PROVLIGHT_SERVER_URL"]
    program = "import provlight.settings; provlight.settings.ENVIRONMENT_FILE = '/nonexistent'" + PROGRAM
    done = run_python(program, environment)
    assert (done.returncode, done.stdout) == (0, "application done\n")
    assert done.stderr.count("no broker is named") == 1
    assert len(done.stderr.splitlines()) == 1


FORKS = """
import os, warnings, provlight
warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 and later, about fork beside threads
from provlight import Task, Workflow
w = Workflow("w").begin()
Task(1, w, "parent").begin()
children = []
for number in range(3):
    pid = os.fork()
    if not pid:
        Task(100 + number, w, "child").begin()
        raise SystemExit(0)
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
Task(2, w, "parent").begin()
"""


def test_a_fork_is_another_client(broker: Broker, translator: Translator, run_python: Run) -> None:
    done = run_python(FORKS, broker.environment())
    assert (done.returncode, done.stderr) == (0, "")
    by_client: dict[str, list[object]] = {}
    for batch in translator.batches:
        by_client.setdefault(batch.client, []).extend(record.task for record in batch.in_order())
    assert sorted(map(str, by_client.values())) == ["[100]", "[101]", "[102]", "[None, 1, 2]"]
    assert contiguous(translator)


PROCESSES = """
import multiprocessing, provlight
from provlight import Task, Workflow

def work(number):
    Task(number, "w", "child").begin()

if __name__ == "__main__":
    Workflow("w").begin()
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=work, args=(number,)) for number in range(3)]
    [process.start() for process in processes]
    [process.join() for process in processes]
"""


def test_children_of_multiprocessing_deliver_before_they_leave(
    broker: Broker, translator: Translator, run_python: Run
) -> None:
    done = run_python(PROCESSES, broker.environment())
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(record.task for record in translator.records() if record.kind == TASK_BEGIN) == [0, 1, 2]
