"""What messages become in the database: rows, exactly once, or rejected with the reason."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from provenance_parts import T0, Asker, Database, Device, begin, client_row, end, tasks, workflow

from e2c.provenance.storing.inbox import Arrival
from e2c.provenance.storing.store import Delivery, Store
from e2c.provenance.storing.translator import Translator
from provlight.wire import (
    TASK_BEGIN,
    TASK_END,
    WORKFLOW_BEGIN,
    WORKFLOW_END,
    Encoder,
    Record,
    SetShape,
    frame,
    make_tombstone,
)

pytestmark = pytest.mark.monetdb


def test_begin_and_end_in_one_transaction_are_one_row(store: Store, ask: Asker) -> None:
    device = Device()
    (acknowledgement,) = store.store([device.batch(begin(7, 3, 8, 1, 2), end(7, 0.95, 1.5))])
    assert (acknowledgement.user, acknowledgement.client, acknowledgement.last) == ("edge", device.name, 1)
    ((key, status, started, ended, error, host),) = tasks(ask, device)
    assert (key, status, error, host) == ("7", "FINISHED", None, "raspberry")
    assert started.isoformat() == "2026-01-02T03:04:05.000006"
    assert ended.isoformat() == "2026-01-02T03:04:06.500006"
    assert ask(
        "SELECT i.kernel_size, i.num_kernels, i.length_of_strides, i.pooling_size, o.accuracy, o.training_time "
        "FROM training_input i JOIN training_output o ON o.training_task_id = i.training_task_id "
        f"JOIN task t ON t.id = i.training_task_id JOIN client c ON c.id = t.client_id "
        f"WHERE c.client = '{device.name}'"
    ) == [(3.0, 8.0, 1.0, 2.0, 0.95, 1.5)]
    assert client_row(ask, device) == (1, 2, 2, 0, 0)


def test_end_of_an_earlier_task_updates_its_row(store: Store, ask: Asker) -> None:
    device = Device()
    store.store([device.batch(begin(1), begin(2), begin(3))])
    assert [row[1] for row in tasks(ask, device)] == ["RUNNING"] * 3
    store.store([device.batch(end(2), end(3, error="ValueError: no"))])
    assert [(row[1], row[4]) for row in tasks(ask, device)] == [
        ("RUNNING", None),
        ("FINISHED", None),
        ("FAILED", "ValueError: no"),
    ]


def test_end_is_matched_by_a_store_that_never_saw_the_beginning(database: Database, ask: Asker) -> None:
    device = Device()
    first = database.store()
    first.store([device.batch(begin("a'b"), begin("c"))])
    first.close()
    second = database.store()
    second.store([device.batch(end("c"), end("a'b"))])
    second.close()
    assert [(row[0], row[1]) for row in tasks(ask, device)] == [("a'b", "FINISHED"), ("c", "FINISHED")]


def test_an_identity_used_again_is_another_task(store: Store, ask: Asker) -> None:
    device = Device()
    store.store([device.batch(begin(1, at=T0), end(1, at=T0 + 1), begin(1, at=T0 + 2))])
    store.store([device.batch(end(1, at=T0 + 3), end(1, at=T0 + 4))])
    found = [(row[1], row[2] is not None, row[3].microsecond) for row in tasks(ask, device)]
    # The last end has no beginning: it is kept as a row of its own.
    assert found == [("FINISHED", True, 7), ("FINISHED", True, 9), ("FINISHED", False, 10)]


def test_equal_identities_of_two_clients_are_two_tasks(store: Store, ask: Asker) -> None:
    one, two = Device(), Device()
    store.store([one.batch(begin(1)), two.batch(begin(1)), one.batch(end(1))])
    assert [tasks(ask, device)[0][1] for device in (one, two)] == ["FINISHED", "RUNNING"]


def test_duplicates_are_acknowledged_again_and_not_stored_again(store: Store, ask: Asker) -> None:
    device = Device()
    first, second = device.batch(begin(1, 1, 2, 3, 4)), device.batch(end(1, 0.5, 1))
    store.store([first, first])
    assert store.store([first])[0].last == 1
    assert store.store([second, first, second])[0].last == 2
    assert len(tasks(ask, device)) == 1
    assert client_row(ask, device) == (2, 2, 2, 0, 0)


def test_a_batch_after_a_missing_one_waits_for_it(store: Store, ask: Asker) -> None:
    device = Device()
    first, second, third = (device.batch(begin(number)) for number in (1, 2, 3))
    assert store.store([first, third])[0].last == 1
    assert store.store([second, third])[0].last == 3
    assert [row[0] for row in tasks(ask, device)] == ["1", "2", "3"]
    assert ask("SELECT count(*) FROM loss") == [(0,)]


def test_what_a_client_no_longer_has_is_recorded_as_a_gap(store: Store, ask: Asker) -> None:
    device = Device()
    store.store([device.batch(begin(1))])
    device.batch(begin(2))
    device.batch(begin(3))
    device.base = 4
    # It announces no shape: the shape of batch 1 is known from the database.
    assert store.store([device.batch(begin(4))])[0].last == 4
    assert ask(
        f"SELECT l.first_seq, l.last_seq, l.lost_records FROM loss l JOIN client c ON c.id = l.client_id "
        f"WHERE client = '{device.name}'"
    ) == [(2, 3, None)]


def test_a_tombstone_counts_what_was_lost(store: Store, ask: Asker) -> None:
    device = Device()
    lost = device.batch(begin(1), begin(2))
    body = make_tombstone(device.encoder.encode(1, [begin(1), begin(2), begin(3)]), "the outbox was full")
    del lost
    assert store.store([device.delivery(body)])[0].last == 1
    assert client_row(ask, device) == (1, 0, 0, 0, 3)
    assert (3, "the outbox was full") in ask("SELECT lost_records, reason FROM loss")


def test_shapes_survive_the_store_and_are_asked_for_when_unknown(database: Database, ask: Asker) -> None:
    device = Device()
    store = database.store()
    store.store([device.batch(begin(1))])
    store.close()
    store = database.store()
    assert store.store([device.batch(begin(2))])[0].last == 2
    unknown = Device(name=device.name)
    unknown.encoder = Encoder(device.name, next_shape=77)
    unknown.encoder.encode(1, [end(1)])
    unknown.seq = 2
    delivery = unknown.batch(end(1))
    for _ in range(5):
        (answer,) = store.store([delivery])
        assert (answer.last, answer.announce) == (2, True)
    # A client that never announces does not hold up its own records for ever.
    assert store.store([delivery])[0].last == 3
    assert client_row(ask, device)[3] == 1
    store.close()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (begin(1, 1, 2, 3), "set 'training_input' has 4 attributes"),
        (begin(1, kernel=1), "set 'training_input' has no attribute 'kernel'"),
        (begin(1, 1, 2, "three", 4), "'length_of_strides': 'three' is not a number"),
        (begin(1, 1, 2, b"3", 4), "'length_of_strides': a value of type bytes is not a number"),
        (begin("a\0b"), "an identity with a NUL character"),
        (begin(1, at=1 << 62), "outside the calendar"),
        (begin(1, kernel_size=1, KERNEL_SIZE=2), "named twice"),
        (Record(TASK_BEGIN, "model_training", "a\0b", 1, T0), "NUL character"),
        (Record(TASK_BEGIN, "model_training", "training", None, T0), "without identity"),
        (Record(TASK_BEGIN, "model_training", "training", 1, T0, (), "", [(SetShape("", None, 1), [1])]), "empty"),
    ],
)
def test_a_record_that_cannot_be_stored_is_rejected_whole(
    store: Store, ask: Asker, record: Record, reason: str
) -> None:
    device = Device()
    good = begin("good", 1, 2, 3, 4), end("good", 0.5, 2)
    assert store.store([device.batch(good[0], record, good[1])])[0].last == 1
    assert [(row[0], row[1]) for row in tasks(ask, device)] == [("good", "FINISHED")]
    assert client_row(ask, device) == (1, 3, 2, 1, 0)
    ((seq, place, told, payload),) = ask(
        f"SELECT seq, ordinal, reason, payload FROM rejected r JOIN client c ON c.id = r.client_id "
        f"WHERE c.client = '{device.name}'"
    )
    assert (seq, place) == (1, 1)
    assert reason in told
    kept = json.loads(payload)
    assert kept["task"] == record.task
    assert [len(item["rows"]) for item in kept.get("sets", [])] == [1 for _ in record.sets]


def test_only_the_wrong_rows_of_a_group_are_rejected(store: Store, ask: Asker) -> None:
    device = Device()
    records = [begin(n, n, "x" if n % 3 == 0 else 2.5, math.nan, None) for n in range(1, 10)]
    store.store([device.batch(*records)])
    assert [row[0] for row in tasks(ask, device)] == ["1", "2", "4", "5", "7", "8"]
    assert client_row(ask, device) == (1, 9, 6, 3, 0)


@pytest.mark.parametrize("payload", [b"", b"garbage", b"\xc4\x02\x92\x09"])
def test_what_is_no_message_is_kept_and_not_acknowledged(store: Store, ask: Asker, payload: bytes) -> None:
    before = ask("SELECT count(*) FROM rejected")[0][0]
    assert store.store([Delivery("provlight/1/edge/nobody", payload)]) == []
    assert ask("SELECT count(*) FROM rejected")[0][0] == before + 1


def test_a_message_of_another_client_is_refused(store: Store, ask: Asker) -> None:
    victim, thief = Device(), Device()
    stolen = victim.batch(begin(1))._replace(topic=f"provlight/1/{thief.user}/{thief.name}")
    assert store.store([stolen]) == []
    assert ask(f"SELECT count(*) FROM client WHERE client IN ('{victim.name}', '{thief.name}')") == [(0,)]


def test_a_damaged_batch_is_rejected_and_does_not_hold_up_the_next(store: Store, ask: Asker) -> None:
    device = Device()
    device.encoder.compress = False
    good = device.batch(begin(1))
    body = bytearray(device.encoder.encode(2, [begin(2), begin(3)]))
    body[-8] ^= 0xFF
    device.seq = 2
    damaged = device.delivery(bytes(body))
    assert store.store([good, damaged, device.batch(begin(4))])[0].last == 3
    assert client_row(ask, device) == (3, 4, 2, 2, 0)


def test_undeclared_sets_are_stored_with_inferred_types_and_reported(store: Store, ask: Asker) -> None:
    device = Device()
    shape = SetShape("extra metrics", ("loss", "note", "when"), 3)
    positional = SetShape("Readings", None, 2, 2)
    store.store(
        [
            device.batch(
                Record(TASK_END, "other_flow", "Sensing", 1, T0, (), "", [(shape, [0.5, "ok", None])]),
                Record(TASK_END, "other_flow", "sensing", 2, T0, (), "", [(positional, [1, "a", 2, "b"])]),
            )
        ]
    )
    wider = SetShape("extra metrics", ("loss", "epoch"), 2)
    store.store([device.batch(Record(TASK_END, "other_flow", "sensing", 3, T0, (), "", [(wider, [0.25, 4])]))])
    # "when" had no value yet, so it has no type and no column.
    assert ask('SELECT * FROM "extra metrics" ORDER BY id') == [
        (1, ask("SELECT max(id) FROM task")[0][0] - 2, 0.5, "ok", None),
        (2, ask("SELECT max(id) FROM task")[0][0], 0.25, None, 4.0),
    ]
    assert ask("SELECT sensing_task_id IS NULL, value_1, value_2 FROM readings ORDER BY id") == [
        (False, 1.0, "a"),
        (False, 2.0, "b"),
    ]
    reported = ask("SELECT transformation, data_set FROM undeclared WHERE dataflow = 'other_flow'")
    assert set(reported) == {("sensing", None), (None, "extra metrics"), (None, "readings")}


def test_a_workflow_of_another_name_belongs_to_the_only_dataflow_with_its_transformation(
    store: Store, ask: Asker
) -> None:
    device = Device()
    record = begin(1, 1, 2, 3, 4)._replace(workflow="1", transformation="Training")
    store.store([device.batch(workflow(WORKFLOW_BEGIN, "1"), record, workflow(WORKFLOW_END, "1", T0 + 9))])
    assert ask(
        "SELECT f.tag, d.tag FROM task t JOIN client c ON c.id = t.client_id JOIN dataflow_version v "
        "ON v.version = t.df_version JOIN dataflow f ON f.id = v.df_id JOIN data_transformation d ON d.id = t.dt_id "
        f"WHERE c.client = '{device.name}'"
    ) == [("model_training", "training")]
    ((tag, status, ended),) = ask(
        "SELECT tag, status, ended FROM workflow WHERE client_id = "
        f"(SELECT id FROM client WHERE client = '{device.name}')"
    )
    assert (tag, status, ended.microsecond) == ("1", "FINISHED", 15)


def test_several_rows_of_one_record(store: Store, ask: Asker) -> None:
    device = Device()
    rows = SetShape("training_output", ("training_time", "accuracy"), 2, 3)
    record = Record(TASK_END, "model_training", "training", 1, T0, (), "", [(rows, [1, 0.1, 2, 0.2, 3, 0.3])])
    store.store([device.batch(begin(1), record)])
    assert ask(
        "SELECT o.accuracy, o.training_time FROM training_output o JOIN task t ON t.id = o.training_task_id "
        f"JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' ORDER BY o.id"
    ) == [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0)]


def test_dependencies_are_resolved_of_one_client_and_across_clients(store: Store, ask: Asker) -> None:
    one, two = Device(), Device()
    names = f"{one.name}-"
    store.store([one.batch(begin(names + "a"), begin(names + "b", depends=[names + "a", names + "later"]))])
    store.store([two.batch(begin(names + "c", depends=[names + "b", names + "never"]))])
    store.store([two.batch(begin(names + "later"))])
    assert store.unresolved == 3
    store.resolve_dependencies()
    assert store.unresolved == 1
    found = ask(
        "SELECT t.key, d.dependency_key, o.key FROM task_dependency d JOIN task t ON t.id = d.task_id "
        f"LEFT JOIN task o ON o.id = d.dependency_id WHERE t.key LIKE '{names}%' ORDER BY t.id, d.dependency_key"
    )
    assert [tuple(text and text.removeprefix(names) for text in row) for row in found] == [
        ("b", "a", "a"),
        ("b", "later", "later"),
        ("c", "b", "b"),
        ("c", "never", None),
    ]


def test_a_message_whose_statement_fails_leaves_nothing(store: Store, ask: Asker) -> None:
    device = Device()
    before = ask("SELECT count(*) FROM task")
    good = device.batch(begin(1))
    with pytest.raises(AttributeError):
        store.store([good, None])  # type: ignore[list-item]
    assert store.recover()
    assert ask("SELECT count(*) FROM task") == before
    assert store.store([good])[0].last == 1
    # What cannot be stored at all is set aside by the translator.
    poison = device.batch(begin(2))
    assert store.store([poison], "Error: boom")[0].last == 2
    assert client_row(ask, device) == (2, 2, 1, 1, 0)


def test_frame_base_is_respected_for_a_new_database(store: Store, ask: Asker) -> None:
    device = Device()
    device.seq = 41
    body = device.encoder.encode(42, [begin(1)])
    delivery = Delivery(f"provlight/9/{device.user}/{device.name}", frame(body, 42))
    assert store.store([delivery])[0].last == 42
    assert ask(f"SELECT last_seq FROM client WHERE client = '{device.name}'") == [(42,)]


class Fragile(Store):
    """A store in which the rows of one task make the transaction fail after they were sent."""

    def _assembled(self, *arguments: Any) -> Any:
        transaction = super()._assembled(*arguments)
        if any(b"poison\0" in column for rows in transaction.tables for column in rows.columns().values()):
            transaction.statements.append("SELECT no_such_column FROM task")
        return transaction


@pytest.mark.parametrize("quickly", [True, False])
def test_a_message_that_fails_is_set_aside_and_its_neighbours_are_stored(
    database: Database, ask: Asker, monkeypatch: pytest.MonkeyPatch, quickly: bool
) -> None:
    translator = Translator(database.folder, "127.0.0.1", 1, 1)
    translator._store = Fragile(database.folder)
    good, bad, warm = Device(), Device(), Device()
    deliveries = [good.batch(begin(n)) for n in range(5)]
    deliveries[2:2] = [bad.batch(begin("before")), bad.batch(begin("poison"), begin("beside"))]
    deliveries.append(bad.batch(begin("after")))
    told = {}
    if quickly:
        monkeypatch.setattr(translator, "_acknowledge", lambda some: told.update({one[:2]: one.last for one in some}))
        assert translator._reconnect()
        translator._work([Arrival(one, 0, 0) for one in [warm.batch(begin(1)), warm.batch(end(1))]])
        translator._work([Arrival(one, 0, 0) for one in deliveries])
        translator._attempt(lambda: translator._store.settle(translator._acknowledge))
        assert told.pop((warm.user, warm.name)) == 2
    else:
        told = {(user, name): last for user, name, last, _ in translator._stored(deliveries)}
    translator._store.close()
    assert told == {(good.user, good.name): 5, (bad.user, bad.name): 3}
    assert [row[0] for row in tasks(ask, good)] == ["0", "1", "2", "3", "4"]
    assert [row[0] for row in tasks(ask, bad)] == ["before", "after"]
    assert client_row(ask, bad) == (3, 4, 2, 2, 0)
    ((reason, payload),) = ask(
        f"SELECT reason, payload FROM rejected r JOIN client c ON c.id = r.client_id WHERE c.client = '{bad.name}'"
    )
    assert "no_such_column" in reason
    assert bytes.fromhex(json.loads(payload)["message"]) == deliveries[3].payload
