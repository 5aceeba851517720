"""What a changed declaration does to a database, and names that collide: nothing is lost, nothing is mixed."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from provenance_parts import T0, TUTORIAL, Asker, Database, Device

from e2c.provenance.connections import connect
from e2c.provenance.copies.dump import dump
from e2c.provenance.copies.restore import restore
from e2c.provenance.folder import DataFolder, write_json
from provlight.wire import TASK_BEGIN, TASK_END, Record, SetShape

pytestmark = pytest.mark.monetdb

Step = dict[str, Any]


def attributes(**types: str) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in types.items()]


def made(tag: str, **types: str) -> Step:
    return {"tag": tag, "type": "OUTPUT", "attributes": attributes(**types)}


def used(tag: str, dependency: str = "", **types: str) -> Step:
    item = {"tag": tag, "type": "INPUT", "attributes": attributes(**types)}
    return {**item, "dependency": dependency} if dependency else item


def flow(tag: str, **steps: list[Step]) -> dict[str, Any]:
    return {"tag": tag, "transformations": [{"tag": step, "sets": sets} for step, sets in steps.items()]}


class Lab:
    """A database and a device; declares, captures, asks."""

    def __init__(self, root: Path, tasks: int = 0) -> None:
        self.root = root
        self.device = Device()
        self.server = Database(root, [])
        self.tasks = tasks

    def declare(self, *dataflows: dict[str, Any]) -> None:
        write_json(self.server.folder.dataflows, {"dataflows": list(dataflows)})
        self.server.store().close()

    def capture(
        self, workflow: str, step: str, tag: str, values: dict[str, Any] | list[Any], kind: int = TASK_END
    ) -> int:
        """One record of one task; returns the task's number."""
        self.tasks += 1
        names = tuple(values) if isinstance(values, dict) else None
        row = list(values.values()) if isinstance(values, dict) else values
        shape = SetShape(tag, names, len(row))
        store = self.server.store()
        store.store(
            [self.device.batch(Record(kind, workflow, step, self.tasks, T0 + self.tasks, (), "", [(shape, row)]))]
        )
        store.close()
        return self.tasks

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        connection = connect(self.server.folder)
        try:
            return Asker(connection)(sql)
        finally:
            connection.close()

    def names(self, view: str) -> list[str]:
        connection = connect(self.server.folder)
        try:
            cursor = connection.cursor()
            cursor.execute(f"SELECT * FROM {view}")
            return [column[0] for column in cursor.description]
        finally:
            connection.close()

    def versions(self, tag: str) -> list[int]:
        rows = self.ask(
            "SELECT v.version FROM dataflow_version v JOIN dataflow f ON f.id = v.df_id "
            f"WHERE f.tag = '{tag}' ORDER BY v.version"
        )
        return [version for (version,) in rows]

    def restart(self, number: int = signal.SIGTERM) -> None:
        self.server.end(number)
        self.server = Database(self.root)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("versions") / "data")
    try:
        yield lab
    finally:
        lab.server.end()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    own = Lab(tmp_path / "data")
    try:
        yield own
    finally:
        own.server.end()


# ----------------------------------------------------------------------------------------------------- versions


def test_order_and_what_is_left_out_make_no_version(shared: Lab) -> None:
    declared = flow("same", a=[made("same_x", v="NUMERIC")], b=[used("same_x", "a"), made("same_y")])
    shared.declare(declared)
    turned = copy.deepcopy(declared)
    turned["transformations"].reverse()
    turned["transformations"][0]["sets"].reverse()
    del turned["transformations"][0]["sets"][0]["attributes"]
    turned["comment"] = "of no meaning"
    turned["tag"] = "SAME"
    shared.declare(turned)
    assert len(shared.versions("same")) == 1


