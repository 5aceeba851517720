"""Where a task came from and what came of it: edges of all kinds, circles, long chains, pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provenance_parts import Asker, Database, Device, begin, end

from e2c.errors import QueryError
from e2c.provenance import queries
from e2c.provenance.queries import drawing
from e2c.provenance.queries.lineage import Edge, Lineage

LINKS = 12_000


@pytest.fixture(scope="module")
def chained(database: Database) -> Database:
    """A chain with rows of others between its links, and a small family."""
    store = database.store()
    chain, other = Device(name="chain"), Device(name="other")
    for first in range(0, LINKS, 1000):
        numbers = range(first, first + 1000)
        store.store(
            [
                chain.batch(*(begin(f"c{one}", depends=[f"c{one - 1}"] if one else []) for one in numbers)),
                other.batch(*(begin(f"o{one}") for one in numbers)),
                chain.batch(*(end(f"c{one}") for one in numbers)),
            ]
        )
    family = Device(name="family")
    store.store(
        [
            family.batch(
                begin("root"),
                begin("left", depends=["root"]),
                begin("right", depends=["root"]),
                begin("join", depends=["left", "right"]),
                begin("leaf", depends=["join"]),
                begin("alone"),
                end("root"),
                end("left", error="it broke"),
            )
        ]
    )
    store.close()
    return database


@pytest.fixture
def provenance(chained: Database) -> Iterator[queries.Provenance]:
    with queries.open(chained.folder) as opened:
        yield opened


def keys(lineage: Lineage) -> dict[str, int]:
    return {row["key"]: row["distance"] for row in lineage.tasks}


@pytest.mark.monetdb
@pytest.mark.parametrize("place", [0, 1, LINKS // 2, LINKS - 1])
def test_a_long_chain_is_whole(provenance: queries.Provenance, place: int) -> None:
    found = provenance.lineage(f"c{place}")
    assert keys(found) == {f"c{one}": one - place for one in range(LINKS)}
    assert len(found.edges) == LINKS - 1
    assert [row["key"] for row in found.tasks] == [f"c{one}" for one in range(LINKS)]


@pytest.mark.monetdb
def test_directions_and_depth(provenance: queries.Provenance) -> None:
    assert keys(provenance.lineage("join")) == {"root": -2, "left": -1, "right": -1, "join": 0, "leaf": 1}
    assert keys(provenance.lineage("join", down=False)) == {"root": -2, "left": -1, "right": -1, "join": 0}
    assert keys(provenance.lineage("join", up=False)) == {"join": 0, "leaf": 1}
    assert keys(provenance.lineage("join", depth=1)) == {"left": -1, "right": -1, "join": 0, "leaf": 1}
    assert keys(provenance.lineage("alone")) == {"alone": 0}
    with pytest.raises(QueryError, match="there is no task nobody"):
        provenance.lineage("nobody")


@pytest.mark.monetdb
def test_parts_sets_and_circles(database: Database, ask: Asker) -> None:
    """Edges as the translator leaves them, whatever they are: rows are written directly."""
    first = 5_000_000
    task = 'INSERT INTO "public".task (id, df_version, dt_id, status, key, parent_id) VALUES '
    ask(task + ", ".join(f"({first + one}, 1, 1, 'FINISHED', 'd{one}', NULL)" for one in range(8)))
    ask(task + f"({first + 8}, 1, 1, 'FINISHED', 'd8', {first + 2})")
    edges = [(0, 1), (1, 2), (2, 0), (2, 2)]
    ask(
        'INSERT INTO "public".task_dependency (task_id, dependency_key, dependency_id) VALUES '
        + ", ".join(f"({first + task}, 'd{source}', {first + source})" for source, task in edges)
    )
    ask('CREATE TABLE "public".ds_between (id INT NOT NULL, one_task_id INT, two_task_id INT, x DOUBLE)')
    ask('GRANT SELECT ON "public".ds_between TO reader')
    ask("INSERT INTO data_set VALUES (77, 1, 'between', true, 'ds_between', NULL)")
    ask(
        "INSERT INTO data_dependency (id, previous_dt_id, next_dt_id, ds_id, previous_column, next_column) "
        "VALUES (770, 1, 1, 77, 'one_task_id', 'two_task_id')"
    )
    ask(f"INSERT INTO ds_between VALUES (1, {first + 2}, {first + 5}, 1), (2, {first + 6}, NULL, 2)")
    with queries.open(database.folder) as provenance:
        found = provenance.lineage(f"row:{first + 1}")
    short = {(edge.source - first, edge.task - first, edge.kind) for edge in found.edges}
    assert short == {
        (0, 1, "depends"),
        (1, 2, "depends"),
        (2, 0, "depends"),
        (2, 2, "depends"),
        (8, 2, "part"),
        (2, 5, "between"),
    }
    assert set(keys(found)) == {"d0", "d1", "d2", "d5", "d8"}


@pytest.mark.monetdb
def test_any_graph_is_followed_as_a_search_would(database: Database, ask: Asker) -> None:
    """Against a search in memory, with ids near and far apart."""
    draw = random.Random(4)
    spread = sorted(draw.sample(range(6_000_000, 8_000_000), 300) + list(range(8_100_000, 8_100_300)))
    pairs = {(draw.choice(spread), draw.choice(spread)) for _ in range(700)}
    ask(
        'INSERT INTO "public".task (id, df_version, dt_id, status, key) VALUES '
        + ", ".join(f"({one}, 1, 1, 'FINISHED', 'g{one}')" for one in spread)
    )
    ask(
        'INSERT INTO "public".task_dependency (task_id, dependency_key, dependency_id) VALUES '
        + ", ".join(f"({task}, 'g{source}', {source})" for source, task in pairs)
    )
    with queries.open(database.folder) as provenance:
        for start in draw.sample(spread, 12):
            for up, down in ((True, False), (False, True)):
                found = {row["id"] for row in provenance.lineage(f"row:{start}", up=up, down=down).tasks}
                assert found == _search(start, pairs, up), (start, up)


def _search(start: int, pairs: set[tuple[int, int]], up: bool) -> set[int]:
    reached, waiting = {start}, [start]
    while waiting:
        one = waiting.pop()
        others = {source for source, task in pairs if task == one} if up else {t for s, t in pairs if s == one}
        waiting += others - reached
        reached |= others
    return reached


def _made(edges: list[tuple[int, int]], count: int, text: str = "a<b>&\"'") -> Lineage:
    rows = [
        {
            "id": one,
            "key": f"{text}{one}",
            "transformation": text,
            "status": "FAILED" if one % 3 else "FINISHED",
            "host": text,
            "duration": None,
            "distance": one - count // 2,
        }
        for one in range(count)
    ]
    return Lineage(count // 2, rows, [Edge(source, task, text) for source, task in edges])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30), st.text(max_size=12))
def test_pictures_are_well_formed_whatever_the_graph_and_its_names(edges: list[tuple[int, int]], text: str) -> None:
    lineage = _made(edges, 12, text)
    root = ElementTree.fromstring(drawing.svg(lineage))
    assert len(root.findall("{http://www.w3.org/2000/svg}g")) == 12
    assert drawing.dot(lineage).count("label=") == 12 + len(set(edges))


def test_boxes_do_not_overlap_and_sources_are_above() -> None:
    edges = [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4), (0, 4)]
    root = ElementTree.fromstring(drawing.svg(_made(edges, 5)))
    boxes = [
        (float(rect.get("x", "")), float(rect.get("y", "")))
        for rect in root.findall("{http://www.w3.org/2000/svg}g/{http://www.w3.org/2000/svg}rect")
    ]
    assert len(set(boxes)) == 5
    for place, (left, top) in enumerate(boxes):
        for other_left, other_top in boxes[place + 1 :]:
            assert top != other_top or abs(left - other_left) >= drawing.WIDTH
    assert all(boxes[source][1] < boxes[task][1] for source, task in edges)


def test_large_lineages_are_drawn_by_transformation() -> None:
    count = drawing.MOST_BOXES + 1
    picture = drawing.svg(_made([(one, one + 1) for one in range(count - 1)], count, "train"))
    root = ElementTree.fromstring(picture)
    assert len(root.findall("{http://www.w3.org/2000/svg}g")) == 3
    assert f"train: {count // 2} tasks" in picture
    assert f"train ({count // 2 - 1})" in picture
