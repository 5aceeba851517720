"""An existing MonetDB server instead of our own: prepared, left alone when it is somebody else's, waited for."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from provenance_application import command
from provenance_parts import PLAIN_SERVER, Device, PlainServer, Process, Publisher, Service, begin, end

from e2c.errors import ProvenanceError, QueryError
from e2c.provenance import dsn
from e2c.provenance.folder import DataFolder
from e2c.provenance.queries import ask
from e2c.provenance.reporting.status import drain, report

URL = "monetdb://monetdb:plain@127.0.0.1:{}/dataflow_analyzer"

AGAIN = PLAIN_SERVER.replace("listen(engine, 0)", "listen(engine, int(sys.argv[2]))").replace(
    'engine.execute("ALTER USER', 'None and ("ALTER USER'
)
"""The same server once more, at the port that it had."""


def private(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return str(path)


@pytest.fixture
def plain(plain_server: PlainServer, tmp_path: Path) -> str:
    """Path of a file with the server's URL."""
    return private(tmp_path / "dsn", URL.format(plain_server.port))


@pytest.fixture
def server_again(plain_server: PlainServer) -> Iterator[Callable[[], None]]:
    started: list[Process] = []

    def start() -> None:
        root = str(plain_server.process.args[3])  # type: ignore[index]
        started.append(Process([sys.executable, "-c", AGAIN, root, str(plain_server.port)]))

    yield start
    for server in started:
        server.end()


def send(service: Service, *numbers: int) -> None:
    device = Device()
    publisher = Publisher(device, "127.0.0.1", service.port)
    try:
        for number in numbers:
            publisher.send(device.batch(begin(number, number, 2, 3, 4), end(number, 0.5, 1.0)))
        publisher.finish(30)
    finally:
        publisher.close()


def rows(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    with ask(folder, sql) as answer:
        return list(answer.rows)


@pytest.mark.broker
@pytest.mark.monetdb
def test_records_go_to_the_server_and_every_command_works(
    serve: Callable[..., Service], plain: str, plain_server: PlainServer, tmp_path: Path
) -> None:
    service = serve("--dsn", plain)
    folder = service.folder
    expected = f"monetdb://127.0.0.1:{plain_server.port}/dataflow_analyzer"
    assert service.information["endpoints"]["database"] == expected
    send(service, 1, 2)
    drain(folder, 30)
    assert rows(folder, "SELECT kernel_size FROM training_input ORDER BY 1") == [(1.0,), (2.0,)]
    assert report(folder)["healthy"]
    assert not folder.farm.exists()
    dumped = command("dump", folder, "--output", str(tmp_path / "dump.sql"))
    assert dumped.returncode == 0
    assert "training_input" in (tmp_path / "dump.sql").read_text()
    for statement in ("DELETE FROM task", "SELECT * FROM sys.queue()", "SELECT * FROM sys.sessions", "CREATE SCHEMA x"):
        with pytest.raises(QueryError):
            rows(folder, statement)
    assert plain_server.process.poll() is None
    lines = "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in service.children().values())
    environments = "".join(Path(f"/proc/{pid}/environ").read_text() for pid in service.children().values())
    assert service.end() == 0

    for text in (lines, environments, service.ready):
        assert "plain@" not in text
    holders = [path for path in folder.root.rglob("*") if path.is_file() and ':"plain"' in _squeezed(path)]
    assert holders == [folder.external]
    assert folder.external.stat().st_mode & 0o777 == 0o600
    # Without --dsn the folder goes on with its server.
    again = serve(port=service.port)
    assert again.information["endpoints"]["database"] == expected
    send(again, 3)
    assert rows(again.folder, "SELECT count(*) FROM task") == [(3,)]


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_server_that_goes_away_is_waited_for(
    serve: Callable[..., Service], plain: str, plain_server: PlainServer, server_again: Callable[[], None]
) -> None:
    service = serve("--dsn", plain)
    device = Device()
    publisher = Publisher(device, "127.0.0.1", service.port)
    try:
        publisher.send(device.batch(begin(1, 1, 2, 3, 4)))
        publisher.finish(30)
        plain_server.process.send_signal(signal.SIGKILL)
        plain_server.process.wait(30)
        for number in range(2, 30):
            publisher.send(device.batch(begin(number, 1, 2, 3, 4)))
        publisher.pause(3)
        found = report(service.folder)
        assert not found["healthy"]
        assert found["health"] == {"broker": True, "database": False, "translator": False}
        assert service.process.poll() is None
        server_again()
        publisher.finish(60)
    finally:
        publisher.close()
    assert rows(service.folder, "SELECT count(*), count(DISTINCT key) FROM task") == [(29, 29)]
    assert "the MonetDB server is gone" in service.folder.log("database").read_text()
    assert {child["restarts"] for child in report(service.folder)["children"]} == {0}


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_database_has_one_writer(serve: Callable[..., Service], plain: str, tmp_path: Path) -> None:
    service = serve("--dsn", plain)
    other = DataFolder(tmp_path / "other")
    refused = command("serve", other, "--dsn", plain, "--mqtt-port", "0")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "the database belongs to another provenance service" in refused.stderr
    assert str(service.folder.root) in refused.stderr
    assert not other.external.exists()
    assert report(service.folder)["healthy"]


@pytest.mark.monetdb
@pytest.mark.broker
@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (['CREATE SCHEMA "public"', 'CREATE TABLE "public".task (a INT)'], "has a table 'task' that is not ours"),
        (["CREATE USER reader WITH PASSWORD 'x' NAME 'x' SCHEMA sys"], "has a user 'reader' that is not ours"),
    ],
)
def test_what_is_not_ours_is_left_alone(
    tmp_path: Path, plain: str, plain_server: PlainServer, before: list[str], reason: str
) -> None:
    connection = plain_server.connect()
    for statement in before:
        connection.cursor().execute(statement.replace('"public".task', '"public"."task"'))
    connection.commit()
    refused = command("serve", DataFolder(tmp_path / "data"), "--dsn", plain, "--mqtt-port", "0")
    assert reason in refused.stderr
    assert refused.stderr.count("\n") == 1
    cursor = connection.cursor()
    cursor.execute(
        "SELECT count(*) FROM sys.tables AS t JOIN sys.schemas AS s ON s.id = t.schema_id WHERE s.name = 'public'"
    )
    assert cursor.fetchall() == [(len(before) - 1,)]
    connection.close()