@pytest.mark.parametrize(
    ("tag", "before", "after", "view", "rows", "table_columns"),
    [
        pytest.param(
            "removed",
            {"a": "NUMERIC", "b": "TEXT"},
            {"a": "NUMERIC"},
            ["id", "t_task_id", "a"],
            [(1.0,), (2.0,)],
            ["a", "b"],
            id="removed: leaves the view, stays in the table",
        ),
        pytest.param(
            "added",
            {"a": "NUMERIC"},
            {"b": "TEXT", "a": "NUMERIC"},
            ["id", "t_task_id", "b", "a"],
            [(None, 1.0), ("two", 2.0)],
            ["a", "b"],
            id="added: NULL in earlier rows",
        ),
        pytest.param(
            "renamed",
            {"a": "NUMERIC", "b": "TEXT"},
            {"a": "NUMERIC", "c": "TEXT"},
            ["id", "t_task_id", "a", "c"],
            [(1.0, None), (2.0, "two")],
            ["a", "b", "c"],
            id="renamed: one removed, one added",
        ),
        pytest.param(
            "recased",
            {"Aa": "NUMERIC"},
            {"aA": "NUMERIC"},
            ["id", "t_task_id", "aa"],
            [(1.0,), (2.0,)],
            ["aa"],
            id="written in another case: the same column",
        ),
        pytest.param(
            "typed",
            {"a": "NUMERIC", "b": "NUMERIC"},
            {"a": "NUMERIC", "b": "TEXT"},
            ["id", "t_task_id", "a", "b_2"],
            [(1.0, None), (2.0, "two")],
            ["a", "b", "b_2"],
            id="another type: another column",
        ),
        pytest.param(
            "widened",
            {"a": "NUMERIC", "b": "TEXT"},
            {"a": "NUMERIC", "b": "LONG_TEXT"},
            ["id", "t_task_id", "a", "b"],
            [(1.0, "one"), (2.0, "two")],
            ["a", "b"],
            id="another type of the same storage: the same column",
        ),
        pytest.param(
            "moved",
            {"a": "NUMERIC", "b": "TEXT"},
            {"b": "TEXT", "a": "NUMERIC"},
            ["id", "t_task_id", "b", "a"],
            [("one", 1.0), ("two", 2.0)],
            ["a", "b"],
            id="moved: positions of later records count anew",
        ),
        pytest.param(
            "emptied",
            {"a": "NUMERIC"},
            {},
            ["id", "t_task_id"],
            [()],
            ["a"],
            id="none left: the rows stay",
        ),
    ],
)
def test_a_changed_set(
    shared: Lab,
    tag: str,
    before: dict[str, str],
    after: dict[str, str],
    view: list[str],
    rows: list[tuple[Any, ...]],
    table_columns: list[str],
) -> None:
    def value(kind: str, number: int) -> Any:
        return float(number) if kind == "NUMERIC" else {1: "one", 2: "two"}[number]

    shared.declare(flow(tag, t=[made(f"set_{tag}", **before)]))
    first = shared.capture(tag, "t", f"set_{tag}", [value(kind, 1) for kind in before.values()])
    shared.declare(flow(tag, t=[made(f"set_{tag}", **after)]))
    tasks = [first]
    if after:
        tasks.append(shared.capture(tag, "t", f"set_{tag}", [value(kind, 2) for kind in after.values()]))
    assert shared.names(f"set_{tag}") == view == shared.names(f"{tag}.set_{tag}")
    assert [row[2:] for row in shared.ask(f"SELECT * FROM set_{tag} ORDER BY id")] == rows
    assert shared.names(f"ds_set_{tag}")[2:] == table_columns
    # Each task tells under which version it began, and each version what it declared.
    versions = shared.versions(tag)
    assert len(versions) == 2
    found = shared.ask(
        f"SELECT df_version FROM task WHERE key IN ({', '.join(map(repr, map(str, tasks)))}) ORDER BY id"
    )
    assert [version for (version,) in found] == versions[: len(tasks)]
    # It is known again after a restart of the writer.
    shared.declare(flow(tag, t=[made(f"set_{tag}", **after)]))
    assert shared.versions(tag) == versions
    assert shared.names(f"set_{tag}") == view


