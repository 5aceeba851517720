"""The run that captured tasks are part of: where it comes from, and how it travels."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from provlight_broker import Broker, Translator
from provlight_spool_parts import ENDLESS, environment, killed

import provlight
from provlight import Task
from provlight.encoding import Encoder
from provlight.settings import Settings
from provlight.shapes import TASK_BEGIN, Record, WireError
from provlight.transport import memory
from provlight.wire import frame, open_message

Run = Callable[..., "subprocess.CompletedProcess[str]"]

RECORDS = [Record(TASK_BEGIN, "w", "t", number, number) for number in range(64)]


def test_an_argument_wins_over_the_variable() -> None:
    assert Settings({}, {}).run is None
    assert Settings({}, {"PROVLIGHT_RUN": ""}).run is None
    assert Settings({}, {"PROVLIGHT_RUN": " repeat-2/large "}).run == "repeat-2/large"
    assert Settings({"run": "trial-7"}, {"PROVLIGHT_RUN": "repeat-2/large"}).run == "trial-7"


@pytest.mark.parametrize("name", ["x" * 257, "two\nlines", "  ", "\udc80"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    found = Settings({}, {"PROVLIGHT_RUN": name})
    assert found.run is None
    assert len(found.complaints) == 1
    assert "1 to 256 characters" in found.complaints[0]
    with pytest.raises(ValueError, match="1 to 256 characters"):
        Settings({"run": name}, {})


def test_a_process_tells_its_run_once_and_another_run_is_another_client() -> None:
    for run in ("one", "two", None):
        provlight.configure(transport="memory", run=run)
        for number in range(3):
            Task(number, "w", "t").begin()
            assert provlight.flush(10)
    told = [(batch.client, batch.about.get("run")) for batch in memory.batches() if batch.about]
    assert [run for _, run in told] == ["one", "two", None]
    assert len({client for client, _ in told}) == 3
    assert [batch.about.get("run") for batch in memory.batches()] == ["one", None, None, "two", *[None] * 5]


def test_it_costs_a_few_bytes_of_the_first_message_and_none_of_the_others() -> None:
    plain, named = Encoder("c" * 16, about={"host": "h"}), Encoder("c" * 16, about={"host": "h", "run": "large"})
    assert 0 < len(named.encode(1, RECORDS)) - len(plain.encode(1, RECORDS)) <= len("run") + len("large") + 8
    assert named.encode(2, RECORDS) == plain.encode(2, RECORDS)


def test_a_translator_that_asks_is_told_again_and_an_earlier_one_does_not_mind() -> None:
    encoder = Encoder("client", about={"host": "h", "run": "large"})
    first, second = encoder.encode(1, RECORDS), encoder.encode(2, RECORDS)
    asked = frame(second, 1, encoder.announcements(second), {"host": "h", "run": "large"})
    assert open_message(asked).decode({}).about == {"host": "h", "run": "large"}
    # What the batch itself says is what the client said when it began.
    assert open_message(frame(first, 1, (), {"run": "other"})).decode({}).about["run"] == "large"
    # Earlier clients have no fourth item in the frame, and earlier translators read no more than three.
    assert open_message(frame(second, 1, encoder.announcements(second))).decode({}).about == {}
    assert frame(second, 1) == frame(second, 1, (), {})
    for wrong in ([1], {"run": [1]}, {"run": 1.5}, "run"):
        payload = _with_about(second, encoder, wrong)
        with pytest.raises(WireError, match="map of texts"):
            open_message(payload).decode({})


def _with_about(body: bytes, encoder: Encoder, about: object) -> bytes:
    from provlight.packing import pack

    head = pack([1, 1, encoder.announcements(body), about])
    assert len(head) < 256
    return bytes((0xC4, len(head))) + head + body


@pytest.mark.broker
def test_who_sends_what_another_run_left_does_not_take_it_over(
    broker: Broker, translator: Translator, tmp_path: Path, run_python: Run
) -> None:
    spool = tmp_path / "spool"
    translator.mute = True
    captured = killed(ENDLESS, environment(broker, spool, PROVLIGHT_DURABILITY="record", PROVLIGHT_RUN="one"), 0, 20)
    translator.mute = False
    program = "from provlight import Task; Task('next', 'w', 't').begin()"
    done = run_python(program, environment(broker, spool, PROVLIGHT_RUN="two"))
    assert (done.returncode, done.stderr) == (0, "")
    runs = {batch.client: batch.about["run"] for batch in translator.batches if batch.about}
    tasks = {(runs[batch.client], record.task) for batch in translator.batches for record in batch.in_order()}
    assert {("one", number) for number in captured} | {("two", "next")} <= tasks
    assert {run for run, number in tasks if number != "next"} == {"one"}


@pytest.mark.broker
def test_a_fork_is_part_of_the_same_run(broker: Broker, translator: Translator, run_python: Run) -> None:
    program = """
import os
from provlight import Task
Task("parent", "w", "t").begin()
child = os.fork()
if not child:
    Task("child", "w", "t").begin()
    raise SystemExit
os.waitpid(child, 0)
"""
    done = run_python(program, {**broker.environment(), "PROVLIGHT_RUN": "one"})
    assert (done.returncode, done.stderr) == (0, "")
    assert [batch.about["run"] for batch in translator.batches] == ["one", "one"]
