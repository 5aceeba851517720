"""What makes storing quick stays exact, and what waits stays within bounds."""

from __future__ import annotations

import datetime
import json
import os
import random
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from provenance_parts import T0, Asker, Database, Device, Publisher, Service, begin, client_row, end, tasks

from e2c.provenance.columns import EARLIEST_US, LATEST_US, timestamps
from e2c.provenance.connections import connect, rows, uploader
from e2c.provenance.storing import numbering
from e2c.provenance.storing import store as store_module
from e2c.provenance.storing import tasks as tasks_module
from e2c.provenance.storing.store import Store
from provlight.wire import TASK_BEGIN, Record, SetShape

EPOCH = datetime.datetime(1970, 1, 1)
MOST_MB = 200
"""What the translator may need, whatever waits."""


@given(st.lists(st.none() | st.integers(EARLIEST_US, LATEST_US) | st.integers(T0, T0 + 3_000_000)))
def test_timestamps_are_packed_as_the_database_reads_them(values: list[int | None]) -> None:
    expected = b""
    for value in values:
        if value is None:
            expected += b"\xff" * 12
            continue
        at = EPOCH + datetime.timedelta(microseconds=value)
        clock = at.microsecond, at.second, at.minute, at.hour, 0
        expected += struct.pack("<IBBBBBBh", *clock, at.day, at.month, at.year)
    assert timestamps(values) == expected


STEP = st.tuples(st.integers(1, 3), st.sampled_from(["begin", "end", "fail"]), st.sets(st.integers(1, 3), max_size=2))
STEPS = st.lists(STEP, min_size=1, max_size=6)


@pytest.mark.monetdb
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(STEPS, min_size=1, max_size=3))
@example(batches=[[(2, "end", set()), (1, "begin", {2})]])
@example(batches=[[(1, "begin", set()), (2, "begin", {1}), (1, "begin", set()), (3, "begin", {1, 2})]])
@example(batches=[[(1, "begin", set())], [(1, "end", set()), (2, "begin", {1, 3}), (2, "fail", set())]])
def test_tasks_are_numbered_alike_with_and_without_the_order(
    store: Store, ask: Asker, batches: list[list[tuple[int, str, set[int]]]]
) -> None:
    """Identities used again, ends without beginnings, names of what comes later: the short way must see them."""
    found = []
    for quick in (True, False):
        device = Device()
        with pytest.MonkeyPatch.context() as patch:
            if not quick:
                patch.setattr(numbering, "_number_plain", lambda *_: False)
            time_us = T0
            for steps in batches:
                records = []
                for task, what, named in steps:
                    time_us += 1
                    if what == "begin":
                        records.append(begin(task, time_us - T0, 0, 0, 0, at=time_us, depends=sorted(named)))
                    else:
                        error = "E: no" if what == "fail" else ""
                        records.append(end(task, time_us - T0, 0, at=time_us, error=error))
                store.store([device.batch(*records)])
        stored = tasks(ask, device)
        found.append((sorted(stored, key=str), _used(ask, device), _named(ask, device)))
    assert found[0] == found[1]


def _used(ask: Asker, device: Device) -> list[tuple[Any, ...]]:
    """Each element, and the task that it belongs to by what is unique of one."""
    return [
        row
        for table, column in (("training_input", "kernel_size"), ("training_output", "accuracy"))
        for row in ask(
            f"SELECT e.{column}, t.key, t.started, t.ended FROM {table} e JOIN task t ON t.id = e.training_task_id "
            f"JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' ORDER BY 1"
        )
    ]


def _named(ask: Asker, device: Device) -> list[tuple[Any, ...]]:
    """Each dependency, by what is unique of the two tasks."""
    return ask(
        "SELECT t.key, t.started, d.dependency_key, o.started, o.ended FROM task_dependency d "
        "JOIN task t ON t.id = d.task_id LEFT JOIN task o ON o.id = d.dependency_id "
        f"JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' ORDER BY 1, 2, 3"
    )


