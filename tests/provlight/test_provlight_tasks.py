"""Tasks: what they use and generate, what they are parts of, how they end, and what a copy of one may do."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import pickle
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

import provlight
from provlight import Data, Task, Workflow, current_task
from provlight.shapes import Record
from provlight.transport import memory
from provlight.wire import TASK_BEGIN, TASK_END, TASK_FAILED, TASK_USED, WORKFLOW_BEGIN, WORKFLOW_END


@pytest.fixture(autouse=True)
def transport(clean: None) -> None:
    provlight.configure(transport="memory", linger_ms=5)


def captured() -> list[Record]:
    assert provlight.flush(10)
    return memory.records()


def sets(record: Record) -> list[tuple[str, list[object]]]:
    return [(shape.tag, list(values)) for shape, values in record.sets]


# ----------------------------------------------------------------------------------------------- used and generated


def test_what_is_used_before_the_beginning_is_part_of_it() -> None:
    task = Task(1, "w", "t")
    task.used(Data("a", "w", [], {"x": 1}), Data("b", "w", [], {"x": 2}))
    task.used("c", {"x": 3})
    task.begin(Data("d", "w", [], {"x": 4}))
    (begin,) = captured()
    assert sets(begin) == [("a", [1]), ("b", [2]), ("c", [3]), ("d", [4])]


def test_what_is_used_later_is_told_at_once_and_the_task_is_visible_before() -> None:
    with Task(1, "w", "t") as task:
        assert [record.kind for record in captured()] == [TASK_BEGIN]
        task.used("a", [{"x": 1}, {"x": 2}])
        assert [record.kind for record in captured()] == [TASK_BEGIN, TASK_USED]
        task.generated("b", {"y": 3})
        task.generated(Data("c", "w", [], {"y": 4}))
    _, used, end = captured()
    assert (sets(used), sets(end)) == ([("a", [1, 2])], [("b", [3]), ("c", [4])])
    assert (used.task, used.transformation, used.workflow) == (1, "t", "w")
    assert used.time_us <= end.time_us
    assert provlight.stats()["misuses"] == {}


def test_wrong_arguments_and_the_wrong_time_are_said() -> None:
    task = Task(1, "w", "t").begin()
    for wrong in (lambda: task.used("a"), lambda: task.used("a", {}, {}), lambda: task.generated("a")):  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="the tag of a set and its attributes"):
            wrong()
    with pytest.raises(TypeError, match="takes Data, not dict"):
        task.used(Data("a", "w"), {"x": 1})  # type: ignore[call-overload]
    task.end()
    task.used("a", {"x": 1})
    assert provlight.stats()["misuses"] == {"used": 1}
    assert [record.kind for record in captured()] == [TASK_BEGIN, TASK_END]


# --------------------------------------------------------------------------------------------------------- sub-tasks


def test_sub_tasks_name_the_task_they_are_part_of() -> None:
    with Task(1, "w", "training") as task:
        with task.subtask(1, "epoch", dependencies=[7]) as epoch:
            pass
        Task("other", "w", "epoch", parent=epoch).begin().end()
        Task("bare", "w", "epoch", parent=1).begin().end()
    begins = {(record.transformation, record.task): record for record in captured() if record.kind == TASK_BEGIN}
    assert begins["training", 1].extras is None
    assert begins["epoch", 1].extras == {"parent": 1, "parent_transformation": "training"}
    assert (begins["epoch", 1].workflow, begins["epoch", 1].dependencies) == ("w", (7,))
    assert begins["epoch", "other"].extras == {"parent": 1, "parent_transformation": "epoch"}
    assert begins["epoch", "bare"].extras == {"parent": 1, "parent_transformation": ""}
    assert all(record.extras is None for record in captured() if record.kind == TASK_END)


def test_the_current_task_is_that_of_the_innermost_block() -> None:
    assert current_task() is None
    with Task(1, "w", "t") as outer:
        with Task(2, "w", "t") as inner:
            assert current_task() is inner
        assert current_task() is outer
        seen = []
        thread = threading.Thread(target=lambda: seen.append(current_task()))
        thread.start()
        thread.join()
        assert seen == [None]
    assert current_task() is None


def test_blocks_of_concurrent_coroutines_do_not_see_each_other() -> None:
    async def work(number: int) -> None:
        with Task(number, "w", "t") as task:
            for _ in range(5):
                await asyncio.sleep(0)
                assert current_task() is task

    async def everything() -> None:
        await asyncio.gather(*(work(number) for number in range(10)))
        assert current_task() is None

    asyncio.run(everything())
    assert len(captured()) == 20


def test_a_block_that_is_left_elsewhere_than_entered_ends_all_the_same() -> None:
    task = Task(1, "w", "t")
    task.__enter__()
    thread = threading.Thread(target=task.__exit__, args=(None, None, None))
    thread.start()
    thread.join()
    with task:  # entered again, after its end: nothing to do
        pass
    assert [record.kind for record in captured()] == [TASK_BEGIN, TASK_END]


# -------------------------------------------------------------------------------------------------------------- ends


class Unshowable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("no power"), TASK_FAILED, "ValueError: no power"),
        (KeyboardInterrupt(), TASK_FAILED, "KeyboardInterrupt"),
        (SystemExit(3), TASK_FAILED, "SystemExit: 3"),
        (SystemExit("no disk"), TASK_FAILED, "SystemExit: no disk"),
        (asyncio.CancelledError(), TASK_FAILED, "CancelledError"),
        (Unshowable(), TASK_FAILED, "Unshowable"),
        (SystemExit(0), TASK_END, ""),
        (SystemExit(), TASK_END, ""),
        (GeneratorExit(), TASK_END, ""),
    ],
)
def test_how_a_block_ends(error: BaseException, kind: int, text: str) -> None:
    with pytest.raises(type(error)), Workflow("w"), Task(1, "w", "t"):
        raise error
    records = captured()
    assert (records[2].kind, records[2].error) == (kind, text)
    assert (records[3].kind == WORKFLOW_END) == (kind == TASK_END)


def test_a_cancelled_coroutine_fails_its_task() -> None:
    async def work() -> None:
        with Task(1, "w", "t"):
            await asyncio.sleep(60)

    async def cancel() -> None:
        running = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancel())
    assert [(record.kind, record.error) for record in captured()] == [(TASK_BEGIN, ""), (TASK_FAILED, "CancelledError")]


def test_a_generator_that_is_closed_early_ends_its_task() -> None:
    def numbers() -> Iterator[int]:
        with Task(1, "w", "t"):
            yield from range(100)

    for number in numbers():
        if number == 3:
            break
    assert [record.kind for record in captured()] == [TASK_BEGIN, TASK_END]


# ------------------------------------------------------------------------------------------------- identities, copies


def test_made_identities_are_unique_in_threads_and_children() -> None:
    made: list[object] = [Task(None, "w", "t").id for _ in range(100)]
    threads = [
        threading.Thread(target=lambda: made.extend(Task(None, "w", "t").id for _ in range(500))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        made += [identity for found in pool.map(_identities, [100] * 4, chunksize=1) for identity in found]
        pool.close()
        pool.join()
    assert len(set(made)) == len(made) == 2500
    assert all(type(identity) is str for identity in made)


def _identities(count: int) -> list[object]:
    return [Task(None, "w", "t").id for _ in range(count)]


def test_a_task_that_was_not_begun_may_be_sent_and_begun_elsewhere() -> None:
    task = Task(1, Workflow("w"), "t", [5], parent="p")
    task.used("a", {"x": 1})
    sent = pickle.loads(pickle.dumps(task))
    with sent:
        sent.generated("b", {"y": 2})
    begin, end = captured()
    assert (begin.task, begin.dependencies, begin.extras) == (1, (5,), {"parent": "p", "parent_transformation": ""})
    assert (sets(begin), sets(end)) == ([("a", [1])], [("b", [2])])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))])
def test_the_copy_of_a_begun_task_is_a_name_for_it_and_cannot_end_it(duplicate: Callable[[Task], Task]) -> None:
    with Task(1, "w", "t") as task:
        twin = duplicate(task)
        twin.end()
        twin.generated("a", {"x": 1})
        Task(2, "w", "t", dependencies=[twin], parent=twin).begin().end()
    records = captured()
    assert [(record.task, record.kind) for record in records] == [
        (1, TASK_BEGIN),
        (2, TASK_BEGIN),
        (2, TASK_END),
        (1, TASK_END),
    ]
    assert records[1].extras == {"parent": 1, "parent_transformation": "t"}
    assert provlight.stats()["misuses"] == {"end": 1, "generated": 1}


def test_a_killed_process_leaves_a_begun_task_and_what_it_used(
    run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: object
) -> None:
    """Crash semantics, through the transport that writes at once."""
    from provlight.replay import Recording

    program = (
        "import os, provlight\n"
        "with provlight.Workflow('w') as w, provlight.Task(1, w, 't') as task:\n"
        "    task.used('a', {'x': 1}); task.generated('b', {'y': 1})\n"
        "    assert provlight.flush(10)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    path = f"{tmp_path}/captured"
    done = run_python(program, {"PROVLIGHT_TRANSPORT": "file", "PROVLIGHT_FILE": path, "PYTHONPATH": "."})
    assert (done.returncode, done.stderr) == (-9, "")
    recording = Recording([path])
    (batches,) = recording.clients.values()
    recording.close()
    assert batches.records == 3
    kinds = [record.kind for record in _records(path)]
    assert kinds == [WORKFLOW_BEGIN, TASK_BEGIN, TASK_USED]


def _records(path: str) -> list[Record]:
    from provlight.envelope import frame
    from provlight.transport.file import Found, entries
    from provlight.wire import open_message, remember

    shapes: dict[int, object] = {}
    found = []
    for entry in entries(path):
        assert isinstance(entry, Found)
        batch = open_message(frame(entry.body, 1)).decode(shapes)  # type: ignore[arg-type]
        remember(shapes, batch.announced)  # type: ignore[arg-type]
        found += batch.in_order()
    return found
