"""The calls of an application, seen through the memory transport."""

from __future__ import annotations

import datetime
import enum
import json
import logging
import math
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import provlight
from provlight import Data, Task, Workflow, capture
from provlight.shapes import Record, SetShape
from provlight.transport import memory
from provlight.wire import TASK_BEGIN, TASK_END, TASK_FAILED, WORKFLOW_BEGIN, WORKFLOW_END, WORKFLOW_FAILED


@pytest.fixture(autouse=True)
def transport(clean: None) -> None:
    provlight.configure(transport="memory", linger_ms=5)


def captured() -> list[Record]:
    assert provlight.flush(10)
    return memory.records()


def test_the_published_calls() -> None:
    """The tutorial's program: positional values under any name, in lists, end with a list too."""
    workflow = Workflow(1)
    workflow.begin()
    task = Task(11, workflow, "training", dependencies=[])
    task.begin([Data("training_input", 1, [], {"model_hyperparameters": [3, 16, 1, 2]})])
    task.end([Data("training_output", 1, [], {"model_performance": [0.97, 12.5]})])
    workflow.end()
    first, begin, end, last = captured()
    assert (first.kind, first.workflow, first.task) == (WORKFLOW_BEGIN, "1", None)
    assert (begin.kind, begin.workflow, begin.transformation, begin.task) == (TASK_BEGIN, "1", "training", 11)
    shape, values = begin.sets[0]
    assert (shape.tag, shape.names, shape.width, shape.rows, values) == ("training_input", None, 4, 1, [3, 16, 1, 2])
    assert (end.kind, end.sets[0][0].tag, end.sets[0][1]) == (TASK_END, "training_output", [0.97, 12.5])
    assert last.kind == WORKFLOW_END
    assert first.time_us <= begin.time_us <= end.time_us <= last.time_us


def test_begin_and_end_take_one_several_or_no_data() -> None:
    data = Data("s", 1, [], {"x": 1})
    for given in ([], (), None, data, [data], (data, data)):
        task = Task(1, "w", "t")
        task.begin(given)
        task.end()
    assert [len(record.sets) for record in captured() if record.kind == TASK_BEGIN] == [0, 0, 0, 1, 1, 2]
    with pytest.raises(TypeError, match="takes Data, not dict"):
        Task(1, "w", "t").begin({"x": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("attributes", "names", "rows", "values"),
    [
        ({"kernel": 3, "rate": 0.5}, ("kernel", "rate"), 1, [3, 0.5]),
        ({"any": [1, 2], "other": [3]}, None, 1, [1, 2, 3]),
        ({"any": (1, "two")}, None, 1, [1, "two"]),
        ([1, 2.5], None, 1, [1, 2.5]),
        ([{"a": 1, "b": 2}, {"b": 4, "a": 3}], ("a", "b"), 2, [1, 2, 3, 4]),
        ([{"a": 1}, {"b": 4}], ("a", "b"), 2, [1, None, None, 4]),
        ([[1, 2], [3, 4], [5, 6]], None, 3, [1, 2, 3, 4, 5, 6]),
        ({}, (), 1, []),
        ([], None, 0, []),
        (None, None, 0, []),
    ],
)
def test_forms_of_attributes(attributes: Any, names: Any, rows: int, values: list[Any]) -> None:
    for _ in range(2):  # the second time goes the short way
        Task(1, "w", "t").begin(Data("s", "w", [], attributes))
    for record in captured():
        shape, found = record.sets[0]
        assert (shape.names, shape.rows, found) == (names, rows, values)


def test_a_list_that_became_empty_is_not_taken_for_a_scalar() -> None:
    for attributes in ({"x": 3}, {"x": []}, {"x": [1]}, {"x": [1, 2]}):
        Task(1, "w", "t").begin(Data("s", "w", [], attributes))
    assert [(r.sets[0][0].names, r.sets[0][1]) for r in captured()] == [
        (("x",), [3]), (None, []), (None, [1]), (None, [1, 2])
    ]  # fmt: skip


def test_values_are_copied_at_the_call() -> None:
    values = [1, 2]
    attributes = {"x": values}
    Task(1, "w", "t").begin(Data("s", "w", [], attributes))
    values.append(3)
    attributes["y"] = [4]
    assert captured()[0].sets[0][1] == [1, 2]


class Colour(str, enum.Enum):
    RED = "red"


class Scalar:
    """Looks like a scalar of numpy, without numpy."""

    dtype = "float32"

    def __init__(self, value: object) -> None:
        self.value = value

    def item(self) -> object:
        if self.value is None:
            raise ValueError("can only convert an array of size 1")
        return self.value


class Array(Scalar):
    ndim = 1

    def tolist(self) -> object:
        return self.value


MOMENT = datetime.datetime(2026, 11, 21, 3, 4, 5, 678, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        (None, None), (True, True), (7, 7), (1 << 200, 1 << 200), (0.5, 0.5), (math.inf, math.inf),
        ("é\n'\0", "é\n'\0"),
        (b"\xff\0", b"\xff\0"), (bytearray(b"x"), b"x"), (MOMENT, MOMENT), (Path("/a/b"), "/a/b"), (Colour.RED, "red"),
        (enum.IntEnum("Number", "ONE").ONE, 1), (Scalar(1.5), 1.5), (Scalar(True), True), ("\ud800", "\\ud800"),
    ],
)  # fmt: skip
def test_values_that_are_carried(value: Any, carried: Any) -> None:
    Task(1, "w", "t").begin([Data("s", "w", [], {"x": value}), Data("s", "w", [], {"x": [value]})])
    for _, values in captured()[0].sets:
        assert (type(values[0]), values) == (type(carried), [carried])