@pytest.mark.monetdb
def test_a_large_transaction_is_divided_and_what_is_stored_of_it_stays(
    store: Store, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_CONTENT", 1)
    device = Device()
    deliveries = [device.batch(begin(number), end(number)) for number in range(1, 6)]
    commits = []
    commit = store._connection.commit

    def counted() -> None:
        if len(commits) == 3:
            raise OSError("the third is the last one")
        commits.append(commit())

    monkeypatch.setattr(store._connection, "commit", counted)
    with pytest.raises(OSError, match="the third"):
        store.store(deliveries)
    monkeypatch.undo()
    assert store.recover()
    assert client_row(ask, device) == (3, 6, 6, 0, 0)
    (acknowledgement,) = store.store(deliveries)
    assert acknowledgement.last == 5
    assert [row[:2] for row in tasks(ask, device)] == [(str(number), "FINISHED") for number in range(1, 6)]


@pytest.mark.monetdb
def test_open_tasks_are_known_after_a_restart_and_nothing_is_looked_up(
    database: Database, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device()
    first = database.store()
    first.store([device.batch(*[begin(number) for number in range(5)])])
    first.close()
    second = database.store()
    asked: list[str] = []
    answer = second._rows
    monkeypatch.setattr(second, "_rows", lambda sql: asked.append(sql) or answer(sql))
    second.store([device.batch(end(3), end(77))])
    second.close()
    assert [row[:2] for row in tasks(ask, device)][3:] == [("3", "FINISHED"), ("4", "RUNNING"), ("77", "FINISHED")]
    assert not [sql for sql in asked if "ended IS NULL" in sql]


@pytest.mark.monetdb
def test_more_open_tasks_than_are_remembered_still_find_their_ends(
    database: Database, ask: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_module, "MAX_REMEMBERED", 3)
    device = Device()
    for _ in range(2):  # the second one begins with the latest tasks only
        store = database.store()
        store.store([device.batch(*[begin(number) for number in range(8)])])
        store.store([device.batch(end(0), end(7))])
        store.close()
    found = [row[:2] for row in tasks(ask, device)]
    ended = [("0", "FINISHED"), *((str(number), "RUNNING") for number in range(1, 7)), ("7", "FINISHED")]
    assert found == ended * 2


@pytest.mark.monetdb
def test_dependencies_are_looked_for_again_only_when_something_is_new(store: Store) -> None:
    device = Device()
    store.store([device.batch(begin(1, depends=["never"]))])
    assert (store.news, store.unresolved > 0) == (True, True)
    store.resolve_dependencies()
    assert (store.news, store.unresolved > 0) == (False, True)
    store.store([device.batch(begin(2))])
    assert store.news


@pytest.mark.monetdb
@pytest.mark.parametrize("size", [1, 8188, 8189, 8190, 3 * 8190 - 2, 3 << 20])
def test_a_column_arrives_whole_whatever_its_length(database: Database, size: int) -> None:
    """A block of the protocol holds 8190 bytes, one of which is the word that the column is offered."""
    column = b"a" * (size - 1) + b"\0"
    connection = connect(database.folder)
    connection.cursor().execute("CREATE LOCAL TEMPORARY TABLE tmp.sent (a TEXT) ON COMMIT PRESERVE ROWS")
    connection.set_uploader(uploader({"0": column}))
    connection.cursor().execute("COPY LITTLE ENDIAN BINARY INTO tmp.sent FROM '0' ON CLIENT")
    assert rows(connection, "SELECT length(a) FROM tmp.sent") == [(size - 1,)]
    connection.close()


@pytest.mark.monetdb
@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"0": b"\1\0\0\0", "1": b"\xff\xfe\0"}, "utf-8"),
        ({"0": b"\1\0\0\0" * 2, "1": b"x\0"}, "row count"),
        ({"0": b"\1\0\0\0" * 100_000, "1": b"\xff" * 3_000_000}, "unterminated"),
    ],
)
def test_a_refused_column_leaves_the_connection_as_it_was(
    database: Database, columns: dict[str, bytes], sentence: str
) -> None:
    connection = connect(database.folder)
    connection.cursor().execute("CREATE LOCAL TEMPORARY TABLE tmp.sent (a INT, b TEXT) ON COMMIT PRESERVE ROWS")
    connection.commit()
    for offered, count in ((columns, 0), ({"0": b"\1\0\0\0", "1": b"x\0"}, 1)):
        connection.set_uploader(uploader(offered))
        copy = "COPY LITTLE ENDIAN BINARY INTO tmp.sent FROM '0', '1' ON CLIENT"
        if count:
            connection.cursor().execute(copy)
        else:
            with pytest.raises(Exception, match=sentence):
                connection.cursor().execute(copy)
            connection.rollback()
        assert rows(connection, "SELECT count(*) FROM tmp.sent") == [(count,)]
    connection.close()


@pytest.mark.broker
@pytest.mark.monetdb
def test_memory_is_bounded_while_the_database_hangs_and_nothing_is_lost(serve: Callable[..., Service]) -> None:
    service = serve()
    device = Device()
    publisher = Publisher(device, "127.0.0.1", service.port)
    children = service.children()
    draw = random.Random(6)
    shape = SetShape("blob", tuple(f"v{number}" for number in range(16)), 16, 4000)
    messages, count = 160, 16 * 4000
    try:
        publisher.send(device.batch(begin(0)))
        publisher.finish(60)
        os.kill(children["database"], signal.SIGSTOP)
        values = array_of(draw, count)
        for number in range(1, messages + 1):
            record = Record(TASK_BEGIN, "model_training", "training", number, T0, (), "", [(shape, values)])
            delivery = device.batch(record)
            assert len(delivery.payload) > 400_000
            publisher.send(delivery)
        publisher.pause(3)
        assert resident_mb(children["translator"]) < MOST_MB
        waiting = json.loads(service.folder.translator.read_text())
        assert waiting["records"] <= 1
        os.kill(children["database"], signal.SIGCONT)
        publisher.finish(200)
        assert resident_mb(children["translator"], "VmHWM") < MOST_MB
        assert service.children()["translator"] == children["translator"]
        connection = connect(service.folder)
        assert Asker(connection)("SELECT count(*) FROM ds_blob") == [(messages * 4000,)]
        connection.close()
    finally:
        os.kill(children["database"], signal.SIGCONT)
        publisher.close()


def array_of(draw: random.Random, count: int) -> list[float]:
    return [draw.random() for _ in range(count)]


def resident_mb(pid: int, what: str = "VmRSS") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(what + ":"))
