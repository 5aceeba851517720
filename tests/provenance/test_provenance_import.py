"""What was dumped or exported comes back whole into a new data folder, and nothing else gets in."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from export_parts import make_odd_database
from provenance_parts import Asker, Database, Device, Service, begin, end

from e2c.errors import ProvenanceError
from e2c.provenance.__main__ import main
from e2c.provenance.connections import connect
from e2c.provenance.copies.dump import dump
from e2c.provenance.copies.restore import restore
from e2c.provenance.export.formats import export
from e2c.provenance.export.selection import Selection
from e2c.provenance.export.snapshot import describe
from e2c.provenance.folder import DataFolder
from e2c.provenance.queries import ask as answer

pytestmark = pytest.mark.monetdb


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = make_odd_database(tmp_path_factory.mktemp("import") / "data")
    try:
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def dumped(database: Database) -> bytes:
    out = io.BytesIO()
    dump(database.folder, out)
    return out.getvalue()


@pytest.fixture(scope="module")
def csv(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("csv") / "csv"
    export(database.folder, "csv", str(folder))
    return folder


def tables(folder: DataFolder) -> dict[str, list[str]]:
    """Every row of every table and view, floats bit for bit."""
    connection = connect(folder)
    try:
        ask = Asker(connection)
        return {
            one.target: sorted(map(repr, ask(one.ordered(sorted(column.name for column in one.columns)).select)))
            for one in list(describe(connection))
        }
    finally:
        connection.close()


def imported(folder: DataFolder) -> dict[str, list[str]]:
    server = Database(folder.root)
    try:
        return tables(server.folder)
    finally:
        server.end()


def test_a_dump_comes_back_row_for_row(database: Database, dumped: bytes, tmp_path: Path) -> None:
    file = tmp_path / "dump.sql"
    file.write_bytes(dumped)
    target = DataFolder(tmp_path / "new")
    done = restore(target, file)
    expected = tables(database.folder)
    assert imported(target) == expected
    stored = {name: rows for name, rows in expected.items() if f"CREATE TABLE {name} " in dumped.decode()}
    assert done == (len(stored), sum(map(len, stored.values())))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.sql", "new"]


def test_csv_files_come_back_row_for_row(database: Database, csv: Path, tmp_path: Path) -> None:
    target = DataFolder(tmp_path / "new")
    target.root.mkdir()
    restore(target, csv)
    assert imported(target) == tables(database.folder)


def test_an_import_that_is_killed_leaves_nothing_for_long(dumped: bytes, tmp_path: Path) -> None:
    """Killed at once when its folder appears; the next one takes the leftovers away."""
    file = tmp_path / "dump.sql"
    file.write_bytes(dumped)
    command = [sys.executable, "-m", "e2c.provenance", "import", "--data", str(tmp_path / "new"), str(file)]
    with subprocess.Popen(command) as process:
        while not list(tmp_path.glob(".new.*.part")):
            assert process.poll() is None
        process.kill()
    assert not (tmp_path / "new").exists()
    restore(DataFolder(tmp_path / "new"), file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.sql", "new"]


def test_what_was_imported_answers_without_a_service(dumped: bytes, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "dump.sql"
    file.write_bytes(dumped)
    data = str(tmp_path / "new")
    assert main(["import", "--data", data, str(file)]) == 0
    assert "tables of" in capsys.readouterr().err
    assert main(["query", "--data", data, "--format", "csv", "SELECT count(*) FROM training_input"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "17"
    assert main(["list", "--data", data]) == 0
    again = io.BytesIO()
    dump(DataFolder(tmp_path / "new"), again)
    first, *rest = dumped.split(b";\n")
    del first
    assert again.getvalue().split(b";\n")[1:] == rest


@pytest.mark.broker
def test_a_service_goes_on_where_the_imported_one_ended(tmp_path: Path) -> None:
    server = Database(tmp_path / "first")
    store = server.store()
    device = Device()
    store.store([device.batch(begin(1, 1, 2, 3, 4), end(1, 0.5, 1))])
    store.close()
    file = tmp_path / "dump.sql"
    with file.open("wb") as out:
        dump(server.folder, out)
    server.end()
    restore(DataFolder(tmp_path / "data"), file)
    service = Service(tmp_path)  # serves tmp_path / "data"
    try:
        store = _store(service.folder)
        # The client's next batch is the second one, also for the new service.
        store.store([device.batch(begin(2, 5, 6, 7, 8)), Device(name="new").batch(begin(3))])
        store.close()
        with answer(service.folder, "SELECT id, key, client_id FROM task ORDER BY id") as found:
            assert list(found.rows) == [(1, "1", 1), (2, "2", 1), (3, "3", 2)]
        with answer(service.folder, "SELECT id, training_task_id FROM training_input ORDER BY id") as found:
            assert list(found.rows) == [(1, 1), (2, 2)]
        with answer(service.folder, "SELECT last_seq, stored, lost FROM client ORDER BY id") as found:
            assert list(found.rows) == [(2, 3, 0), (1, 1, 0)]
    finally:
        service.end()


def _store(folder: DataFolder) -> Any:
    from e2c.provenance.storing.store import Store

    store = Store(folder)
    store.open()
    return store


# ------------------------------------------------------------------------------------------------- what is refused


def refused(tmp_path: Path, content: bytes, message: str) -> str:
    file = tmp_path / "dump.sql"
    file.write_bytes(content)
    target = tmp_path / "new"
    with pytest.raises(ProvenanceError, match=message) as caught:
        restore(DataFolder(target), file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump.sql"]
    words = str(caught.value)
    assert "\n" not in words
    return words


def cut(dumped: bytes, start: bytes) -> int:
    return dumped.index(start)


def test_a_folder_with_something_in_it_is_refused(dumped: bytes, tmp_path: Path) -> None:
    file = tmp_path / "dump.sql"
    file.write_bytes(dumped)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("precious")
    with pytest.raises(ProvenanceError, match="holds something already"):
        restore(DataFolder(tmp_path / "data"), file)
    assert (tmp_path / "data" / "mine").read_text() == "precious"


def test_a_file_that_is_cut_off_is_refused(dumped: bytes, tmp_path: Path) -> None:
    """Wherever it ends: in the head, in a row, between rows, between tables, before the views, in the last one."""
    ends = {
        40: "first line is cut off",
        cut(dumped, b'CREATE TABLE "public"."task" (') + 30: "in the middle of a statement",
        cut(dumped, b'INSERT INTO "public"."task" VALUES') + 60: "in the middle of a row",
        cut(dumped, b'CREATE TABLE "public"."task" ('): "ends too early",
        len(dumped) - 10: "in the middle of a statement",
        dumped.lower().rindex(b"\ncreate") + 1: "ends too early",
    }
    for place, message in ends.items():
        words = refused(tmp_path, dumped[:place], message)
        line = dumped[:place].count(b"\n") + (1 if dumped[place - 1 : place] != b"\n" else 0)
        assert f"dump.sql:{line}:" in words, (place, words)


def test_rows_that_are_missing_are_counted(dumped: bytes, tmp_path: Path) -> None:
    start = cut(dumped, b'INSERT INTO "public"."task_dependency" VALUES\n')
    stop = dumped.index(b";\n", start) + 2
    refused(tmp_path, dumped[:start] + dumped[stop:], "'task_dependency' has 0 rows, not")


FOREIGN = (
    b"DROP TABLE task",
    b"CREATE USER eve WITH PASSWORD 'x' NAME 'x' SCHEMA sys",
    b"ALTER USER monetdb WITH PASSWORD 'x'",
    b"SELECT * FROM task",
    b"COPY SELECT 1 INTO '/tmp/x'",
    b"CREATE FUNCTION f() RETURNS INT EXTERNAL NAME mapi.listen",
    b"SET SCHEMA sys",
    b"CALL sys.shutdown(0)",
    b'CREATE TABLE "sys"."x" ("id" INTEGER)',
    b'CREATE TABLE "public"."x" ("id" INTEGER)',
    b'CREATE TABLE "public"."ds_x" AS SELECT 1',
    b'INSERT INTO "sys"."auths" VALUES\n(1)',
    b'INSERT INTO "public"."client" SELECT 1',
)


@pytest.mark.parametrize("statement", FOREIGN, ids=[statement.decode()[:30] for statement in FOREIGN])
def test_foreign_statements_are_refused(dumped: bytes, tmp_path: Path, statement: bytes) -> None:
    place = cut(dumped, b'CREATE TABLE "public"."task" (')
    content = dumped[:place] + statement + b";\n" + dumped[place:]
    line = dumped[:place].count(b"\n") + 1
    assert f"dump.sql:{line}:" in refused(tmp_path, content, "damaged")


@pytest.mark.parametrize(
    "value", [b"(SELECT 1)", b"1+1", b"current_user", b"'x' || 'y'", b"sys.shutdown()", b"", b"1e5", b"E'x'", b"0x1"]
)
def test_values_that_are_no_literals_are_refused(dumped: bytes, tmp_path: Path, value: bytes) -> None:
    start = cut(dumped, b'INSERT INTO "public"."client" VALUES\n')
    row = dumped.index(b"(", start)
    comma = dumped.index(b",", row)
    refused(tmp_path, dumped[: row + 1] + value + dumped[comma:], "no row of")


def test_a_table_of_nobody_is_refused(dumped: bytes, tmp_path: Path) -> None:
    """Also where the first line lists it."""
    head, _, rest = dumped.partition(b"\n")
    head = head.replace(b'"rows": {', b'"rows": {"\\"public\\".\\"mine\\"": 0, ')
    made = b'CREATE TABLE "public"."mine" ("id" INTEGER NOT NULL);\n'
    place = rest.index(b'CREATE TABLE "public"."ds_')
    refused(tmp_path, head + b"\n" + rest[:place] + made + rest[place:], "'mine' is none of this service")
    made = b'CREATE TABLE "sys"."mine" ("id" INTEGER NOT NULL);\n'
    head = head.replace(b'public\\".\\"mine', b'sys\\".\\"mine')
    refused(tmp_path, head + b"\n" + rest[:place] + made + rest[place:], 'there is a table "sys"')


def test_other_sql_and_later_formats_are_refused(dumped: bytes, tmp_path: Path) -> None:
    refused(tmp_path, b"CREATE TABLE x (id INT);\n", "no dump of")
    refused(tmp_path, b"", "no dump of")
    later = dumped.replace(b'"format": 1', b'"format": 2', 1)
    refused(tmp_path, later, "format 2, and this version reads format 1")
    head, _, rest = dumped.partition(b"\n")
    wider = rest.replace(b'"public"."loss" (', b'"public"."loss" ("new" INTEGER, ', 1)
    refused(tmp_path, head + b"\n" + wider, "'new', which this version does not know")


def test_a_dump_of_an_earlier_schema_is_taken(tmp_path: Path) -> None:
    """Columns that came later are empty."""
    head = {
        "format": 1,
        "e2c": "0.0.1",
        "made": "2026-01-01T00:00:00+00:00",
        "rows": {'"public"."workflow"': 1},
        "views": [],
    }
    file = tmp_path / "dump.sql"
    file.write_text(
        f"-- e2c provenance dump {json.dumps(head)}\n"
        'CREATE SCHEMA IF NOT EXISTS "public";\nSET SCHEMA "public";\n'
        'CREATE TABLE "public"."workflow" ("id" INTEGER NOT NULL, "df_version" INTEGER NOT NULL, "tag" TEXT);\n'
        'INSERT INTO "public"."workflow" VALUES\n(7,1,\'w\');\n'
    )
    restore(DataFolder(tmp_path / "new"), file)
    with answer(DataFolder(tmp_path / "new"), "SELECT id, tag, status FROM workflow") as found:
        assert list(found.rows) == [(7, "w", None)]


def test_a_csv_folder_that_is_not_whole_is_refused(csv: Path, tmp_path: Path) -> None:
    def with_change(change: Any, message: str) -> None:
        copy = tmp_path / "csv"
        shutil.copytree(csv, copy)
        change(copy)
        with pytest.raises(ProvenanceError, match=message):
            restore(DataFolder(tmp_path / "new"), copy)
        assert not (tmp_path / "new").exists()
        shutil.rmtree(copy)

    def described(folder: Path, old: str, new: str) -> None:
        file = folder / "datapackage.json"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    with_change(lambda folder: (folder / "datapackage.json").unlink(), "has no datapackage.json")
    with_change(lambda folder: (folder / "datapackage.json").write_text("{"), "cannot be read")
    with_change(lambda folder: (folder / "datapackage.json").write_text("{}"), "not one of this service")
    with_change(lambda folder: (folder / "task.csv").unlink(), "file of the folder is missing")
    with_change(lambda folder: (folder / "task.csv").write_text("id\n"), "not the one that was exported.*SHA-256")
    with_change(lambda folder: described(folder, '"rows": 1,', '"rows": 2,'), "rows, not 2")
    with_change(lambda folder: described(folder, '"format": 1', '"format": 2'), "reads format 1")
    with_change(lambda folder: described(folder, '"BIGINT"', '"INTEGER"'), "is INTEGER, not BIGINT")


def test_a_selection_is_no_database(database: Database, tmp_path: Path) -> None:
    export(database.folder, "csv", str(tmp_path / "csv"), Selection(workflow="other-flow"))
    with pytest.raises(ProvenanceError, match=r"holds a selection of tasks.*without --workflow, --dataflow, --run"):
        restore(DataFolder(tmp_path / "new"), tmp_path / "csv")
    # as in the folder of each of several runs: the dump lies in that of the experiment
    dump = tmp_path / "provenance-data" / "provenance_database.sql"
    dump.parent.mkdir()
    dump.touch()
    for run in ("large", "repeat-2/large"):
        folder = tmp_path / run / "provenance-data"
        shutil.copytree(tmp_path / "csv", folder)
        with pytest.raises(ProvenanceError, match=f"holds a selection of tasks.*Import {dump}, which is whole"):
            restore(DataFolder(tmp_path / "new"), folder)