def test_an_array_is_a_list_of_positional_values() -> None:
    Task(1, "w", "t").begin(Data("s", "w", [], {"x": Array([1.0, 2.0])}))
    assert captured()[0].sets[0][1] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("attributes", "error", "sentence"),
    [
        ({"a": object()}, TypeError, "set 's', a: a value of type object cannot be captured"),
        ({"a": 1j}, TypeError, "type complex"),
        ({"a": {"b": 1}}, TypeError, "type dict"),
        ({"x": [1, [2]]}, TypeError, "value 2: a value of type list"),
        ({"a": Scalar(None)}, TypeError, "type Scalar"),
        ({"a": "x" * 300000}, ValueError, "store it in a file"),
        ({"a": 1 << 5000}, ValueError, "wider than 4096 bits"),
        ({"a": 1, "b": [2]}, ValueError, "some attributes are lists and some are not"),
        ({1: 2}, ValueError, "is not the name of an attribute"),
        ([[1], [2, 3]], ValueError, "rows have 1 and 2 values"),
        ({"x": ["y" * 200000] * 6}, ValueError, "longer than"),
        ({"x": [0] * 70000}, ValueError, "more than 65536"),
    ],
)
def test_what_cannot_be_captured_is_refused_at_the_call(attributes: Any, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        Data("s", "w", [], attributes)


def test_dependencies_are_identities_or_tasks() -> None:
    first = Task(1, "w", "t")
    Task("second", "w", "t", dependencies=[first, 5, "x"]).begin()
    Task(3, "w", "t", first).begin()
    assert [record.dependencies for record in captured()] == [(1, 5, "x"), (1,)]
    for wrong in (1.5, "", b"x", [1]):
        with pytest.raises((TypeError, ValueError), match=r"the identity of a task must|cannot be captured"):
            Task(wrong, "w", "t")  # type: ignore[arg-type]
    for wrong in (1.5, "", None):
        with pytest.raises((TypeError, ValueError), match="the identity of a task must"):
            Task(1, "w", "t", [wrong])


def test_derivations_are_kept() -> None:
    source = Data("raw", "w", [], {"x": 1})
    Task(1, "w", "t").begin(Data("clean", "w", [source, "other"], {"x": 1}))
    assert captured()[0].sets[0][0].derivations == ("raw", "other")


def test_an_exception_marks_task_and_workflow_failed() -> None:
    def work() -> None:
        with Workflow("w") as workflow, Task(1, workflow, "t") as task:
            task.generated(Data("s", "w", [], {"x": 1}))
            raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        work()
    records = captured()
    assert [record.kind for record in records] == [WORKFLOW_BEGIN, TASK_BEGIN, TASK_FAILED, WORKFLOW_FAILED]
    assert [record.error for record in records[2:]] == ["RuntimeError: no power"] * 2
    assert records[2].sets[0][1] == [1]


def test_ending_inside_a_block_is_not_repeated_by_the_block() -> None:
    with Task(1, "w", "t").begin() as task:
        task.fail("gave up")
    with Workflow("w").begin() as workflow:
        workflow.end()
    assert [record.kind for record in captured()] == [TASK_BEGIN, TASK_FAILED, WORKFLOW_BEGIN, WORKFLOW_END]
    assert provlight.stats()["misuses"] == {}


def test_calls_in_the_wrong_order_are_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        task = Task(number, "w", "t")
        task.begin()
        task.begin()
        task.end()
        task.end()
        task.generated(Data("s", "w"))
    Task(9, "w", "t").end()
    assert provlight.stats()["misuses"] == {"begin": 3, "end": 3, "generated": 3, "end before begin": 1}
    assert len(captured()) == 7
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 4


def test_a_clock_that_jumps_does_not_change_a_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    from provlight import task as module

    monkeypatch.setattr(module, "time_ns", lambda: 5_000_000)
    monkeypatch.setattr(module, "monotonic_ns", lambda: 1_000_000)
    task = Task(1, "w", "t").begin()
    monkeypatch.setattr(module, "time_ns", lambda: 1)
    monkeypatch.setattr(module, "monotonic_ns", lambda: 8_000_000)
    task.end()
    assert [record.time_us for record in captured()] == [5000, 12000]


def test_a_signal_handler_may_capture_while_the_program_does() -> None:
    """The buffer's lock must not be waited for by the thread that holds it."""
    handled = []

    def handler(*_: object) -> None:
        handled.append(len(handled))
        Task(f"signal {len(handled)}", "w", "t").begin()

    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        for number in range(20000):
            Task(number, "w", "t").begin()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert len(captured()) == 20000 + len(handled)


def test_threads_lose_nothing() -> None:
    threads = [
        threading.Thread(target=lambda n=n: [Task(n * 10000 + i, "w", "t").begin() for i in range(2000)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(r.task for r in captured()) == sorted(n * 10000 + i for n in range(4) for i in range(2000))


# ---------------------------------------------------------------------------------------------------- known dataflow

DATAFLOW = {
    "dataflows": [
        {
            "tag": "model_training",
            "transformations": [
                {
                    "tag": "training",
                    "sets": [
                        {
                            "tag": "training_output",
                            "type": "OUTPUT",
                            "attributes": [
                                {"name": "accuracy", "type": "NUMERIC"},
                                {"name": "training_time", "type": "NUMERIC"},
                            ],
                        }
                    ],
                }
            ],
        }
    ]
}


@pytest.fixture
def known(tmp_path: Path) -> None:
    path = tmp_path / "dataflow.json"
    path.write_text(json.dumps(DATAFLOW))
    provlight.configure(transport="memory", dataflow=str(path))


@pytest.mark.usefixtures("known")
def test_a_known_dataflow_is_checked_at_the_call() -> None:
    with pytest.raises(ValueError, match="no set 'training_ouput': did you mean 'training_output'"):
        Data("training_ouput", 1, [], {"accuracy": 1})
    with pytest.raises(ValueError, match="no attribute 'acuracy': did you mean 'accuracy'"):
        Data("training_output", 1, [], {"acuracy": 1, "training_time": 2})
    with pytest.raises(ValueError, match=r"has 2 attributes \(accuracy, training_time\), not 3"):
        Data("training_output", 1, [], {"x": [1, 2, 3]})
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        Data("training_output", 1, [], [{"accuracy": 1}, {"acuracy": 2}])
    Data("Training_Output", "model_training", [], {"x": [1, 2]})
    Data("training_output", 1, [], {"accuracy": 1})


def test_a_consumer_that_repeats_a_part_of_a_set_leaves_the_producers_attributes(tmp_path: Path) -> None:
    made = {"tag": "x", "attributes": [{"name": "a", "type": "NUMERIC"}, {"name": "b", "type": "TEXT"}]}
    used = {"tag": "x", "attributes": [{"name": "a", "type": "TEXT"}], "dependency": "make"}
    steps = [{"tag": "use", "sets": [used]}, {"tag": "make", "sets": [made]}]
    for order in (steps, steps[::-1]):
        path = tmp_path / "dataflow.json"
        path.write_text(json.dumps({"dataflows": [{"tag": "f", "transformations": order}]}))
        provlight.configure(transport="memory", dataflow=str(path))
        Data("x", "f", [], {"a": 1, "b": "text"})
        with pytest.raises(ValueError, match="'high' is not a number"):
            Data("x", "f", [], {"a": "high", "b": "text"})


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("repeat", ["first", "again"])
@pytest.mark.parametrize("wrong", ["high", "1_000", b"1", MOMENT, Path("/x"), provlight.File("/x")])
def test_a_wrong_type_is_refused_at_the_call(wrong: Any, repeat: str) -> None:
    if repeat == "again":  # the short way, for shapes that were checked before
        Data("training_output", 1, [], {"accuracy": 1, "training_time": 2})
        Data("training_output", 1, [], {"x": [1, 2]})
    with pytest.raises(ValueError, match=r"set 'training_output', accuracy: .* is not a number"):
        Data("training_output", 1, [], {"accuracy": wrong, "training_time": 2})
    with pytest.raises(ValueError, match=r"set 'training_output', value 2: .* is not a number"):
        Data("training_output", 1, [], {"x": [1, wrong]})
    with pytest.raises(ValueError, match=r"accuracy: .* is not a number"):
        Data("training_output", 1, [], [{"accuracy": 1}, {"accuracy": wrong}])


@pytest.mark.usefixtures("known")
def test_texts_that_are_numbers_are_numbers_and_names_have_no_case() -> None:
    """As the database takes them: the reference sends all values as texts."""
    for value in ("0.5", " 7 ", "-1e3", "nan", None, True, 1 << 200, Scalar(0.5)):
        for _ in range(2):
            Data("training_output", 1, [], {"Accuracy": value, "TRAINING_TIME": value})
            Data("training_output", 1, [], {"x": [value, value]})


@pytest.mark.usefixtures("known")
def test_lists_under_all_attribute_names_are_columns() -> None:
    data = Data("training_output", 1, [], {"training_time": [10, 20], "accuracy": [0.1, 0.2]})
    assert data.shape.names == ("training_time", "accuracy")
    assert (data.shape.rows, data.values) == (2, [10, 0.1, 20, 0.2])


def test_an_unreadable_dataflow_is_said_and_nothing_is_checked(caplog: pytest.LogCaptureFixture) -> None:
    provlight.configure(transport="memory", dataflow="/nonexistent.json")
    Task(1, "w", "t").begin(Data("anything", 1, [], {"x": 1}))
    assert len(captured()) == 1
    assert "calls are not checked" in caplog.text


# -------------------------------------------------------------------------------------------------- bounds and sinks


def test_a_full_buffer_drops_counts_and_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    provlight.configure(transport="memory", buffer_kb=4, linger_ms=1000)
    for number in range(40):
        Task(number, "w", "t").begin()
    records = captured()
    lost = provlight.stats()["lost"]["the buffer was full"]
    assert len(records) + lost == 40
    assert sum(batch.lost for batch in memory.batches()) == lost > 0
    assert [record.task for record in records] == list(range(len(records)))


def test_an_unencodable_record_does_not_end_the_capture(caplog: pytest.LogCaptureFixture) -> None:
    incomplete = (SetShape("s", None, 2), [1])
    capture.record((TASK_BEGIN, "w", "t", 1, 0, (), "", [incomplete], None), 1)
    assert provlight.flush(10)
    Task(2, "w", "t").begin()
    assert [record.task for record in captured()] == [2]
    assert provlight.stats()["lost"] == {"records could not be encoded": 1}
    assert "records could not be encoded" in caplog.text


def test_nothing_is_captured_without_a_transport() -> None:
    provlight.configure(transport="none")
    Task(1, "w", "t").begin()
    assert provlight.flush(0)
    assert provlight.stats()["ignored"] == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("provlight") and thread.is_alive()]


def test_settings_are_arguments_by_name() -> None:
    with pytest.raises(ValueError, match="no setting named colour"):
        provlight.configure(colour="red")
    with pytest.raises(ValueError, match="batch='many'"):
        provlight.configure(batch="many")


def test_the_console_shows_records(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = "from provlight import *; Task(1, 'w', 't').begin(Data('s', 'w', [], {'x': 1.5}))"
    done = run_python(program, {"PROVLIGHT_TRANSPORT": "console", "PYTHONPATH": "."})
    shown = json.loads(done.stderr)
    assert (shown["kind"], shown["task"], shown["sets"][0]["values"]) == ("task begin", 1, [1.5])


def test_importing_starts_nothing(run_python: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    program = (
        "import sys, threading, provlight; t = provlight.Data('s', 'w', [], {'x': 1});"
        "print(threading.active_count(), sorted({'msgpack', 'zlib', 'logging', 'socket', 'json'} & set(sys.modules)))"
    )
    done = run_python(program, {"PYTHONPATH": "."})
    assert (done.stdout, done.stderr) == ("1 []\n", "")


def test_a_device_without_msgpack_is_told_and_goes_on(
    run_python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    program = (
        "import sys; sys.modules['msgpack'] = None; from provlight import *; Task(1, 'w', 't').begin().end();"
        "print(stats()['ignored'])"
    )
    done = run_python(program, {"PROVLIGHT_TRANSPORT": "memory", "PYTHONPATH": "."})
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert "nothing is captured" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_scalars_of_other_libraries_go_the_short_way_too() -> None:
    """The same shape each time, so that records form one group."""
    for number in range(3):
        Task(1, "w", "t").begin(Data("s", "w", [], {"a": Scalar(number / 2), "b": MOMENT, "c": Path("/p")}))
    first, *others = captured()
    assert all(record.sets[0][0] is first.sets[0][0] for record in others)
    assert [record.sets[0][1] for record in (first, *others)] == [[number / 2, MOMENT, "/p"] for number in range(3)]
    one = Array([0.5])
    one.item = lambda: 0.5  # type: ignore[method-assign]
    for _ in range(2):  # one value in an array is a list of one value
        assert Data("s", "w", [], {"a": one}).shape.names is None
