"""Transactions that are sent without waiting: acknowledged after the commit, and harmless when they fail."""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from provenance_parts import Asker, Database, Device, begin, client_row, end, tasks

from e2c.provenance.columns import Rows, integers, texts
from e2c.provenance.connections import connect, rows
from e2c.provenance.storing.inbox import Arrival
from e2c.provenance.storing.session import RefusedError, Session
from e2c.provenance.storing.store import Acknowledgement, Store
from e2c.provenance.storing.translator import Translator

pytestmark = pytest.mark.monetdb

EVIL = "sINSERT INTO sent VALUES (666, 'evil', 'evil')\n;"


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    session = Session(connect(database.folder))
    session.cursor().execute('CREATE TABLE "public".sent (a INTEGER, b TEXT, c TEXT)')
    session.commit()
    yield session
    session.close()
    connection = connect(database.folder)
    connection.cursor().execute('DROP TABLE "public".sent')
    connection.commit()
    connection.close()


def some(numbers: list[int], b: str = "b", c: str = "c") -> Rows:
    found = Rows('"public"."sent"')
    named = {"b": ("TEXT", texts([b] * len(numbers))), "a": ("INTEGER", integers(numbers))}
    found.append(len(numbers), {**named, "c": ("TEXT", texts([c] * len(numbers)))})
    return found


def send(session: Session, copied: Rows, *statements: str) -> None:
    session.send([copied], statements)
    session.arrive()


def test_rows_go_out_in_one_piece_once_the_order_of_the_questions_is_known(session: Session, ask: Asker) -> None:
    assert not session.send([some([1])], [])
    session.copy([some([1])])
    session.commit()
    assert session.send([some([2, 3]), some([4], c="x")], ["UPDATE sent SET a = a + 10 WHERE a = 3"])
    session.arrive()
    assert ask("SELECT a, b, c FROM sent ORDER BY a") == [(1, "b", "c"), (2, "b", "c"), (4, "b", "x"), (13, "b", "c")]


def test_whoever_asks_waits_for_what_is_under_way(session: Session) -> None:
    session.copy([some([1])])
    assert session.send([some([2])], [])
    assert session.answers is not None
    assert rows(session, "SELECT count(*) FROM sent") == [(2,)]
    assert session.advance()


def test_more_than_the_system_takes_at_once_is_sent(session: Session, ask: Asker) -> None:
    session.copy([some([0])])
    session.commit()
    large = [some(list(range(100_000)), c="c" * 60) for _ in range(3)]
    many = [some([number]) for number in range(300)]  # whose answers are more than the system is asked to wait for
    assert session.send([*large, *many], [])
    session.arrive()
    assert ask("SELECT count(*) FROM sent") == [(300_301,)]


@pytest.mark.parametrize("what", [EVIL, EVIL * 2000])
def test_columns_that_the_server_asks_for_in_another_order_are_neither_stored_nor_executed(
    session: Session, ask: Asker, what: str
) -> None:
    session.copy([some([1])])
    session.commit()
    (statement,) = session._orders
    session._orders[statement] = sorted(session._orders[statement])
    assert session._orders[statement][0] == "0"
    with pytest.raises((RefusedError, OSError)):
        send(session, some([2], what, what), "INSERT INTO sent VALUES (3, 'after', 'after')")
    with pytest.raises(RefusedError):
        session.rollback()
    with pytest.raises(RefusedError):
        session.cursor()
    assert ask("SELECT a FROM sent") == [(1,)]


@pytest.mark.parametrize("wrong", ["SELECT no_such_column FROM sent", "INSERT INTO sent VALUES ('x', 1, 1)"])
def test_nothing_is_stored_when_a_statement_is_refused(session: Session, ask: Asker, wrong: str) -> None:
    session.copy([some([1])])
    session.commit()
    with pytest.raises(RefusedError):
        send(session, some([2]), wrong, "INSERT INTO sent VALUES (3, 'after', 'after')")
    assert ask("SELECT a FROM sent") == [(1,)]


def warmed(store: Store, device: Device) -> list[Acknowledgement]:
    """Batches 1 and 2 are stored, and the order of all questions is known."""
    told: list[Acknowledgement] = []
    store.store([device.batch(begin(1, 1, 2, 3, 4), end(1, 0.5, 1))])
    store.send([device.batch(begin(2, 1, 2, 3, 4), end(2, 0.5, 1))], told.extend)
    store.settle(told.extend)
    assert [one.last for one in told] == [2]
    told.clear()
    return told


def test_nothing_is_acknowledged_before_its_commit_not_even_what_comes_twice(
    database: Database, store: Store, ask: Asker
) -> None:
    device = Device()
    told = warmed(store, device)
    third = device.batch(begin(3, 1, 2, 3, 4), end(3, 0.5, 1))
    os.kill(database.process.pid, signal.SIGSTOP)
    try:
        store.send([third], told.extend)
        assert store.underway
        store.look(told.extend)
        transaction = store._assembled(deque([third]), None)
        assert told == []
        assert [one.last for one in transaction.acknowledgements] == [3]
    finally:
        os.kill(database.process.pid, signal.SIGCONT)
    store.settle(told.extend)
    assert ([one.last for one in told], store.underway) == ([3], False)
    assert [row[0] for row in tasks(ask, device)] == ["1", "2", "3"]


def test_the_next_is_assembled_while_one_is_under_way_and_ends_find_their_tasks(store: Store, ask: Asker) -> None:
    device = Device()
    told = warmed(store, device)
    for number in range(3, 40):
        store.send([device.batch(begin(number), end(number - 1) if number > 3 else begin("x"))], told.extend)
    store.settle(told.extend)
    assert [one.last for one in told] == sorted(one.last for one in told)
    assert told[-1].last == 39
    found = {row[0]: row[1] for row in tasks(ask, device)}
    running = {key for key, status in found.items() if status == "RUNNING"}
    assert (len(found), running) == (40, {"39", "x"})
    assert client_row(ask, device)[0] == 39


@pytest.mark.parametrize("pause_s", [0.0, 0.002, 0.01, 0.05])
def test_a_database_that_is_killed_with_a_transaction_under_way_holds_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause_s: float
) -> None:
    database = Database(tmp_path / "data")
    device = Device()
    told: dict[str, int] = {}
    translator = Translator(database.folder, "127.0.0.1", 1, 1)
    monkeypatch.setattr(translator, "_acknowledge", lambda some: told.update({one.client: one.last for one in some}))
    assert translator._reconnect()
    try:
        work(translator, device, 0, 2)
        work(translator, device, 2, 4)
        work(translator, device, 4, 6)
        assert translator._store.underway
        time.sleep(pause_s)
        database.end(signal.SIGKILL)
        database = Database(tmp_path / "data")
        work(translator, device, 6, 8)
        translator._attempt(lambda: translator._store.settle(translator._acknowledge))
        assert told == {device.name: 8}
        connection = connect(database.folder)
        found = tasks(Asker(connection), device)
        connection.close()
        assert [row[:2] for row in found] == [(str(number), "FINISHED") for number in range(8)]
    finally:
        translator._store.close()
        database.end()


def work(translator: Any, device: Device, first: int, end_: int) -> None:
    batches = [device.batch(begin(number, 1, 2, 3, 4), end(number, 0.5, 1)) for number in range(first, end_)]
    translator._work([Arrival(batch, 0, 0) for batch in batches])
