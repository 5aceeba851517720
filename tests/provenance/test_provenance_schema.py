"""The tables: DfAnalyzer's with its columns first, explained, drawn, listed, and completed in databases of before."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from provenance_parts import T0, TUTORIAL, Asker, Database, Device, begin, end

from e2c.provenance.connections import connect
from e2c.provenance.dataflows import reference, schema
from e2c.provenance.dataflows.reference import PUBLISHED, REFERENCES, Table
from e2c.provenance.folder import DataFolder
from e2c.provenance.names import literal
from e2c.provenance.queries import ask as ask_reader
from e2c.provenance.storing.store import Store
from provlight.wire import TASK_BEGIN, Record

pytestmark = pytest.mark.monetdb

ROOT = Path(__file__).parents[2]
FIRST = Path(__file__).with_name("schema_of_the_first_version.sql")


@pytest.fixture(scope="module")
def described() -> list[Table]:
    return reference.read()


def test_published_tables_have_the_published_columns_first(described: list[Table]) -> None:
    found = {table.name: [column.name for column in table.columns] for table in described}
    for name, columns in PUBLISHED.items():
        published = columns.split()
        assert found[name][: len(published)] == published, name


def test_every_table_and_column_is_explained_in_the_database(described: list[Table]) -> None:
    explained = [table for table in described if table.name in schema.names()]
    assert {table.name for table in explained} == schema.names()
    assert [table.name for table in explained if not table.meaning] == []
    missing = [f"{table.name}.{column.name}" for table in explained for column in table.columns if not column.meaning]
    assert missing == [], "write their meaning into e2c/provenance/dataflows/meanings.sql"


def test_what_refers_to_something_is_drawn(described: list[Table]) -> None:
    names = {table.name for table in described}
    assert set(REFERENCES.values()) <= names
    referring = {
        column.name for table in described for column in table.columns if column.name.endswith(("_id", "_version"))
    }
    assert referring <= set(REFERENCES), "say in e2c/provenance/dataflows/reference.py what these refer to"


def test_page_and_diagram_are_made_from_this_schema(described: list[Table]) -> None:
    page = (ROOT / "docs" / "reference" / "database.md").read_text(encoding="utf-8")
    advice = "run `python -m e2c.provenance.dataflows.reference docs`"
    assert reference.merged(page, reference.markdown(described)) == page, advice
    assert (ROOT / "docs" / "images" / "schema.svg").read_text(encoding="utf-8") == reference.drawn(described), advice


def test_the_reader_sees_tables_views_and_their_meanings(database: Database, store: Store) -> None:
    store.store([Device().batch(begin(1, 1, 2, 3, 4))])
    with ask_reader(
        database.folder,
        "SELECT t.name FROM sys.tables t JOIN sys.schemas s ON s.id = t.schema_id WHERE s.name = 'public' ORDER BY 1",
    ) as answer:
        listed = {name for (name,) in answer.rows}
    sets = {"training_input", "training_output"}
    assert set(PUBLISHED) | {f"ds_{name}" for name in sets} | sets <= listed
    with ask_reader(
        database.folder,
        "SELECT c.remark FROM sys.comments c JOIN sys.tables t ON t.id = c.id WHERE t.name = 'task'",
    ) as answer:
        assert [remark for (remark,) in answer.rows] == ["One execution of a transformation."]


def test_the_added_columns_answer(store: Store, ask: Asker) -> None:
    device = Device(host="node-7")
    part = begin("part", at=T0 + 1)._replace(extras={"parent": "whole", "parent_transformation": "training"})
    store.store([device.batch(begin("whole", 1, 2, 3, 4), part, end("part", error="ValueError: no"))])
    client = store._clients[device.user, device.name].id
    rows = ask(
        "SELECT p.starttime, p.started, p.endtime, t.status, c.host, t.computing_resource, p.method, "
        "p.subtask_id IS NULL FROM performance p JOIN task t ON t.id = p.id JOIN client c ON c.id = t.client_id "
        f"WHERE c.id = {client} ORDER BY p.id"
    )
    assert [(row[0], str(row[1]), *row[3:]) for row in rows] == [
        (
            "2026-01-02 03:04:05.000006",
            "2026-01-02 03:04:05.000006",
            "RUNNING",
            "node-7",
            "node-7",
            "COMPUTATION",
            True,
        ),
        (
            "2026-01-02 03:04:05.000007",
            "2026-01-02 03:04:05.000007",
            "FAILED",
            "node-7",
            "node-7",
            "COMPUTATION",
            False,
        ),
    ]
    assert rows[1][2] == "2026-01-02 03:04:06.500006"


# ------------------------------------------------------------------------------------------- databases of before

MAKE = """
import json, sys
from pathlib import Path
from e2c.provenance.serving import libmonetdb
from e2c.provenance.serving.engine import Engine
from e2c.provenance.folder import DataFolder
folder = DataFolder(Path(sys.argv[1]))
engine = Engine(libmonetdb.locate(), folder.farm, folder.log("monetdb"))
for statement in json.load(sys.stdin):
    engine.execute(statement)
