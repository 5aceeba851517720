"""Chained sets: the elements that one task generates name the task that uses them, however the records arrive."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from zlib import crc32

import pytest
from chain_parts import CHAINED, begins, elements, ends, uses
from provenance_parts import TUTORIAL, Asker, Database, Device, begin, end

from e2c.provenance.connections import connect
from e2c.provenance.dataflows.dataflow import parse
from e2c.provenance.folder import BROKER_USER
from e2c.provenance.storing.inbox import Arrival
from e2c.provenance.storing.store import Delivery, Store
from e2c.provenance.storing.translator import Translator
from provlight.wire import TASK_FAILED, records_topic

pytestmark = pytest.mark.monetdb

RUNS = (f"run{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = Database(tmp_path_factory.mktemp("chains") / "data", [CHAINED, TUTORIAL])
    try:
        yield server
    finally:
        server.end()


@pytest.fixture
def store(chains: Database) -> Iterator[Store]:
    opened = chains.store()
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def ask(chains: Database) -> Iterator[Asker]:
    connection = connect(chains.folder)
    try:
        yield Asker(connection)
    finally:
        connection.close()


@pytest.fixture
def run() -> str:
    return next(RUNS)


def test_a_consumer_is_noted_with_the_elements_of_its_producer(store: Store, ask: Asker, run: str) -> None:
    device = Device()
    store.store([device.batch(begins("make", 1, run=run), ends("make", 1, ("x", [10, 11]), run=run))])
    store.store([device.batch(begins("use", 2, [1], run=run), ends("use", 2, ("y", [20]), run=run))])
    store.store([device.batch(begins("last", 3, [2], run=run))])
    store.resolve_dependencies()
    assert elements(ask, "x", ["make"], "use", run) == {(10, "1", "2"), (11, "1", "2")}
    assert elements(ask, "y", ["use"], "last", run) == {(20, "2", "3")}


@pytest.mark.parametrize("again", [False, True])
def test_the_consumer_may_come_first_from_another_client(
    chains: Database, ask: Asker, run: str, *, again: bool
) -> None:
    """With a new process before each record as well, which knows nothing but what is stored."""
    producer, consumer = Device(), Device()
    parts = [
        consumer.batch(begins("use", "c", ["p"], run=run)),
        consumer.batch(ends("use", "c", ("y", [2]), run=run)),
        producer.batch(begins("make", "p", run=run)),
        producer.batch(ends("make", "p", ("x", [1]), run=run)),
    ]
    store = chains.store()
    for delivery in parts:
        if again:
            store.close()
            store = chains.store()
        store.store([delivery])
        store.store([delivery])
        store.resolve_dependencies()
    store.close()
    assert elements(ask, "x", ["make"], "use", run) == {(1, "p", "c")}
    assert elements(ask, "y", ["use"], "last", run) == {(2, "c", None)}


def test_several_dependencies_of_several_producers_and_several_consumers(store: Store, ask: Asker, run: str) -> None:
    one, two, three = Device(), Device(), Device()
    store.store([one.batch(begins("make", "a", run=run), ends("make", "a", ("x", [1]), run=run))])
    store.store([three.batch(begins("use", "first", ["a", "b", "c", "never"], run=run))])
    store.store([three.batch(begins("use", "second", ["b"], run=run), begins("other", "third", ["a", "c"], run=run))])
    store.store([two.batch(begins("mix", "b", run=run), begins("make", "c", run=run))])
    store.resolve_dependencies()
    store.store([two.batch(ends("mix", "b", ("x", [2, 3]), run=run), ends("make", "c", ("x", [4]), run=run))])
    store.resolve_dependencies()
    made = ["make", "mix"]
    assert elements(ask, "x", made, "use", run) == {
        (1, "a", "first"), (2, "b", "first"), (3, "b", "first"), (4, "c", "first")
    }  # fmt: skip
    assert elements(ask, "x", made, "other", run) == {
        (1, "a", "third"), (2, "b", None), (3, "b", None), (4, "c", "third")
    }  # fmt: skip
    assert store.unresolved == 1
    # All pairs: the column has room for one only.
    assert set(
        ask(
            "SELECT p.key, c.key FROM task_link AS l JOIN data_set AS s ON s.id = l.ds_id JOIN task AS p "
            "ON p.id = l.producer_id JOIN task AS c ON c.id = l.consumer_id "
            f"WHERE s.tag = 'x' AND p.workflow = '{run}'"
        )
    ) == {("a", "first"), ("b", "first"), ("c", "first"), ("b", "second"), ("a", "third"), ("c", "third")}


def test_the_first_consumer_by_number_is_noted_even_when_its_dependency_is_found_last(
    store: Store, ask: Asker, run: str
) -> None:
    early, late = Device(), Device()
    store.store([early.batch(begins("use", "early", ["p"], run=run))])
    store.store([late.batch(begins("make", "p", run=run), ends("make", "p", ("x", [1]), run=run))])
    store.store([late.batch(begins("use", "late", ["p"], run=run))])
    # Only the later one is known at once: same client.
    assert ask("SELECT count(*) FROM awaited_task WHERE key = 'p' AND named_by IS NOT NULL")[0][0] >= 1
    store.resolve_dependencies()
    assert elements(ask, "x", ["make"], "use", run) == {(1, "p", "early")}


def test_values_that_a_consumer_gives_itself_are_elements_of_its_own(store: Store, ask: Asker, run: str) -> None:
    device = Device()
    store.store([device.batch(begins("make", "p", run=run), ends("make", "p", ("x", [1]), run=run))])
    store.store([device.batch(begins("use", "own", ["p"], ("x", [1]), run=run))])
    store.resolve_dependencies()
    assert elements(ask, "x", ["make"], "use", run) == {(1, "p", None), (1, None, "own")}
    store.store([device.batch(begins("use", "other", ["p"], run=run))])
    store.resolve_dependencies()
    assert elements(ask, "x", ["make"], "use", run) == {(1, "p", "other"), (1, None, "own")}


@pytest.mark.parametrize("noticed", [False, True])
def test_values_given_after_the_beginning_leave_the_elements_to_the_next_consumer(
    chains: Database, ask: Asker, run: str, *, noticed: bool
) -> None:
    device = Device()
    store = chains.store()
    store.store([device.batch(begins("mix", "p", run=run), ends("mix", "p", ("x", [1, 2]), run=run))])
    for key in ("first", "second", "third"):
        store.store([device.batch(begins("use", key, ["p"], run=run))])
    if noticed:
        store.resolve_dependencies()
        assert elements(ask, "x", ["make", "mix"], "use", run) == {(1, "p", "first"), (2, "p", "first")}
        store.close()
        store = chains.store()
    store.store([device.batch(uses("use", "first", ("x", [5]), run=run), uses("use", "second", ("x", [6]), run=run))])
    store.resolve_dependencies()
    store.close()
    assert elements(ask, "x", ["make", "mix"], "use", run) == {
        (1, "p", "third"), (2, "p", "third"), (5, None, "first"), (6, None, "second")
    }  # fmt: skip


def test_a_failed_producer_and_one_without_elements_leave_nothing_waiting(store: Store, ask: Asker, run: str) -> None:
    device = Device()
    records = [begins("make", "a", run=run), begins("make", "b", run=run), begins("make", "runs", run=run)]
    store.store([device.batch(*records, begins("use", "c", ["a", "b", "runs"], run=run))])
    store.resolve_dependencies()
    waiting = store.awaited
    store.store([device.batch(ends("make", "a", ("x", [1]), run=run, kind=TASK_FAILED), ends("make", "b", run=run))])
    store.resolve_dependencies()
    assert store.awaited == waiting - 2
    assert elements(ask, "x", ["make"], "use", run) == {(1, "a", "c")}


def test_a_transformation_that_shares_no_set_with_the_other_marks_nothing(store: Store, ask: Asker, run: str) -> None:
    device = Device()
    waiting = store.awaited
    store.store([device.batch(begins("make", 1, run=run), ends("make", 1, ("x", [1]), run=run))])
    store.store([device.batch(begins("last", 2, [1], run=run), begins("make", 3, [1], run=run))])
    store.resolve_dependencies()
    assert elements(ask, "x", ["make"], "use", run) == {(1, "1", None)}
    assert store.awaited == waiting


def test_a_dependency_between_clients_is_the_one_of_the_same_workflow(store: Store, ask: Asker) -> None:
    """Runs repeat identities; within a run they are unique."""
    runs = [next(RUNS), next(RUNS)]
    for run in runs:
        edge, cloud = Device(), Device()
        store.store([edge.batch(begins("make", 1, run=run), ends("make", 1, ("x", [7]), run=run))])
        store.store([cloud.batch(begins("use", 2, [1], run=run))])
    store.resolve_dependencies()
    for run in runs:
        assert elements(ask, "x", ["make"], "use", run) == {(7, "1", "2")}


def test_an_identity_that_several_other_clients_use_is_not_guessed(store: Store, ask: Asker, run: str) -> None:
    devices = [Device() for _ in range(3)]
    key = f"shared-{run}"
    store.store([devices[0].batch(begins("use", f"c-{run}", [key, f"c-{run}"], run=run))])
    store.store([one.batch(begins("make", key, run=run)) for one in devices[1:]])
    store.resolve_dependencies()
    found = f"SELECT count(*) FROM task_dependency WHERE dependency_key = '{key}' AND dependency_id IS NOT NULL"
    assert ask(found) == [(0,)]
    assert ask(f"SELECT ambiguous FROM awaited_task WHERE key = '{key}'") == [(True,)]
    # One more does not make it the only one, though it is the only new one; its own client's would count.
    store.store([Device().batch(begins("make", key, run=run))])
    store.resolve_dependencies()
    assert ask(found) == [(0,)]
    store.store([devices[0].batch(begins("make", key, run=run))])
    store.resolve_dependencies()
    assert ask(found) == [(1,)]
    # A task that names its own identity does not depend on itself.
    assert ask(f"SELECT dependency_id FROM task_dependency WHERE dependency_key = 'c-{run}'") == [(None,)]


def test_a_task_may_depend_on_one_of_another_client_that_has_its_identity(store: Store, ask: Asker, run: str) -> None:
    edge, cloud = Device(), Device()
    store.store([cloud.batch(begins("use", f"3-{run}", [f"3-{run}"], run=run))])
    store.store([edge.batch(begins("make", f"3-{run}", run=run), ends("make", f"3-{run}", ("x", [1]), run=run))])
    store.resolve_dependencies()
    ((producer, consumer),) = ask(
        "SELECT p.client_id, c.client_id FROM x JOIN task p ON p.id = x.make_task_id JOIN task c "
        f"ON c.id = x.use_task_id WHERE p.workflow = '{run}'"
    )
    assert producer != consumer


def test_identities_with_equal_sums_are_not_mixed_up(store: Store, ask: Asker, run: str) -> None:
    edge, cloud = Device(), Device()
    assert crc32(b"plumless") == crc32(b"buckeroo")
    store.store([cloud.batch(begins("use", "c", ["plumless"], run=run), begins("use", "d", ["buckeroo"], run=run))])
    for key, value in (("buckeroo", 1), ("plumless", 2)):
        store.store([edge.batch(begins("make", key, run=run), ends("make", key, ("x", [value]), run=run))])
    store.resolve_dependencies()
    assert elements(ask, "x", ["make"], "use", run) == {(1, "buckeroo", "d"), (2, "plumless", "c")}


# ------------------------------------------------------------------------------------------------ undeclared dataflows


@pytest.mark.parametrize("order", [one for one in itertools.permutations(range(4)) if one.index(0) < one.index(1)])
def test_a_set_used_by_name_is_linked_without_a_declaration(
    store: Store, ask: Asker, run: str, order: tuple[int, ...]
) -> None:
    """By name at the beginning or afterwards, and whichever transformation is known first."""
    producer, early, late = Device(), Device(), Device()
    records = [
        (producer, begins("produce", "p", run=run)),
        (producer, ends("produce", "p", ("things", [1, 2]), run=run)),
        (early, begins("consume", "c", ["p"], ("things", None), run=run)),
        (late, begins("inspect", "i", ["p"], run=run)),
    ]
    for place in order:
        device, record = records[place]
        store.store([device.batch(record)])
        store.resolve_dependencies()
    store.store([late.batch(uses("inspect", "i", ("things", None), run=run))])
    store.resolve_dependencies()
    table = f'"{_view(ask, run)}"'
    assert elements(ask, table, ["produce"], "consume", run) == {(1, "p", "c"), (2, "p", "c")}
    assert elements(ask, table, ["produce"], "inspect", run) == {(1, "p", "i"), (2, "p", "i")}


def _view(ask: Asker, run: str) -> str:
    ((name,),) = ask(
        f"SELECT s.table_name FROM data_set AS s JOIN dataflow AS f ON f.id = s.df_id WHERE f.tag = '{run}'"
    )
    return str(name)


def test_values_under_the_name_of_a_set_that_others_generate_make_no_links(store: Store, ask: Asker, run: str) -> None:
    device = Device()
    store.store([device.batch(begins("produce", "p", run=run), ends("produce", "p", ("things", [1]), run=run))])
    store.store([device.batch(begins("consume", "a", ["p"], ("things", [1]), run=run))])
    # The relation is known now: one that gives no values takes over, and so does one that began before it was known.
    store.resolve_dependencies()
    table = f'"{_view(ask, run)}"'
    assert elements(ask, table, ["produce"], "consume", run) == {(1, "p", None), (1, None, "a")}
    store.store([device.batch(begins("consume", "b", ["p"], run=run))])
    store.resolve_dependencies()
    assert elements(ask, table, ["produce"], "consume", run) == {(1, "p", "b"), (1, None, "a")}


def test_a_later_declaration_links_what_is_stored(chains: Database, ask: Asker) -> None:
    device = Device()
    first = copy.deepcopy(CHAINED)
    first["tag"] = tag = "growing"
    for step in first["transformations"]:
        step["tag"] = f"g_{step['tag']}"
        for item in step["sets"]:
            item["tag"] = f"g_{item['tag']}"
            item["dependency"] = item["dependency"] and f"g_{item['dependency']}"
    grown = copy.deepcopy(first)
    del first["transformations"][2]["sets"][0]  # nobody uses g_x yet
    store = chains.store()
    store._catalogue.declare(parse([first])[0])
    store.store([device.batch(begins("g_make", 1, run=tag), ends("g_make", 1, ("g_x", [1]), run=tag))])
    store.store([device.batch(begins("g_use", 2, [1, 3], run=tag), begins("g_make", 3, run=tag))])
    store.resolve_dependencies()
    store._catalogue.declare(parse([grown])[0])
    store.store([device.batch(ends("g_make", 3, ("g_x", [3]), run=tag))])
    store.resolve_dependencies()
    store.close()
    assert elements(ask, "g_x", ["g_make"], "g_use", tag) == {(1, "1", "2"), (3, "3", "2")}


# ----------------------------------------------------------------------------------------------------------- rest


def test_ids_that_are_searched_ascend(store: Store, ask: Asker, run: str) -> None:
    """MonetDB searches columns whose values ascend; of others it reads every value."""
    devices = [Device() for _ in range(3)]
    for number in range(4):
        store.store(
            [
                one.batch(*[begins("use", f"{number}-{k}", [k, "other"], ("x", [k]), run=run) for k in range(5)],
                          begins("make", f"{number}-m", ["x"], run=run))
                for one in devices
            ]
        )  # fmt: skip
    for table, columns in (("task", "id"), ("task_dependency", "id, task_id"), ("ds_x", "id")):
        rows = ask(f"SELECT {columns} FROM {table}")
        assert rows == sorted(rows)


def test_what_sub_tasks_are_parts_of_is_found_with_the_rest(chains: Database, ask: Asker, run: str) -> None:
    boss, worker = Device(), Device()
    part = begins("make", "part", run=run)._replace(extras={"parent": f"boss-{run}", "parent_transformation": "use"})
    store = chains.store()
    store.store([worker.batch(part, ends("make", "part", ("x", [1]), run=run))])
    store.store([boss.batch(begins("make", f"boss-{run}", run=run))])  # not of that transformation
    store.resolve_dependencies()
    store.close()
    store = chains.store()
    store.store([boss.batch(begins("use", f"boss-{run}", ["part"], run=run))])
    store.resolve_dependencies()
    store.close()
    assert ask(
        "SELECT d.tag FROM task s JOIN task p ON p.id = s.parent_id JOIN data_transformation d ON d.id = p.dt_id "
        f"WHERE s.workflow = '{run}'"
    ) == [("use",)]
    assert elements(ask, "x", ["make"], "use", run) == {(1, "part", f"boss-{run}")}


def test_dependencies_without_a_common_set_leave_nothing_to_be_done(store: Store) -> None:
    device = Device()
    before = store.unresolved, store.awaited
    store.store([device.batch(begin(1, 1, 1, 1, 1), end(1, 0.5, 1), begin(2, 2, 2, 2, 2, depends=[1]))])
    store.store([device.batch(begin(3, 1, 1, 1, 1, depends=[2]), end(3, 0.5, 1))])
    assert (store.unresolved, store.awaited) == before


class Stumbling(Store):
    """A store whose first pass fails after it changed something."""

    failures = 1

    def _execute(self, statement: str) -> None:
        super()._execute(statement)
        if self.failures and statement.startswith('DELETE FROM "public".awaited_set'):
            self.failures -= 1
            super()._execute("SELECT no_such_column FROM task")


def test_drain_does_not_answer_before_a_pass_that_failed_is_made_again(chains: Database, ask: Asker, run: str) -> None:
    device = Device()
    translator = Translator(chains.folder, "127.0.0.1", 1, 1)
    translator._store = Stumbling(chains.folder)
    try:
        translator._stored(
            [
                device.batch(begins("use", "c", ["p"], run=run)),
                device.batch(begins("make", "p", run=run), ends("make", "p", ("x", [1]), run=run)),
            ]
        )
        marker = Delivery(records_topic(0, BROKER_USER, "drain-1"), b"drain")
        translator._work([Arrival(marker, 1, -1)])
    finally:
        translator._store.close()
    assert translator._store.failures == 0
    assert elements(ask, "x", ["make"], "use", run) == {(1, "p", "c")}
