"""Links between producers and consumers do not depend on the order in which anything happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from chain_parts import CHAINED, CONSUMED, GENERATED, begins, elements, ends, uses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provenance_parts import Asker, Database, Device

from e2c.provenance.connections import connect
from e2c.provenance.storing.store import Delivery, Store
from provlight.wire import TASK_END, TASK_FAILED, Record

pytestmark = pytest.mark.monetdb

CLIENTS = 3
STEPS = ("make", "mix", "use", "other", "last")


@dataclass
class Work:
    """What one task does, and what comes of it."""

    key: str
    step: str
    client: int
    depends: tuple[str, ...]
    used: str  # what it says of the set it uses: nothing, its name, or values, at the beginning or later
    generated: int | None  # elements; None: it never ends
    failed: bool


@st.composite
def works(draw: st.DrawFn) -> list[Work]:
    count = draw(st.integers(2, 7))
    keys = [f"k{number}" for number in range(count)]
    return [
        Work(
            key,
            draw(st.sampled_from(STEPS)),
            draw(st.integers(0, CLIENTS - 1)),
            tuple(draw(st.lists(st.sampled_from([*keys, "never"]), max_size=3, unique=True))),
            draw(st.sampled_from(["", "", "", "name", "values", "later", "name later"])),
            draw(st.sampled_from([None, 0, 1, 2])),
            draw(st.booleans()),
        )
        for key in keys
    ]


def records(work: Work, number: int, run: str) -> list[Record]:
    """The records of a task; each element has a value that says whose it is."""
    own: dict[str, Any] = {"values": [100 * number + 50], "name": None}
    used = CONSUMED.get(work.step)
    first = [(used, own[work.used])] if used and work.used in own else []
    found = [begins(work.step, work.key, work.depends, *first, run=run)]
    if used and work.used in ("later", "name later"):
        found.append(uses(work.step, work.key, (used, [100 * number + 50] if work.used == "later" else None), run=run))
    if work.generated is not None:
        made = [100 * number + place for place in range(work.generated)]
        sets = [(GENERATED[work.step], made)] if made and work.step in GENERATED else []
        found.append(ends(work.step, work.key, *sets, run=run, kind=TASK_FAILED if work.failed else TASK_END))
    return found


def expected(table: str, consumer: str, all_works: list[Work], numbers: dict[str, int]) -> set[tuple[Any, ...]]:
    """Value, producer and consumer of each element, said anew: the first of those who depend and give nothing."""
    found: set[tuple[Any, ...]] = set()
    consumers = [one for one in all_works if one.step == consumer and CONSUMED[consumer] == table]
    for number, work in enumerate(all_works):
        if CONSUMED.get(work.step) == table and work.used in ("values", "later"):
            found.add((100 * number + 50, None, work.key if work.step == consumer else None))
        if GENERATED.get(work.step) != table:
            continue
        takers = [
            one.key
            for one in consumers
            if work.key in one.depends and one.key != work.key and one.used not in ("values", "later")
        ]
        taker = min(takers, key=lambda key: numbers[key]) if takers else None
        found |= {(100 * number + place, work.key, taker) for place in range(work.generated or 0)}
    return found


class Failing(Store):
    """A store whose transactions fail, once their rows were sent, when it is told so."""

    failing = False

    def _write(self, *arguments: Any) -> None:
        super()._write(*arguments)
        if self.failing:
            self._execute("SELECT no_such_column FROM task")


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = Database(tmp_path_factory.mktemp("order") / "data", [CHAINED])
    try:
        yield server
    finally:
        server.end()


_runs = iter(range(1, 1 << 20))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), all_works=works())
def test_links_are_those_of_an_independent_model(chains: Database, data: st.DataObject, all_works: list[Work]) -> None:
    run = f"run{next(_runs)}"
    devices = [Device() for _ in range(CLIENTS)]
    queues = [[records(work, number, run) for number, work in enumerate(all_works) if work.client == client]
              for client in range(CLIENTS)]  # fmt: skip
    store = _open(chains)
    try:
        sent: list[Delivery] = []
        while any(queues):
            _disturb(data, store, sent)
            if data.draw(st.integers(0, 5), "restart") == 0:
                store.close()
                store = _open(chains)
            client = data.draw(st.sampled_from([place for place, queue in enumerate(queues) if queue]), "client")
            batch = []
            for _ in range(data.draw(st.integers(1, 4), "records")):
                if not queues[client]:
                    break
                task = data.draw(st.sampled_from(queues[client]), "task")
                batch.append(task.pop(0))
                queues[client] = [one for one in queues[client] if one]
            sent.append(devices[client].batch(*batch))
            if data.draw(st.integers(0, 2), "wait") > 0:
                store.store(sent[-3:])
        store.store(sent)
        store.resolve_dependencies()
    finally:
        store.close()
    connection = connect(chains.folder)
    try:
        ask = Asker(connection)
        numbers = dict(ask(f"SELECT key, id FROM task WHERE workflow = '{run}'"))
        assert len(numbers) == len(all_works)
        for consumer, table in CONSUMED.items():
            made = [step for step, one in GENERATED.items() if one == table]
            users = [step for step, one in CONSUMED.items() if one == table]
            found = elements(ask, table, made, consumer, run, users)
            assert found == expected(table, consumer, all_works, numbers)
        known = {work.key for work in all_works}
        wanted = {
            (work.key, key, key if key in known - {work.key} else None) for work in all_works for key in work.depends
        }
        assert wanted == set(
            ask(
                "SELECT t.key, d.dependency_key, p.key FROM task_dependency AS d JOIN task AS t ON t.id = d.task_id "
                f"LEFT JOIN task AS p ON p.id = d.dependency_id WHERE t.workflow = '{run}'"
            )
        )
    finally:
        connection.close()


def _open(chains: Database) -> Failing:
    store = Failing(chains.folder)
    store.open()
    return store


def _disturb(data: st.DataObject, store: Failing, sent: list[Delivery]) -> None:
    """Passes in between, transactions that fail after their rows were written, and what was delivered before."""
    what = data.draw(st.sampled_from(["", "", "resolve", "fail", "again"]), "disturbance")
    if what == "resolve":
        store.resolve_dependencies()
    elif what == "again":
        store.store(sent)
    elif what == "fail" and sent:
        store.failing = True
        with pytest.raises(Exception, match="no_such_column"):
            store.store(sent)
        store.failing = False
        assert store.recover()