def test_going_back_is_a_new_version_with_the_columns_of_the_first(shared: Lab) -> None:
    one = flow("back", t=[made("set_back", a="NUMERIC", b="NUMERIC", c="TEXT")])
    two = flow("back", t=[made("set_back", a="TEXT", b="NUMERIC")])
    shared.declare(one)
    shared.capture("back", "t", "set_back", [1, 2, "x"])
    shared.declare(two)
    shared.capture("back", "t", "set_back", ["text", 3])
    shared.declare(one)
    shared.capture("back", "t", "set_back", [4, 5, "y"])
    assert shared.ask("SELECT a, b, c FROM set_back ORDER BY id") == [
        (1.0, 2.0, "x"),
        (None, 3.0, None),
        (4.0, 5.0, "y"),
    ]
    assert shared.names("ds_set_back")[2:] == ["a", "b", "c", "a_2"]
    first, second, third = shared.versions("back")
    digests = dict(shared.ask("SELECT version, digest FROM dataflow_version"))
    assert digests[first] == digests[third] != digests[second]


def test_a_removed_transformation_keeps_its_rows_and_what_is_sent_for_it_is_stored(shared: Lab) -> None:
    shared.declare(flow("gone", a=[made("gone_x", v="NUMERIC")], b=[made("gone_y", v="NUMERIC")]))
    shared.capture("gone", "b", "gone_y", [1])
    shared.declare(flow("gone", a=[made("gone_x", v="NUMERIC")]))
    shared.capture("gone", "b", "gone_y", [2])
    assert shared.ask("SELECT v FROM gone.gone_y ORDER BY id") == [(1.0,), (2.0,)]
    first, second = shared.versions("gone")
    rows = shared.ask(
        "SELECT t.df_version FROM task t JOIN data_transformation d ON d.id = t.dt_id "
        "JOIN dataflow f ON f.id = d.df_id WHERE f.tag = 'gone' ORDER BY t.id"
    )
    assert rows == [(first,), (second,)]


def test_a_set_that_moves_to_another_transformation(shared: Lab) -> None:
    shared.declare(flow("moves", a=[made("moved_x", v="NUMERIC")], c=[used("moved_x", "a")]))
    one = shared.capture("moves", "a", "moved_x", [1])
    shared.declare(flow("moves", a=[], b=[made("moved_x", v="NUMERIC")], c=[used("moved_x", "b")]))
    two = shared.capture("moves", "b", "moved_x", [2])
    # Those of producers come first, whenever they were declared, also for a writer that was started anew.
    assert shared.names("moved_x") == ["id", "a_task_id", "b_task_id", "c_task_id", "v"]
    numbers = dict(shared.ask("SELECT key, id FROM task"))
    assert shared.ask("SELECT a_task_id, b_task_id, v FROM moved_x ORDER BY id") == [
        (numbers[str(one)], None, 1.0),
        (None, numbers[str(two)], 2.0),
    ]
    assert shared.ask(
        "SELECT p.tag, n.tag FROM data_dependency d JOIN data_set s ON s.id = d.ds_id "
        "LEFT JOIN data_transformation p ON p.id = d.previous_dt_id "
        "LEFT JOIN data_transformation n ON n.id = d.next_dt_id WHERE s.tag = 'moved_x' ORDER BY d.id"
    ) == [("a", "c"), ("b", "c")]
    shared.declare(flow("moves", a=[], b=[made("moved_x", v="NUMERIC")], c=[used("moved_x", "b")], d=[made("moved_x")]))
    assert shared.names("moved_x") == ["id", "a_task_id", "b_task_id", "d_task_id", "c_task_id", "v"]