engine.close()
"""


def of_the_first_version(root: Path, statements: list[str]) -> DataFolder:
    """A data folder as the first version left it."""
    folder = DataFolder(root)
    folder.make()
    folder.passwords()
    text = FIRST.read_text(encoding="utf-8")
    tables = [line.strip().rstrip(";") for line in text.splitlines() if line.startswith("CREATE")]
    script = ['CREATE SCHEMA IF NOT EXISTS "public"', *tables, *statements]
    subprocess.run(
        [sys.executable, "-c", MAKE, str(root)], input=json.dumps(script), text=True, check=True, timeout=120
    )
    return folder


def test_a_database_of_the_first_version_is_completed_and_goes_on(tmp_path: Path) -> None:
    document = json.dumps({**TUTORIAL, "note": "the first version kept what it did not know"}, sort_keys=True)
    digest = hashlib.sha256(document.encode()).hexdigest()
    inputs = [one["name"] for one in TUTORIAL["transformations"][0]["sets"][0]["attributes"]]
    outputs = [one["name"] for one in TUTORIAL["transformations"][0]["sets"][1]["attributes"]]
    statements = [
        "CREATE SCHEMA model_training",
        "INSERT INTO \"public\".dataflow VALUES (1, 'model_training', true, 'model_training')",
        f'INSERT INTO "public".dataflow_version VALUES (1, 1, {literal(digest)}, {literal(document)}, now())',
        "INSERT INTO \"public\".data_transformation VALUES (1, 1, 'training', true)",
        "INSERT INTO \"public\".data_set VALUES (1, 1, 'training_input', true, 'ds_training_input', 'training_input'), "
        "(2, 1, 'training_output', true, 'ds_training_output', 'training_output')",
        "INSERT INTO \"public\".data_dependency VALUES (1, 1, NULL, 2, 'training_task_id', NULL), "
        "(2, NULL, 1, 1, NULL, 'training_task_id')",
        'INSERT INTO "public".attribute VALUES '
        + ", ".join(f"({n}, 1, NULL, '{name}', 'NUMERIC', {n}, '{name}')" for n, name in enumerate(inputs, 1))
        + ", "
        + ", ".join(f"({n + 4}, 2, NULL, '{name}', 'NUMERIC', {n}, '{name}')" for n, name in enumerate(outputs, 1)),
        f'CREATE TABLE "public".ds_training_input (id INTEGER NOT NULL, training_task_id INTEGER{_doubles(inputs)})',
        f'CREATE TABLE "public".ds_training_output (id INTEGER NOT NULL, training_task_id INTEGER{_doubles(outputs)})',
        'CREATE VIEW "public".training_input AS SELECT * FROM "public".ds_training_input',
        'CREATE VIEW "public".training_output AS SELECT * FROM "public".ds_training_output',
        'INSERT INTO "public".ds_training_input VALUES (1, 1, 3, 16, 1, 2)',
        "INSERT INTO \"public\".task VALUES (1, 7, 1, 1, 'RUNNING', NULL, 'old', NULL, NULL, 1, '7', now(), NULL)",
        "INSERT INTO \"public\".client VALUES (1, 'edge', 'old', NULL, NULL, now(), now(), 4, 4, 4, 0, 0)",
        "INSERT INTO \"public\".file VALUES (1, 1, 'a.csv', '/data/a.csv')",
    ]
    of_the_first_version(tmp_path / "data", statements)
    server = Database(tmp_path / "data")
    try:
        store = server.store()
        device = Device()
        store.store([device.batch(begin(8, 5, 6, 7, 8))])
        store.close()
        connection = connect(server.folder)
        ask = Asker(connection)
        assert ask("SELECT version FROM dataflow_version") == [(1,)]
        assert ask("SELECT * FROM training_input ORDER BY id") == [(1, 1, 3, 16, 1, 2), (2, 2, 5, 6, 7, 8)]
        assert ask("SELECT id, key, status, workflow, parent_id FROM task ORDER BY id") == [
            (1, "7", "RUNNING", None, None),
            (2, "8", "RUNNING", "model_training", None),
        ]
        assert ask("SELECT id, name, digest FROM file") == [(1, "a.csv", None)]
        # Both have the same columns now, wherever the later ones came from.
        fresh = {table.name: [column.name for column in table.columns] for table in reference.read()}
        for name in sorted(schema.names()):
            cursor = connection.cursor()
            cursor.execute(f'SELECT * FROM "public".{name}')
            assert [column[0] for column in cursor.description] == fresh[name]
        connection.close()
    finally:
        server.end()


def test_a_set_gives_way_to_a_later_table_of_its_name(tmp_path: Path) -> None:
    """A set could take the name of a table that the program of then did not have."""
    statements = [
        'DROP TABLE "public".loss',
        'DROP VIEW "public".undeclared',
        "INSERT INTO \"public\".dataflow VALUES (1, 'other', false, NULL)",
        'INSERT INTO "public".dataflow_version VALUES (1, 1, NULL, NULL, now())',
    ]
    for number, tag in enumerate(("loss", "undeclared"), 1):
        statements += [
            f"INSERT INTO \"public\".data_set VALUES ({number}, 1, '{tag}', false, 'ds_{tag}', '{tag}')",
            f"INSERT INTO \"public\".attribute VALUES ({number}, {number}, NULL, 'v', 'NUMERIC', 1, 'v')",
            f'CREATE TABLE "public".ds_{tag} (id INTEGER NOT NULL, v DOUBLE)',
            f'INSERT INTO "public".ds_{tag} VALUES (1, 0.5)',
            f'CREATE VIEW "public".{tag} AS SELECT id, v FROM "public".ds_{tag}',
        ]
    of_the_first_version(tmp_path / "data", statements)
    server = Database(tmp_path / "data")
    try:
        store = server.store()
        device = Device()
        shape = begin(1, v=1.5).sets[0][0]._replace(tag="loss")
        store.store([device.batch(Record(TASK_BEGIN, "other", "t", 1, T0, (), "", [(shape, [1.5])]))])
        store.close()
        connection = connect(server.folder)
        ask = Asker(connection)
        assert ask("SELECT count(first_seq) FROM loss") == [(0,)]
        assert ask("SELECT data_set FROM undeclared WHERE data_set IS NOT NULL ORDER BY 1") == [
            ("loss",),
            ("undeclared",),
        ]
        assert ask("SELECT tag, table_name, view_name FROM data_set WHERE df_id = 1 ORDER BY id") == [
            ("loss", "ds_loss", None),
            ("undeclared", "ds_undeclared", None),
        ]
        assert ask("SELECT v FROM ds_loss ORDER BY id") == [(0.5,), (1.5,)]
        connection.close()
    finally:
        server.end()


def _doubles(names: list[Any]) -> str:
    return "".join(f", {name} DOUBLE" for name in names)
