"""A dump restores the same rows into an empty MonetDB, whatever they hold and whatever arrives meanwhile."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from export_parts import FLOATS, make_odd_database
from provenance_parts import Asker, Database, Device, PlainServer, Publisher, Service, begin, client_row, end

from e2c.errors import ProvenanceError
from e2c.provenance.connections import connect
from e2c.provenance.copies.dump import HEAD, dump
from e2c.provenance.export.output import whole_file
from e2c.provenance.export.snapshot import describe
from provlight.wire import TASK_END, Record, SetShape

pytestmark = pytest.mark.monetdb


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = make_odd_database(tmp_path_factory.mktemp("dump") / "data")
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


def load(server: PlainServer, text: str) -> Asker:
    """Execute a dump statement by statement, as any client of MonetDB would."""
    asker = Asker(server.connect())
    statements = text.split(";\n")
    assert statements.pop() == ""
    for statement in statements:
        asker(statement)
    return asker


def test_a_dump_restores_row_for_row(database: Database, ask: Asker, plain_server: PlainServer) -> None:
    out = io.BytesIO()
    rows = dump(database.folder, out)
    text = out.getvalue().decode()
    head = json.loads(text.splitlines()[0].removeprefix(HEAD))
    assert head["format"] == 1
    other = load(plain_server, text)
    try:
        expected, restored = contents(ask), contents(other)
        assert restored == expected
        tables = [table for table in describe(ask.connection) if table.query is None]
        assert rows == sum(len(expected[table.target]) for table in tables)
        assert head["rows"] == {table.target: len(expected[table.target]) for table in tables}
        assert other("SELECT count(*) FROM training_input") == [(len(FLOATS) + 1,)]
        assert other('SELECT count(*) FROM "other-flow".training_input') == [(1,)]
        values = {repr(row[0]) for row in other("SELECT kernel_size FROM training_input")}
        assert {"inf", "-inf", "5e-324", "2.2250738585072014e-308", "0.3333333333333333", "-0.0"} <= values
    finally:
        other.connection.close()


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


@pytest.mark.broker
def test_dumps_are_consistent_while_devices_send_at_full_speed(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Of each client a dump holds a whole number of batches, with all of their rows, in every table."""
    service = serve()
    per_batch, batches = 20, 150
    publishers = [Publisher(Device(), "127.0.0.1", service.port) for _ in range(3)]

    def send(publisher: Publisher) -> None:
        for number in range(batches):
            keys = range(number * per_batch, (number + 1) * per_batch)
            publisher.send(
                publisher.device.batch(*(one for key in keys for one in (begin(key, key, 1, 2, 3), end(key, key, 0.5))))
            )
            publisher.pause(0.005)
        publisher.finish(120)

    threads = [threading.Thread(target=send, args=(publisher,)) for publisher in publishers]
    for thread in threads:
        thread.start()
    dumps = []
    try:
        while any(thread.is_alive() for thread in threads) and len(dumps) < 12:
            out = io.BytesIO()
            dump(service.folder, out)
            dumps.append(out.getvalue().decode())
    finally:
        for thread in threads:
            thread.join(180)
        for publisher in publishers:
            publisher.close()
    moments = []
    for number, text in enumerate([dumps[0], dumps[len(dumps) // 2], dumps[-1]]):
        server = PlainServer(tmp_path / f"plain{number}")
        try:
            other = load(server, text)
            stored = 0
            for publisher in publishers:
                where = f"client = '{publisher.device.name}'"
                if not other(f"SELECT id FROM client WHERE {where}"):
                    continue
                last, received, kept, rejected, lost = client_row(other, publisher.device)
                assert (kept, rejected, lost) == (received, 0, 0)
                assert kept == last * per_batch * 2
                mine = f"FROM task WHERE client_id = (SELECT id FROM client WHERE {where})"
                keys = other(f"SELECT identifier, status {mine} ORDER BY id")
                assert keys == [(key, "FINISHED") for key in range(last * per_batch)]
                for view in ("training_input", "training_output"):
                    assert other(f"SELECT count(*) FROM {view} WHERE training_task_id IN (SELECT id {mine})") == [
                        (last * per_batch,)
                    ]
                stored += last
            moments.append(stored)
            other.connection.close()
        finally:
            server.end()
    assert moments == sorted(moments)
    assert moments[0] < 3 * batches, "the first dump was made when everything had arrived"


def test_a_dump_of_an_empty_database_restores(tmp_path: Path, plain_server: PlainServer) -> None:
    server = Database(tmp_path / "empty", [])
    try:
        out = io.BytesIO()
        assert dump(server.folder, out) == 0
    finally:
        server.end()
    other = load(plain_server, out.getvalue().decode())
    try:
        assert other("SELECT count(*) FROM task") == [(0,)]
    finally:
        other.connection.close()


@pytest.mark.parametrize("form", ["dump", "prov-json", "csv", "parquet", "openlineage"])
def test_a_full_disk_leaves_no_half_file(database: Database, tmp_path: Path, form: str) -> None:
    """The limit on the size of a file stands for the disk: the kernel refuses the write in the same place."""
    target = tmp_path / "target"
    if form not in ("csv", "parquet"):
        target.write_text("the earlier one")
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "from e2c.provenance.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = ["dump"] if form == "dump" else ["export", "--format", form]
    command += ["--data", str(database.folder.root), "--output", str(target)]
    done = subprocess.run(
        [sys.executable, "-c", limited, *command], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert re.search(r"target: the output cannot be written: File too large", done.stderr)
    assert done.stderr.count("\n") == 1
    if form in ("csv", "parquet"):
        assert os.listdir(tmp_path) == []
    else:
        assert target.read_text() == "the earlier one"
        assert os.listdir(tmp_path) == ["target"]


def test_an_output_that_is_a_folder_or_has_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ProvenanceError, match="--output is a folder"), whole_file(tmp_path):
        pass
    with pytest.raises(ProvenanceError, match="cannot be written: No such file"), whole_file(tmp_path / "a" / "b"):
        pass


def test_a_dump_of_a_stopped_service_starts_the_database_for_this_time(tmp_path: Path) -> None:
    server = Database(tmp_path / "data")
    store = server.store()
    store.store([Device().batch(begin(1, 1, 2, 3, 4))])
    store.close()
    server.end()
    out = io.BytesIO()
    assert dump(server.folder, out) > 0
    with pytest.raises(ProvenanceError, match="the database does not answer"):
        connect(server.folder)


def test_commands_on_a_stopped_service_take_turns(tmp_path: Path) -> None:
    Database(tmp_path / "data").end()
    query = [
        sys.executable,
        "-m",
        "e2c.provenance",
        "query",
        "--data",
        str(tmp_path / "data"),
        "SELECT count(*) FROM task",
    ]
    running = [subprocess.Popen(query, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        out, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        assert out.splitlines()[-1].strip() == "0"


def test_progress_is_shown_on_a_terminal_only() -> None:
    from e2c.provenance.progress import Line

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, expected in ((Terminal(), "\r5 of 10 rows\x1b[K\r\x1b[K"), (io.StringIO(), "")):
        line = Line(stream)
        line.start(10, "rows")
        line.step(5)
        line.step(1)  # too soon
        line.clear()
        assert stream.getvalue() == expected


def test_a_folder_without_a_database_is_one_sentence(tmp_path: Path) -> None:
    from e2c.provenance.folder import DataFolder

    with pytest.raises(ProvenanceError, match="no provenance service has run here"):
        dump(DataFolder(tmp_path / "nothing"), io.BytesIO())
    assert not (tmp_path / "nothing").exists()


def test_the_database_survives_a_kill_in_the_middle_of_its_first_start(tmp_path: Path) -> None:
    """A first start that ends early leaves a database with known passwords: the next one must set them."""
    from provenance_parts import PLAIN_SERVER, Process

    folder = tmp_path / "data"
    (folder / "database").mkdir(parents=True)
    # As after a kill between the creation and the passwords: a server that never gets that far.
    unfinished = PLAIN_SERVER.replace('engine.execute("ALTER', '# ("ALTER')
    first = Process([sys.executable, "-c", unfinished, str(folder / "database")])
    first.end(9)
    server = Database(folder, [])
    try:
        from e2c.provenance.connections import dial

        port = int(server.ready.split()[1])
        with pytest.raises(ProvenanceError, match="invalid credentials"):
            dial(port, "monetdb", "monetdb")
        connect(server.folder).close()
    finally:
        server.end()