@pytest.mark.monetdb
@pytest.mark.broker
def test_what_is_wrong_is_one_sentence(tmp_path: Path, plain_server: PlainServer) -> None:
    connection = plain_server.connect()
    for statement in (
        "CREATE USER lab WITH PASSWORD 'lab' NAME 'lab' SCHEMA sys",
        "ALTER USER lab WITH PASSWORD 'lab'",
    ):
        connection.cursor().execute(statement)
    connection.commit()
    connection.close()
    good = URL.format(plain_server.port)
    cases = {
        good.replace("plain@", "wrong-one@"): "refuses user 'monetdb': wrong name or password",
        good.replace("dataflow_analyzer", "elsewhere"): "does not have this database",
        URL.format(1): "does not answer: Connection refused",
        good.replace(
            "monetdb:plain", "lab:lab"
        ): "user 'lab' of --dsn cannot prepare the database: SELECT: access denied",
    }
    folder = DataFolder(tmp_path / "data")
    for url, reason in cases.items():
        refused = command("serve", folder, "--dsn", private(tmp_path / "dsn", url), "--mqtt-port", "0")
        assert refused.returncode == 1
        assert reason in refused.stderr
        assert refused.stderr.count("\n") == 1
        assert ".." not in refused.stderr
        assert "wrong-one" not in refused.stderr + folder.log("database").read_text()
        assert not folder.external.exists()  # a server with which it never started is not remembered


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_folder_keeps_its_own_database(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve()
    service.end()
    refused = command("serve", service.folder, "--dsn", private(tmp_path / "dsn", URL.format(1)), "--mqtt-port", "0")
    assert "this data folder has a database of its own" in refused.stderr


def test_where_the_url_comes_from(tmp_path: Path) -> None:
    expected = dsn.Server("::1", 50001, "flow", "user", "p@ss/word")
    url = "monetdb://user:p%40ss%2Fword@[::1]:50001/flow"
    environment = {dsn.VARIABLE: url, "OTHER": "x"}
    assert dsn.asked(None, environment) == expected
    assert environment == {"OTHER": "x"}  # no child inherits it
    assert dsn.asked(private(tmp_path / "dsn", url), {}) == expected
    assert dsn.asked(None, {}) is None
    assert expected.url() == "monetdb://[::1]:50001/flow"
    assert dsn.asked(private(tmp_path / "default", "monetdb://a:b@host/flow"), {}) == dsn.Server(
        *("host", 50000, "flow", "a", "b")
    )


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("monetdb://user:hidden@host:1/db", "everybody on this machine can read a command line"),
        ("monetdb://user@host:1/db", "names no password"),
        ("monetdb://host:1/db", "names no user"),
        ("nowhere", "neither a URL nor a file"),
    ],
)
def test_a_url_on_the_command_line(option: str, reason: str) -> None:
    with pytest.raises(ProvenanceError, match=reason) as refused:
        dsn.asked(option, {})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hidden",
        "postgres://u:hidden@h/db",
        "monetdb://u:hidden@h",
        "monetdb://u:hidden@h:x/db",
        "monetdb://u:hidden@h/a/b",
    ],
)
def test_a_wrong_url_is_not_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(ProvenanceError, match="not the URL of a MonetDB server") as refused:
        dsn.asked(private(tmp_path / "dsn", url), {})
    assert "hidden" not in str(refused.value)


def test_a_file_that_others_can_read(tmp_path: Path) -> None:
    path = private(tmp_path / "dsn", URL.format(1))
    os.chmod(path, 0o640)
    with pytest.raises(ProvenanceError, match="others can read it"):
        dsn.asked(path, {})


def _squeezed(path: Path) -> str:
    return path.read_text(errors="replace").replace(" ", "")