def test_an_undeclared_dataflow_that_is_declared_later_keeps_its_rows(shared: Lab) -> None:
    shared.capture("later", "t", "later_x", {"a": 1.5, "note": "kept", "gone": 3})
    assert shared.ask("SELECT count(*) FROM undeclared WHERE dataflow = 'later'") == [(2,)]
    shared.declare(flow("later", t=[made("later_x", note="TEXT", a="NUMERIC")]))
    assert shared.ask("SELECT note, a FROM later.later_x") == [("kept", 1.5)]
    assert shared.ask("SELECT gone FROM ds_later_x") == [(3.0,)]
    assert shared.ask("SELECT count(*) FROM undeclared WHERE dataflow = 'later'") == [(0,)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ids_are_stable_over_restarts(lab: Lab, number: int) -> None:
    tables = ("dataflow", "dataflow_version", "data_transformation", "data_set", "data_dependency", "attribute")
    tables += ("extractor", "task", "ds_training_input")
    lab.declare(TUTORIAL)
    lab.capture("model_training", "training", "training_input", [1, 2, 3, 4], TASK_BEGIN)

    def state() -> list[list[tuple[Any, ...]]]:
        return [lab.ask(f"SELECT * FROM {table} ORDER BY 1") for table in tables]

    before = state()
    lab.restart(number)
    assert state() == before
    lab.declare(TUTORIAL)
    assert state() == before
    # What comes later gets later numbers.
    lab.capture("model_training", "training", "training_input", [5, 6, 7, 8], TASK_BEGIN)
    assert lab.ask("SELECT id, training_task_id FROM training_input ORDER BY id") == [(1, 1), (2, 2)]


# -------------------------------------------------------------------------------------------- names that collide


def test_sets_of_the_same_name_never_mix(shared: Lab) -> None:
    shared.declare(
        flow("one flow", t=[made("twin", v="NUMERIC")]),
        flow("two flow", t=[made("Twin", v="TEXT")]),
    )
    shared.capture("one flow", "t", "twin", [1])
    shared.capture("two flow", "t", "TWIN", ["one"])
    shared.capture("third", "t", "twin", {"v": True})
    assert shared.ask("SELECT v FROM twin") == [(1.0,)]
    assert shared.ask('SELECT v FROM "one flow".twin') == [(1.0,)]
    assert shared.ask('SELECT v FROM "two flow".twin') == [("one",)]
    assert shared.ask("SELECT v FROM ds_twin_3") == [(1.0,)]


def test_tags_that_differ_in_case_are_one_dataflow(shared: Lab) -> None:
    shared.declare(flow("Cased", t=[made("cased_x", v="NUMERIC")]))
    shared.declare(flow("CASED", T=[made("Cased_X", v="NUMERIC")]))
    assert len(shared.versions("cased")) == 1


def test_dataflows_whose_tags_give_the_same_name_have_schemas_of_their_own(shared: Lab) -> None:
    long = "l" * 210
    tags = ["%percent", "_%percent", "sys", "public", "tmp", long + "1", long + "2"]
    shared.declare(*[flow(tag, t=[made("schema_x", v="TEXT")]) for tag in tags])
    for tag in tags:
        shared.capture(tag, "t", "schema_x", [tag])
    schemas = dict(shared.ask("SELECT tag, schema_name FROM dataflow"))
    assert (schemas["sys"], schemas["public"], schemas["%percent"], schemas["_%percent"]) == (
        "sys_2",
        "public_2",
        "_%percent",
        "_%percent_2",
    )
    for tag in tags:
        assert shared.ask(f'SELECT v FROM "{schemas[tag]}".schema_x') == [(tag,)]


def test_sets_whose_tags_give_the_same_name(shared: Lab) -> None:
    tags = ["%x", "_%x", "c\nx", "c_x"]
    shared.declare(flow("signs", t=[made(tag, v="TEXT") for tag in tags if "\n" not in tag]))
    for tag in tags:
        shared.capture("signs", "t", tag, {"v": tag})
    for view, tag in {"_%x": "%x", "_%x_2": "_%x", "c_x": "c_x", "c_x_2": "c\nx"}.items():
        assert shared.ask(f'SELECT v FROM signs."{view}"') == [(tag,)]


@pytest.mark.parametrize(
    ("tag", "table", "view"),
    [
        ("task", "ds_task", None),
        ("performance", "ds_performance", None),
        ("undeclared", "ds_undeclared", None),
        ("select", "ds_select", "select"),
        ("sys", "ds_sys", "sys"),
        ("named", "ds_named", "named"),
        ("ds_named", "ds_ds_named", None),
        ("user", "ds_user", "user"),
    ],
)
def test_sets_named_like_tables_and_reserved_words(shared: Lab, tag: str, table: str, view: str | None) -> None:
    # All in one dataflow, which grows.
    present = [
        one
        for (one,) in shared.ask(
            "SELECT tag FROM data_set WHERE df_id IN (SELECT id FROM dataflow WHERE tag = 'names')"
        )
    ]
    earlier = [tag.removeprefix("ds_")]  # whose table takes the name
    shared.declare(flow("names", t=[made(name, v="TEXT") for name in dict.fromkeys([*present, *earlier, tag])]))
    shared.capture("names", "t", tag, [tag])
    assert shared.ask(f"SELECT table_name, view_name FROM data_set WHERE tag = '{tag}'") == [(table, view)]
    assert shared.ask(f'SELECT v FROM names."{tag}"') == [(tag,)]
    if view:
        assert shared.ask(f'SELECT v FROM "{view}"') == [(tag,)]
    assert shared.ask("SELECT count(*) > 0 FROM task") == [(True,)]


def test_attributes_named_like_the_columns_of_a_set(shared: Lab) -> None:
    types = {"id": "TEXT", "Train_Task_Id": "TEXT", "A": "TEXT", "a": "TEXT", "id_2": "TEXT", "eval_task_id": "TEXT"}
    shared.declare(flow("columns", train=[made("columns_x", **types)]))
    shared.capture("columns", "train", "columns_x", list(types))
    # A transformation comes whose column would have the name of an attribute.
    shared.declare(flow("columns", train=[made("columns_x", **types)], eval=[used("columns_x", "train")]))
    shared.capture("columns", "train", "columns_x", {name: name.upper() for name in types})
    names = ["id_2", "train_task_id_2", "a", "a_2", "id_2_2", "eval_task_id"]
    assert shared.names("columns_x") == ["id", "train_task_id", "eval_task_id_2", *names]
    assert shared.ask(f"SELECT {', '.join(names)} FROM columns_x ORDER BY id") == [
        tuple(types),
        tuple(name.upper() for name in types),
    ]
    assert shared.ask(
        "SELECT a.name, a.column_name FROM attribute a JOIN data_set s ON s.id = a.ds_id "
        "WHERE s.tag = 'columns_x' ORDER BY a.ordinal"
    ) == list(zip(types, names, strict=True))


# ---------------------------------------------------------------------------------------------------- extractors


@pytest.fixture
def extracting() -> Callable[..., dict[str, Any]]:
    def build(**more: Any) -> dict[str, Any]:
        item = {
            "tag": "mesh",
            "type": "OUTPUT",
            "attributes": [
                {"name": "step", "type": "NUMERIC"},
                {"name": "velocity", "type": "NUMERIC", "extractor": "E1"},
                {"name": "label", "type": "TEXT", "extractor": {"tag": "e1"}},
            ],
            "extractors": [
                {"tag": "E1", "cartridge": "EXTRACTION", "extension": "CSV"},
                {"tag": "e2", "cartridge": "INDEXING", "extension": ["FASTBIT"]},
            ],
            "extractor.combinations": [{"outer": "e1", "inner": "E2", "keys": "a;b", "key_types": ["TEXT", "NUMERIC"]}],
        }
        programs = [{"name": "solver", "path": "/bin/solver"}]
        return {"tag": "solve", "transformations": [{"tag": "run", "programs": programs, "sets": [{**item, **more}]}]}

    return build


def test_extractors_have_rows_columns_and_views(lab: Lab, extracting: Callable[..., dict[str, Any]]) -> None:
    lab.declare(extracting())
    assert lab.ask("SELECT id, ds_id, tag, cartridge, extension FROM extractor ORDER BY id") == [
        (1, 1, "e1", "EXTRACTION", "CSV"),
        (2, 1, "e2", "INDEXING", "FASTBIT"),
    ]
    assert lab.ask("SELECT outer_ext_id, inner_ext_id, keys, key_types FROM extractor_combination") == [
        (1, 2, "a;b", "TEXT;NUMERIC")
    ]
    assert lab.ask("SELECT name, extractor_id FROM attribute ORDER BY ordinal") == [
        ("step", None),
        ("velocity", 1),
        ("label", 1),
    ]
    lab.capture("solve", "run", "mesh", [1, 0.5, "in"])
    lab.capture("solve", "run", "mesh", {"step": 2, "velocity": 0.75, "e1": "/data/two.csv"})
    assert lab.names("mesh") == [
        *("id", "run_task_id", "e1_file_id", "e1_id", "e1_filename", "e2_file_id", "e2_id", "e2_filename"),
        *("step", "velocity", "label"),
    ]
    assert lab.ask("SELECT step, velocity, label, e1_filename FROM mesh ORDER BY id") == [
        (1.0, 0.5, "in", None),
        (2.0, 0.75, None, "/data/two.csv"),
    ]
    assert lab.names("ext_e1") == ["e1_id", "e1_file_id", "filename", "velocity", "label"]
    assert lab.ask(
        "SELECT m.step, e.velocity, e.filename FROM mesh m JOIN ext_e1 e ON e.e1_id = m.e1_id ORDER BY 1"
    ) == [
        (1.0, 0.5, None),
        (2.0, 0.75, "/data/two.csv"),
    ]
    assert lab.ask("SELECT count(*) FROM ext_e2") == [(0,)]
    # The file that was captured with the path is the one of the element's task.
    facts = [["mesh", "E1", "/data/three.csv", 12, bytes(32), ""]]
    shape = SetShape("mesh", ("step", "E1"), 2)
    record = Record(TASK_END, "solve", "run", "three", T0, (), "", [(shape, [3, "/data/three.csv"])])
    store = lab.server.store()
    store.store([lab.device.batch(record._replace(extras={"files": msgpack.packb(facts)}))])
    store.close()
    assert lab.ask("SELECT f.size, m.e1_filename FROM mesh m JOIN file f ON f.id = m.e1_file_id") == [(12, "three.csv")]
    # A change and a restart of the writer keep all of it.
    lab.declare(extracting(attributes=[{"name": "velocity", "type": "NUMERIC", "extractor": "e1"}]))
    assert lab.ask("SELECT velocity FROM ext_e1 ORDER BY e1_id") == [(0.5,), (0.75,), (None,)]
    assert lab.ask("SELECT count(*) FROM extractor") == [(2,)]


def test_extractors_do_not_collide(lab: Lab, extracting: Callable[..., dict[str, Any]]) -> None:
    attributes = [{"name": name, "type": "TEXT"} for name in ("e1_path", "e1_id", "e2")]
    other = extracting(tag="other", attributes=attributes)
    other["tag"] = "other flow"
    del other["transformations"][0]["sets"][0]["extractor.combinations"]
    lab.declare(extracting(), other)
    lab.capture("other flow", "run", "other", ["a", "b", "c"])
    assert lab.ask("SELECT tag, view_name FROM extractor WHERE ds_id = 2 ORDER BY id") == [
        ("e1", "ext_e1_2"),
        ("e2", "ext_e2_2"),
    ]
    columns = dict(lab.ask("SELECT name, column_name FROM attribute WHERE ds_id = 2"))
    shown = ", ".join(columns.values())
    assert lab.ask(f"SELECT {shown} FROM other") == [("a", "b", "c")]


def test_extractors_come_back_from_a_dump(lab: Lab, extracting: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    lab.declare(extracting())
    lab.capture("solve", "run", "mesh", {"step": 2, "velocity": 0.75, "e1": "/data/two.csv"})
    dumped = tmp_path / "dump.sql"
    with dumped.open("wb") as out:
        dump(lab.server.folder, out)
    restore(DataFolder(tmp_path / "restored"), dumped)
    other = Lab(tmp_path / "restored", lab.tasks)
    try:
        for query in ("SELECT * FROM mesh", "SELECT * FROM ext_e1", "SELECT * FROM extractor"):
            assert other.ask(query) == lab.ask(query)
        # It goes on.
        other.declare(extracting())
        other.capture("solve", "run", "mesh", {"step": 3, "velocity": 1.5, "e1": "/data/three.csv"})
        assert other.ask("SELECT velocity, filename FROM ext_e1 ORDER BY e1_id") == [
            (0.75, "/data/two.csv"),
            (1.5, "/data/three.csv"),
        ]
    finally:
        other.server.end()
