"""Tasks in the database: whose they are, what they are parts of, what they used and wrote; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
from provenance_parts import T0, TUTORIAL, Asker, Database, Device, Service, begin, client_row, end, tasks

from e2c.provenance.connections import connect
from e2c.provenance.storing import tasks as task_rows
from e2c.provenance.storing.store import Delivery, Store
from provlight.encoding import Encoder
from provlight.wire import TASK_BEGIN, TASK_END, TASK_USED, Record, SetShape, frame, records_topic

pytestmark = pytest.mark.monetdb


def part(
    task: Any, parent: Any, step: str = "epoch", of: str = "training", at: int = T0, kind: int = TASK_BEGIN
) -> Record:
    extras = {"parent": parent, "parent_transformation": of} if kind == TASK_BEGIN else None
    return Record(kind, "model_training", step, task, at, (), "", [], extras)


def used(task: Any, *values: Any, at: int = T0 + 5) -> Record:
    return Record(
        TASK_USED, "model_training", "training", task, at, (), "",
        [(SetShape("training_input", None, len(values)), list(values))],
    )  # fmt: skip


def parents(ask: Asker, device: Device) -> list[tuple[Any, ...]]:
    return ask(
        "SELECT s.key, p.key, d.tag FROM task s JOIN client c ON c.id = s.client_id JOIN task p ON p.id = s.parent_id "
        f"JOIN data_transformation d ON d.id = p.dt_id WHERE c.client = '{device.name}' ORDER BY s.id"
    )


# ------------------------------------------------------------------------------------------------------- identities


def test_two_clients_with_equal_identities_keep_their_tasks_values_and_dependencies(store: Store, ask: Asker) -> None:
    one, two = Device(), Device()
    for device, base in ((one, 10), (two, 20)):
        store.store([device.batch(begin(1, base, 1, 1, 1), end(1, base / 100, 1.0))])
    for device, base in ((two, 21), (one, 11)):
        store.store([device.batch(begin(2, base, 1, 1, 1, depends=[1]), end(2, base / 100, 1.0))])
    for device, base in ((one, 10), (two, 20)):
        assert ask(
            "SELECT t.key, i.kernel_size, o.accuracy FROM task t JOIN client c ON c.id = t.client_id "
            "JOIN training_input i ON i.training_task_id = t.id JOIN training_output o ON o.training_task_id = t.id "
            f"WHERE c.client = '{device.name}' ORDER BY t.id"
        ) == [("1", base, base / 100), ("2", base + 1, (base + 1) / 100)]
        assert ask(
            "SELECT i.kernel_size FROM task t JOIN client c ON c.id = t.client_id "
            "JOIN task_dependency d ON d.task_id = t.id JOIN training_input i ON i.training_task_id = d.dependency_id "
            f"WHERE c.client = '{device.name}'"
        ) == [(base,)]


def test_a_dependency_is_the_task_begun_before_under_that_identity(store: Store, ask: Asker) -> None:
    """The identity is used again afterwards, by another transformation, and in another workflow, all in one batch."""
    device = Device()
    records = [begin(1, at=T0 + number) for number in range(2)]
    records += [begin(2, depends=[1]), begin(1, at=T0 + 9)]
    records.append(Record(TASK_BEGIN, "other_run", "training", 1, T0, (), "", []))
    records.append(Record(TASK_BEGIN, "model_training", "evaluation", 1, T0, (1,), "", []))
    records.append(Record(TASK_BEGIN, "other_run", "evaluation", 1, T0, (1,), "", []))
    store.store([device.batch(*records)])
    store.resolve_dependencies()
    first = ask(f"SELECT min(t.id) FROM task t JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}'")
    found = ask(
        "SELECT d.task_id, d.dependency_id FROM task_dependency d JOIN task t ON t.id = d.task_id "
        f"JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' ORDER BY d.task_id"
    )
    start = first[0][0]
    assert [(a - start, b - start) for a, b in found] == [(2, 1), (5, 3), (6, 4)]


def test_two_workflows_of_one_client_may_use_the_same_identity_at_the_same_time(database: Database, ask: Asker) -> None:
    device = Device()
    runs = [Record(TASK_BEGIN, run, "training", 1, T0, (), "", []) for run in ("run-a", "run-b")]
    for records in (runs, [Record(TASK_END, "run-a", "training", 1, T0 + 5, (), "", [])]):
        store = database.store()  # anew, so that only the database can tell them apart
        store.store([device.batch(*records)])
        store.close()
    assert ask(
        f"SELECT t.workflow, t.status FROM task t JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' "
        "ORDER BY t.id"
    ) == [("run-a", "FINISHED"), ("run-b", "RUNNING")]


@pytest.mark.parametrize("again", [False, True])
def test_ends_find_tasks_that_are_too_many_to_be_remembered(
    database: Database, ask: Asker, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    monkeypatch.setattr(task_rows, "MAX_REMEMBERED", 4)
    monkeypatch.setattr(task_rows, "MAX_LOADED", 4)
    device, other = Device(), Device()
    store = database.store()
    for first in range(0, 12, 3):
        store.store([device.batch(*[begin(first + number) for number in range(3)])])
    store.store([other.batch(begin(2), begin("x"))])
    if again:
        store.close()
        store = database.store()
    store.store([device.batch(end(11), end(2), end(0)), other.batch(end("x"))])
    store.store([device.batch(*[end(number) for number in range(12) if number not in (0, 2, 11)])])
    store.close()
    found = tasks(ask, device)
    assert [(row[0], row[1], row[2] is None) for row in found] == [(str(n), "FINISHED", False) for n in range(12)]
    assert [(row[0], row[1]) for row in tasks(ask, other)] == [("2", "RUNNING"), ("x", "FINISHED")]


def test_a_task_begun_twice_and_ended_twice_has_two_rows_with_an_end(store: Store, ask: Asker) -> None:
    device = Device()
    for records in ([begin(1)], [begin(1)], [end(1)], [end(1)]):
        store.store([device.batch(*records)])
    assert [(row[1], row[2] is None) for row in tasks(ask, device)] == [("FINISHED", False)] * 2


# -------------------------------------------------------------------------------------------------------- sub-tasks


def test_sub_tasks_name_their_task_and_are_the_performance_of_it(store: Store, ask: Asker) -> None:
    device = Device()
    store.store([device.batch(begin(1), part(1, 1), part(2, 1), part("x", 2, "step", "epoch"))])
    store.store([device.batch(part(1, 1, kind=TASK_END), part(3, 1), end(1))])
    assert parents(ask, device) == [
        ("1", "1", "training"), ("2", "1", "training"), ("x", "2", "epoch"), ("3", "1", "training")
    ]  # fmt: skip
    rows = ask(
        "SELECT p.task_id - t.id, p.subtask_id - t.id FROM performance p JOIN task t ON t.id = p.id "
        f"JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' ORDER BY t.id"
    )
    assert rows == [(0, None), (-1, 0), (-2, 0), (-1, 0), (-4, 0)]
    assert ask("SELECT count(*) FROM task_extra WHERE name LIKE 'parent%'") == [(0,)]


def test_a_parent_that_this_store_has_not_seen_is_found_in_the_database(database: Database, ask: Asker) -> None:
    device, worker = Device(), Device()
    first = database.store()
    first.store([device.batch(begin("only-one"), part("only-one", "only-one"), end("only-one"))])
    first.close()
    second = database.store()
    second.store([device.batch(part(7, "only-one")), worker.batch(part(8, "only-one"))])
    assert second.unresolved >= 2
    second.resolve_dependencies()
    second.close()
    assert parents(ask, device)[-1] == ("7", "only-one", "training")
    assert parents(ask, worker) == [("8", "only-one", "training")]


# ------------------------------------------------------------------------------------------- data used after the begin


def test_data_used_after_the_beginning_belong_to_the_running_task(database: Database, ask: Asker) -> None:
    device = Device()
    store = database.store()
    store.store([device.batch(begin(1, 1, 1, 1, 1), used(1, 2, 2, 2, 2))])
    store.close()
    store = database.store()
    store.store([device.batch(used(1, 3, 3, 3, 3))])
    assert [row[1] for row in tasks(ask, device)] == ["RUNNING"]
    store.store([device.batch(end(1, 0.5, 1))])
    store.close()
    assert [row[1] for row in tasks(ask, device)] == ["FINISHED"]
    assert ask(
        "SELECT i.kernel_size, t.id IS NOT NULL FROM training_input i JOIN task t ON t.id = i.training_task_id "
        f"JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' ORDER BY i.id"
    ) == [(1.0, True), (2.0, True), (3.0, True)]


def test_data_used_by_a_task_whose_beginning_is_not_known_open_it(store: Store, ask: Asker) -> None:
    device = Device()
    store.store([device.batch(used(5, 1, 1, 1, 1))])
    store.store([device.batch(end(5))])
    assert [(row[0], row[1], row[2] is None) for row in tasks(ask, device)] == [("5", "FINISHED", True)]


# ------------------------------------------------------------------------------------------------------------- files


def test_files_are_rows_with_size_and_digest(store: Store, ask: Asker) -> None:
    device = Device()
    facts = [
        ["training_input", 0, "/data/a.csv", 12, bytes(range(32)), ""],
        ["no_such_set", "model", "/data/b", None, None, "No such file or directory"],
    ]
    record = begin(1, 1, 1, 1, 1)._replace(extras={"files": msgpack.packb(facts)})
    store.store([device.batch(record)])
    assert ask(
        "SELECT f.name, f.path, f.size, f.digest, f.problem, s.tag, f.attribute FROM file f JOIN task t "
        "ON t.id = f.task_id JOIN client c ON c.id = t.client_id LEFT JOIN data_set s ON s.id = f.ds_id "
        f"WHERE c.client = '{device.name}' ORDER BY f.id"
    ) == [
        ("a.csv", "/data/a.csv", 12, bytes(range(32)).hex(), None, "training_input", "kernel_size"),
        ("b", "/data/b", None, None, "No such file or directory", None, "model"),
    ]


@pytest.mark.parametrize("packed", [b"\xc1", b"\x91\x91\x01", msgpack.packb([["s", 0, "/p", -1, None, ""]]), 1.5, "x"])
def test_what_is_said_of_files_is_checked(store: Store, ask: Asker, packed: Any) -> None:
    device = Device()
    record = begin(1, 1, 1, 1, 1)._replace(extras={"files": packed})
    store.store([device.batch(record, begin(2))])
    assert [row[0] for row in tasks(ask, device)] == ["2"]
    assert client_row(ask, device) == (1, 2, 1, 1, 0)


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("shape", "values", "reason"),
    [
        (SetShape("training_inptu", None, 4), [1, 2, 3, 4],
         "dataflow 'model_training' has no set 'training_inptu': did you mean 'training_input'?"),
        (SetShape("training_input", ("kernel_szie",), 1), [1],
         "set 'training_input' has no attribute 'kernel_szie': did you mean 'kernel_size'?"),
        (SetShape("training_input", None, 3), [1, 2, 3],
         "set 'training_input' has 4 attributes (kernel_size, num_kernels, length_of_strides, pooling_size), not 3"),
        (SetShape("training_input", ("kernel_size",), 1), ["three"],
         "set 'training_input', attribute 'kernel_size': 'three' is not a number"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_dataflow_is_rejected_with_client_task_and_reason(
    store: Store, ask: Asker, shape: SetShape, values: list[Any], reason: str
) -> None:
    device = Device()
    wrong = Record(TASK_BEGIN, "model_training", "training", "the task", T0, (), "", [(shape, values)])
    store.store([device.batch(begin(1), wrong, end(1, 0.5, 1))])
    ((client, task, why, payload),) = ask(
        "SELECT c.client, r.task, r.reason, r.payload FROM rejected r JOIN client c ON c.id = r.client_id "
        f"WHERE c.client = '{device.name}'"
    )
    assert (client, task, why) == (device.name, "the task", reason)
    assert json.loads(payload)["sets"][0]["rows"] == [values]
    assert [row[:2] for row in tasks(ask, device)] == [("1", "FINISHED")]


def test_a_set_that_resembles_no_declared_one_is_stored(store: Store, ask: Asker) -> None:
    device = Device()
    record = Record(
        TASK_BEGIN, "model_training", "training", 1, T0, (), "", [(SetShape("room_climate", ("celsius",), 1), [21.5])]
    )
    store.store([device.batch(record)])
    assert ask("SELECT celsius FROM room_climate") == [(21.5,)]
    assert client_row(ask, device) == (1, 1, 1, 0, 0)


# --------------------------------------------------------------------------------------------- asking leaves no trace


def test_who_only_asks_is_answered_and_leaves_no_row(store: Store, ask: Asker) -> None:
    body = Encoder("0123456789abcdef").tombstone(2, 0, "ping")
    before = ask("SELECT count(*) FROM client")
    (answer,) = store.store([Delivery(records_topic(1, "edge", "0123456789abcdef"), frame(body, 1))])
    assert (answer.client, answer.last, answer.announce) == ("0123456789abcdef", 0, False)
    assert ask("SELECT count(*) FROM client") == before


def test_a_database_of_an_earlier_version_gets_the_later_columns(tmp_path: Path) -> None:
    first = Database(tmp_path / "data")
    connection = connect(first.folder)
    asker = Asker(connection)
    asker('DROP VIEW "public".performance')
    for table, names in (
        ("task", ("workflow", "parent_id", "parent_key", "parent_dt_id")),
        ("file", ("size", "digest", "problem", "ds_id", "attribute")),
    ):
        for name in names:
            asker(f'ALTER TABLE "public".{table} DROP COLUMN {name}')
    asker("INSERT INTO task (id, df_version, dt_id, status) VALUES (1, 1, 1, 'RUNNING')")
    connection.close()
    first.end()
    first.folder.prepared.unlink()  # written by the version that made the tables
    second = Database(tmp_path / "data", [TUTORIAL])
    try:
        device = Device()
        store = second.store()
        store.store([device.batch(begin(1), part(2, 1))])
        store.close()
        connection = connect(second.folder)
        assert parents(Asker(connection), device) == [("2", "1", "training")]
        connection.close()
    finally:
        second.end()


def test_ping_goes_all_the_way(serve: Callable[..., Service], tmp_path: Path) -> None:
    """The command of a device, against the whole service."""
    from provlight import command

    service = serve()
    credentials = tmp_path / "credentials"
    credentials.write_text("edge\nsecret-of-edge\n")
    arguments = ["ping", "--server-url", f"127.0.0.1:{service.port}", "--credentials", str(credentials)]
    assert command.main([*arguments, "--timeout", "30"]) == 0
    connection = connect(service.folder)
    try:
        for table in ("client", "rejected", "loss", "task"):
            assert Asker(connection)(f"SELECT count(*) FROM {table}") == [(0,)]
    finally:
        connection.close()
