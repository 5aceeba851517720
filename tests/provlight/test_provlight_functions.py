"""Functions whose calls are tasks: arguments, results, exceptions, generators, coroutines; never other behaviour."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import provlight
from provlight import File, Task, Workflow, captured, current_task
from provlight.calls import Parameters
from provlight.shapes import Record
from provlight.transport import memory
from provlight.wire import TASK_BEGIN, TASK_END, TASK_FAILED


@pytest.fixture(autouse=True)
def transport(clean: None) -> None:
    provlight.configure(transport="memory", linger_ms=5)


def records() -> list[Record]:
    assert provlight.flush(10)
    return memory.records()


def sets(record: Record) -> dict[str, Any]:
    found = {}
    for shape, values in record.sets:
        found[shape.tag] = dict(zip(shape.names, values, strict=True)) if shape.names is not None else list(values)
    return found


def call() -> tuple[dict[str, Any], dict[str, Any]]:
    """Sets of the one call that was captured."""
    begin, end = records()
    assert (begin.kind, end.kind, begin.task) == (TASK_BEGIN, TASK_END, end.task)
    memory.clear()
    return sets(begin), sets(end)


# --------------------------------------------------------------------------------------------------------- arguments


def test_arguments_and_results_become_attributes() -> None:
    @captured("training", workflow="model_training", used="training_input", generated="training_output")
    def train(kernel_size: int, num_kernels: int = 16, *, rate: float = 0.1) -> dict[str, float]:
        """Trains."""
        return {"accuracy": 0.9, "training_time": 1.5}

    assert (train.__name__, train.__doc__) == ("train", "Trains.")
    assert inspect.signature(train).parameters["rate"].default == 0.1
    assert train(3, rate=0.5) == {"accuracy": 0.9, "training_time": 1.5}
    assert [(record.workflow, record.transformation) for record in records()] == [("model_training", "training")] * 2
    assert call() == (
        {"training_input": {"kernel_size": 3, "num_kernels": 16, "rate": 0.5}},
        {"training_output": {"accuracy": 0.9, "training_time": 1.5}},
    )


def test_sets_are_named_after_the_function_and_the_workflow_is_the_one_begun_last() -> None:
    @captured
    def train(size: int) -> None:
        return None

    with Workflow("first"), Workflow("second"):
        train(1)
    found = [record for record in records() if record.task is not None]
    assert [(record.workflow, record.transformation) for record in found] == [("second", "train")] * 2
    assert sets(found[0]) == {"train_input": {"size": 1}}
    assert sets(found[1]) == {}


def test_sets_may_take_some_parameters_under_other_names() -> None:
    @captured(workflow="w", used={"a": ["x"], "b": {"y": "width", "z": "depth"}}, generated={"c": ["mean", "peak"]})
    def work(x: int, y: int, z: int, secret: str) -> tuple[int, int]:
        return x + y, z

    work(1, 2, 3, "unheard")
    assert call() == ({"a": {"x": 1}, "b": {"width": 2, "depth": 3}}, {"c": {"mean": 3, "peak": 3}})


def test_nothing_is_used_or_generated_when_told_so() -> None:
    @captured(workflow="w", used=False, generated=False)
    def work(x: int) -> int:
        return x

    assert work(1) == 1
    assert call() == ({}, {})
    with pytest.raises(TypeError, match="give the tag of a set"):
        captured(workflow="w", used=3)(work)  # type: ignore[call-overload]


class Machine:
    def __init__(self) -> None:
        self.state = 5

    @captured(workflow="w")
    def run(self, speed: int) -> int:
        return self.state + speed

    @classmethod
    @captured(workflow="w")
    def make(cls, kind: str) -> str:
        return cls.__name__ + kind

    @captured(workflow="w")
    @staticmethod
    def check(level: int) -> int:
        return level


def test_methods_are_captured_without_their_object() -> None:
    assert Machine().run(2) == 7
    assert call() == ({"run_input": {"speed": 2}}, {"run_output": [7]})
    assert Machine.make("!") == "Machine!"
    assert call() == ({"make_input": {"kind": "!"}}, {"make_output": ["Machine!"]})
    assert (Machine.check(1), Machine().check(2)) == (1, 2)


def test_functions_wrapped_by_others_keep_their_parameters() -> None:
    def other(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*arguments: Any, **named: Any) -> Any:
            return function(*arguments, **named)

        return inner

    @captured(workflow="w")
    @other
    def work(x: int, y: int = 2) -> None:
        return None

    work(1)
    assert call()[0] == {"work_input": {"x": 1, "y": 2}}
    assert captured("maximum", workflow="w", used={"m": ["a"]})(functools.partial(max, 3))(9) == 9


SIGNATURES: list[Any] = [
    lambda: None, lambda a: None, lambda a, b=2: None, lambda *rest: None, lambda a, *rest: None, lambda **more: None,
    lambda a, *, k: None, lambda a, b=1, *, k=3, **more: None, lambda a, b=1, *rest, k, m=5, **more: None,
]  # fmt: skip


@given(
    function=st.sampled_from(SIGNATURES),
    arguments=st.lists(st.integers(), max_size=4),
    named=st.dictionaries(st.sampled_from(["a", "b", "k", "m", "other"]), st.integers(), max_size=3),
)
def test_arguments_are_bound_as_python_binds_them(function: Any, arguments: list[int], named: dict[str, int]) -> None:
    found = Parameters(function).values(arguments, named)
    try:
        bound = inspect.signature(function).bind(*arguments, **named)
    except TypeError:
        if not set(named) & set(list(inspect.signature(function).parameters)[: len(arguments)]):
            assert found is None
        return
    bound.apply_defaults()
    expected = dict(bound.arguments)
    expected.update(expected.pop("more", {}))
    if not expected.get("rest", True):
        del expected["rest"]
    assert found is not None
    assert {name: tuple(value) if name == "rest" else value for name, value in found.items()} == expected


def test_a_call_that_python_refuses_is_refused_by_python_and_is_no_task() -> None:
    @captured(workflow="w")
    def work(a: int) -> None:
        return None

    for wrong in (lambda: work(), lambda: work(1, 2), lambda: work(b=1)):  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"work\(\)"):
            wrong()
    assert records() == []


# ----------------------------------------------------------------------------------------------------------- results


@dataclass
class Score:
    accuracy: float
    loss: float


class Pair(NamedTuple):
    accuracy: float
    loss: float


@pytest.mark.parametrize(
    ("result", "attributes"),
    [
        ({"accuracy": 0.9, "loss": 1}, {"accuracy": 0.9, "loss": 1}), (Score(0.9, 1), {"accuracy": 0.9, "loss": 1}),
        (Pair(0.9, 1), {"accuracy": 0.9, "loss": 1}), ((0.9, 1), [0.9, 1]), ([0.9, 1], [0.9, 1]), (0.9, [0.9]),
        ("text", ["text"]), (Path("/x"), ["/x"]), ({"nested": [1, {"a": 2}]}, {"nested": "[1, {'a': 2}]"}),
    ],
)  # fmt: skip
def test_results_become_attributes(result: Any, attributes: Any) -> None:
    assert captured("t", workflow="w", used=False)(lambda: result)() is result
    assert call() == ({}, {"t_output": attributes})


def test_a_list_of_named_results_gives_rows() -> None:
    result = [Score(0.1, 5), Score(0.2, 4)]
    captured("t", workflow="w", generated={"s": {"accuracy": "quality"}})(lambda: result)()
    shape, values = records()[1].sets[0]
    assert (shape.tag, shape.names, shape.rows, values) == ("s", ("quality",), 2, [0.1, 0.2])


def test_what_cannot_be_captured_is_named_once_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    class Model:
        pass

    @captured("t", workflow="w")
    def work(size: int, model: Model, text: str, many: list[int]) -> dict[str, Any]:
        return {"model": model, "size": size}

    for _ in range(3):
        work(1, Model(), "x" * 300_000, list(range(1000)))
    found = records()
    assert [sets(record) for record in found] == [{"t_input": {"size": 1}}, {"t_output": {"size": 1}}] * 3
    said = sorted(record.getMessage() for record in caplog.records)
    where = work.__qualname__
    assert len(said) == 3
    assert said[0].startswith(f"provlight: many of {where} is not captured: a list of more than 256 values")
    assert said[1].startswith(f"provlight: model of {where} is not captured: a value of type Model")
    assert said[2].startswith(
        f"provlight: text of {where} is not captured: set 't_input', text: a str of length 300000"
    )
    assert provlight.stats()["misuses"] == {"not captured": 12}


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")


def test_hostile_values_do_not_reach_the_application() -> None:
    @captured("t", workflow="w")
    def work(value: Any) -> Any:
        return value

    hostile = Hostile()
    assert work(hostile) is hostile
    nested: list[Any] = []
    nested.append(nested)
    assert work(nested) is nested
    assert all(record.kind != TASK_FAILED for record in records())


def test_without_a_workflow_the_function_runs_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provlight.context.latest_workflow", None)
    assert captured(lambda: 5)() == 5
    assert provlight.stats()["misuses"] == {"no workflow": 1}


def test_values_that_do_not_fit_the_known_dataflow_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    attributes = [{"name": "size", "type": "NUMERIC"}, {"name": "kind", "type": "TEXT"}]
    flow = {"tag": "w", "transformations": [{"tag": "t", "sets": [{"tag": "t_input", "attributes": attributes}]}]}
    (tmp_path / "flow.json").write_text(json.dumps({"dataflows": [flow]}))
    provlight.configure(transport="memory", dataflow=str(tmp_path / "flow.json"))

    @captured("t", workflow="w", generated=False)
    def work(size: Any, kind: Any, other: Any) -> None:
        return None

    work(1, "a", "b")
    assert call()[0] == {"t_input": {"size": 1, "kind": "a"}}
    work("large", "a", "b")
    assert call()[0] == {"t_input": {"kind": "a"}}
    assert "set 't_input' has no attribute 'other'" in caplog.text
    assert "'large' is not a number" in caplog.text


# -------------------------------------------------------------------------------------------------- exceptions, nesting


def test_an_exception_fails_the_task_and_goes_on() -> None:
    @captured(workflow="w")
    def work(x: int) -> float:
        return 1 / x

    with pytest.raises(ZeroDivisionError):
        work(0)
    assert [(record.kind, record.error) for record in records()][1] == (
        TASK_FAILED,
        "ZeroDivisionError: division by zero",
    )


def test_nested_calls_are_sub_tasks_also_of_a_block() -> None:
    @captured
    def inner(x: int) -> int:
        return x

    @captured
    def outer(x: int) -> int:
        assert current_task() is not None
        return inner(x) + inner(x + 1)

    with Task("block", "w", "t"):
        assert outer(1) == 3
    assert current_task() is None
    begins = [record for record in records() if record.kind == TASK_BEGIN]
    block, first, *inners = begins
    assert {record.workflow for record in begins} == {"w"}
    assert first.extras == {"parent": "block", "parent_transformation": "t"}
    assert [record.extras for record in inners] == [{"parent": first.task, "parent_transformation": "outer"}] * 2
    assert block.extras is None


def test_threads_and_coroutines_nest_by_themselves() -> None:
    @captured(workflow="w")
    def leaf(x: int) -> int:
        return x

    @captured(workflow="w")
    async def branch(x: int) -> int:
        for _ in range(3):
            await asyncio.sleep(0)
            leaf(x)
        return x

    @captured(workflow="w")
    def trunk(x: int) -> int:
        return leaf(x)

    async def everything() -> list[int]:
        return list(await asyncio.gather(*(branch(number) for number in range(5))))

    assert inspect.iscoroutinefunction(branch)
    assert asyncio.run(everything()) == list(range(5))
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(trunk, range(5, 25))) == list(range(5, 25))
    begins = [record for record in records() if record.kind == TASK_BEGIN]
    given = {record.task: record.sets[0][1][0] for record in begins if record.transformation != "leaf"}
    leaves = [record for record in begins if record.transformation == "leaf"]
    assert len(leaves) == 15 + 20
    assert all(given[(record.extras or {})["parent"]] == record.sets[0][1][0] for record in leaves)
    assert sum(1 for record in records() if record.kind == TASK_END) == len(begins)


def test_a_cancelled_coroutine_is_a_failed_task() -> None:
    @captured(workflow="w")
    async def work() -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(work(), 0.01)

    asyncio.run(cancel())
    assert records()[1].error == "CancelledError"


# -------------------------------------------------------------------------------------------------------- generators


def test_a_generator_is_a_task_from_its_first_value_to_its_end() -> None:
    @captured(workflow="w")
    def inner() -> None:
        return None

    @captured(workflow="w")
    def numbers(count: int) -> Iterator[int]:
        total = 0
        for number in range(count):
            inner()
            try:
                total += (yield number) or 0
            except KeyError:
                total += 100
        return {"total": total}

    assert inspect.isgeneratorfunction(numbers)
    running = numbers(3)
    assert records() == []
    assert next(running) == 0
    assert current_task() is None, "between two values the caller's tasks are its own"
    assert running.send(5) == 1  # type: ignore[attr-defined]
    assert running.throw(KeyError) == 2  # type: ignore[attr-defined]
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == {"total": 105}
    found = records()
    assert sets(found[0]) == {"numbers_input": {"count": 3}}
    assert sets(found[-1]) == {"numbers_output": {"total": 105}}
    parents = {(record.extras or {}).get("parent") for record in found if record.transformation == "inner"}
    assert parents == {found[0].task, None}  # the ends name no parent


def test_how_a_generator_ends() -> None:
    cleaned = []

    @captured(workflow="w")
    def numbers(fail: bool) -> Iterator[int]:
        try:
            yield 1
            if fail:
                raise ValueError("no more")
        finally:
            cleaned.append(fail)

    for _ in numbers(False):
        break
    with pytest.raises(ValueError, match="no more"):
        list(numbers(True))
    assert cleaned == [False, True]
    assert [(record.kind, record.error) for record in records() if record.kind != TASK_BEGIN] == [
        (TASK_END, ""), (TASK_FAILED, "ValueError: no more")
    ]  # fmt: skip


def test_asynchronous_generators() -> None:
    closed = []

    @captured(workflow="w")
    async def numbers(count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                await asyncio.sleep(0)
                yield number
        finally:
            closed.append(count)

    async def consume() -> None:
        assert [number async for number in numbers(3)] == [0, 1, 2]
        running = numbers(9)
        assert await running.__anext__() == 0
        await running.aclose()  # type: ignore[attr-defined]

    asyncio.run(consume())
    assert closed == [3, 9]
    assert [record.kind for record in records()] == [TASK_BEGIN, TASK_END] * 2


# ------------------------------------------------------------------------------------------------- files, and the rest


def test_files_are_captured_from_arguments_and_results(tmp_path: Path) -> None:
    path = tmp_path / "model"

    @captured(workflow="w", generated={"out": ["model"]})
    def train(source: File) -> File:
        path.write_text("weights")
        return File(path)

    train(File(__file__))
    begin, end = records()
    (source,), (model,) = (begin.extras or {})["files"], (end.extras or {})["files"]
    assert (source.tag, source.attribute, source.path) == ("train_input", "source", os.path.abspath(__file__))
    assert (model.tag, model.attribute, model.size) == ("out", "model", 7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(value=st.recursive(
    st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers(), st.just(object())),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner), st.tuples(inner), st.sets(st.none())),
))  # fmt: skip
def test_whatever_goes_in_comes_out(value: Any) -> None:
    assert captured("t", workflow="w")(lambda x: x)(value) is value
    assert provlight.flush(10)
    assert provlight.stats()["lost"] == {}


def test_the_first_call_may_come_from_many_threads_at_once() -> None:
    @captured(workflow="w")
    def work(x: int) -> int:
        return x

    barrier = threading.Barrier(8)

    def start(number: int) -> None:
        barrier.wait()
        work(number)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(record.sets[0][1][0] for record in records() if record.kind == TASK_BEGIN) == list(range(8))
