"""A dump restores the same rows into an empty MonetDB; CSV files hold them exactly."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import pytest
from provenance_parts import TUTORIAL, Asker, Database, Device, PlainServer, begin, end, workflow

from e2c.provenance.connections import connect
from e2c.provenance.dump import describe, dump, export_csv
from provlight.wire import TASK_END, WORKFLOW_BEGIN, Record, SetShape

pytestmark = pytest.mark.monetdb

TEXTS = [
    "",
    "NULL",
    "it's",
    'say "so"',
    "semi;\ncolon",
    "back\\slash\\n",
    "tab\tbed",
    "\x01\x80\x9f",
    "日本語 🎉",
    "carriage\r\nreturn\r",
    None,
]
FLOATS = [
    0.1,
    2.5,
    1 / 3,
    5e-324,
    -1.7976931348623157e308,
    math.inf,
    -math.inf,
    math.nan,
    None,
    123456789012345678.0,
    -0.0,
]

OTHER = {**TUTORIAL, "tag": "other-flow"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = Database(tmp_path_factory.mktemp("dump") / "data", [TUTORIAL, OTHER])
    store = server.store()
    device = Device(host="höst")
    shape = SetShape("we;\nird 'set'", ("text", 'num"ber'), 2)
    store.store(
        [
            device.batch(
                workflow(WORKFLOW_BEGIN),
                *(begin(n, value, value, n, None, depends=[n - 1]) for n, value in enumerate(FLOATS)),
                *(end(n, error="Error: it's; \n broken" if n % 2 else "") for n in range(len(FLOATS))),
                begin("rejected", "no number", 1, 2, 3),
                *(
                    Record(TASK_END, "odd", "step", n, n, (), "", [(shape, pair)])
                    for n, pair in enumerate(zip(TEXTS, FLOATS, strict=True))
                ),
            ),
            device.batch(begin(1, 2, 3, 4, 5)._replace(workflow="other-flow")),
        ]
    )
    store.close()
    try:
        yield server
    finally:
        server.end()


def contents(ask: Asker) -> dict[str, list[str]]:
    """Every row of every table and view, floats bit for bit."""
    found = {}
    for table in list(describe(ask.connection)):
        found[table.target] = sorted(map(repr, ask(f"SELECT * FROM {table.target}")))
    return found


def test_a_dump_restores_row_for_row(database: Database, ask: Asker, plain_server: PlainServer) -> None:
    out = io.BytesIO()
    rows = dump(database.folder, out)
    connection = plain_server.connect()
    try:
        other = Asker(connection)
        text = out.getvalue().decode()
        assert text.startswith('CREATE SCHEMA IF NOT EXISTS "public";\nSET SCHEMA "public";\n')
        statements = text.split(";\n")
        assert statements.pop() == ""
        for statement in statements:
            other(statement)
        expected, restored = contents(ask), contents(other)
        assert restored == expected
        tables = [table for table in describe(ask.connection) if table.query is None]
        assert rows == sum(len(expected[table.target]) for table in tables)
        assert other("SELECT count(*) FROM training_input") == [(len(FLOATS),)]
        assert other('SELECT count(*) FROM "other-flow".training_input') == [(1,)]
        values = {repr(row[0]) for row in other("SELECT kernel_size FROM training_input")}
        assert {"inf", "-inf", "5e-324", "0.3333333333333333", "-0.0"} <= values
    finally:
        connection.close()


def test_a_dump_is_one_snapshot_while_records_arrive(database: Database) -> None:
    store = database.store()
    device = Device()

    class Out(io.BytesIO):
        arrived = False

        def write(self, data: Any) -> int:
            if not self.arrived and b'INTO "public"."task" ' in bytes(data):
                self.arrived = True
                shape = SetShape("made meanwhile", ("value",), 1)
                new = Record(TASK_END, "odd", "step", "new", 1, (), "", [(shape, [77.5])])
                store.store([device.batch(begin("late", 99, 99, 99, 99), new)])
                wider = SetShape("we;\nird 'set'", ("text", "wider"), 2)
                store.store([device.batch(Record(TASK_END, "odd", "step", "w", 1, (), "", [(wider, ["x", 55.5])]))])
            return super().write(data)

    out = Out()
    dump(database.folder, out)
    store.close()
    assert out.arrived
    assert b"'late'" not in out.getvalue()
    for value in (b"99e0", b"made meanwhile", b"wider", b"55.5"):
        assert value not in out.getvalue()
    again = io.BytesIO()
    dump(database.folder, again)
    assert b"'late'" in again.getvalue()
    for value in (b"99e0", b"made meanwhile", b"wider", b"55.5"):
        assert value in again.getvalue()


def test_csv_files_hold_every_value(database: Database, ask: Asker, tmp_path: Path) -> None:
    written = {path.name: path for path in export_csv(database.folder, tmp_path / "csv")}
    assert {"task.csv", "client.csv", "training_input.csv", "training_output.csv", "performance.csv"} <= set(written)
    name = next(name for name in written if name.startswith("we_"))
    with written[name].open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[2:4] == ["text", 'num"ber']
    del rows[len(TEXTS) :]
    assert [row[2] for row in rows] == [text or "" for text in TEXTS]
    assert [float(row[3]) if row[3] else None for row in rows] == [
        None if number is None or number != number else number for number in FLOATS
    ]
    # NULL and the empty text differ.
    raw = written[name].read_text(encoding="utf-8")
    assert '1,"",0.1' in raw.replace("\n", "|") or ',"",0.1' in raw
    assert raw.rstrip().endswith(",,-0") or ",,-0" in raw


def test_a_dump_of_an_empty_database_restores(tmp_path: Path, plain_server: PlainServer) -> None:
    server = Database(tmp_path / "empty", [])
    try:
        out = io.BytesIO()
        assert dump(server.folder, out) == 0
    finally:
        server.end()
    connection = plain_server.connect()
    try:
        other = Asker(connection)
        for statement in out.getvalue().decode().split(";\n")[:-1]:
            other(statement)
        assert other("SELECT count(*) FROM task") == [(0,)]
    finally:
        connection.close()


def test_the_database_survives_a_kill_in_the_middle_of_its_first_start(tmp_path: Path) -> None:
    """A first start that ends early leaves a database with known passwords: the next one must set them."""
    from provenance_parts import PLAIN_SERVER, Process

    folder = tmp_path / "data"
    (folder / "database").mkdir(parents=True)
    # As after a kill between the creation and the passwords: a server that never gets that far.
    unfinished = PLAIN_SERVER.replace('engine.execute("ALTER', '# ("ALTER')
    first = Process([__import__("sys").executable, "-c", unfinished, str(folder / "database")])
    first.end(9)
    server = Database(folder, [])
    try:
        from e2c.errors import ProvenanceError
        from e2c.provenance.connections import dial

        port = int(server.ready.split()[1])
        with pytest.raises(ProvenanceError, match="invalid credentials"):
            dial(port, "monetdb", "monetdb")
        connect(server.folder).close()
    finally:
        server.end()
