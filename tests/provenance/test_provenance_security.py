"""Who may do what: the read-only user, passwords, broker users, and where secrets lie."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from provenance_parts import Asker, Database, Device, Publisher, Service, begin

from e2c.errors import ProvenanceError, QueryError
from e2c.provenance.connections import dial
from e2c.provenance.folder import READER
from e2c.provenance.queries import ask as ask_reader
from e2c.provenance.storing.store import Store

REFUSED = [
    "DELETE FROM task",
    "UPDATE task SET status = 'x'",
    "INSERT INTO dataflow VALUES (99, 'x', true, NULL)",
    "TRUNCATE task",
    "DROP TABLE task",
    "DROP VIEW training_input",
    "DROP SCHEMA model_training CASCADE",
    "DROP USER monetdb",
    "ALTER TABLE task ADD COLUMN x INT",
    "ALTER TABLE task RENAME TO task2",
    "ALTER TABLE task SET READ ONLY",
    "ALTER USER monetdb WITH ENCRYPTED PASSWORD 'x'",
    "ALTER USER reader SET SCHEMA sys",
    "CREATE TABLE mine (a INT)",
    'CREATE TABLE "public".mine (a INT)',
    "CREATE TABLE sys.mine (a INT)",
    "CREATE VIEW mine AS SELECT 1 AS a",
    "CREATE SCHEMA mine",
    "CREATE USER mine WITH PASSWORD 'x' NAME 'x' SCHEMA sys",
    "CREATE ROLE mine",
    "CREATE FUNCTION mine() RETURNS INT BEGIN RETURN 1; END",
    "CREATE FUNCTION mine(p INT) RETURNS INT EXTERNAL NAME mapi.listen",
    "CREATE PROCEDURE mine() BEGIN DELETE FROM task; END",
    "CREATE SEQUENCE mine",
    "CREATE INDEX mine ON task (id)",
    "CREATE TRIGGER mine AFTER INSERT ON task DELETE FROM task",
    "CREATE MERGE TABLE mine (a INT)",
    "CREATE REMOTE TABLE mine (a INT) ON 'mapi:monetdb://127.0.0.1:1/x'",
    "GRANT ALL ON task TO reader",
    "GRANT SELECT ON task TO PUBLIC",
    "REVOKE SELECT ON task FROM reader",
    "SET ROLE sysadmin",
    "COPY SELECT * FROM task INTO '/tmp/e2c-must-not-exist.csv'",
    "COPY SELECT * FROM task INTO 'x' ON CLIENT",
    "COPY INTO task FROM '/etc/passwd'",
    "COPY INTO task FROM 'x' ON CLIENT",
    "COPY BINARY INTO task FROM '/etc/passwd'",
    "COPY LOADER INTO task FROM nothing()",
    "SELECT * FROM sys.queue()",
    "SELECT * FROM sys.queue",
    "SELECT * FROM sys.sessions",
    "SELECT * FROM sys.sessions()",
    "SELECT password FROM sys.db_user_info",
    "CALL sys.shutdown(1)",
    "CALL sys.shutdown(1, true)",
    "CALL sys.stop(1)",
    "CALL sys.stopsession(1)",
    "CALL sys.pause(1)",
    "CALL sys.hot_snapshot('/tmp/e2c-must-not-exist.tar')",
    "CALL sys.vacuum('public', 'task')",
    "CALL sys.flush_log()",
    "CALL sys.suspend_log_flushing()",
    "CALL sys.clearrejects()",
    "CALL logging.setcomplevel('SQL_ALL', 'DEBUG')",
    "SELECT sys.mapi_listen(50000)",
    "ANALYZE sys.functions",
    "COMMENT ON TABLE task IS 'x'",
    "SELECT * FROM no_such_table",
    "SELECT 1; DELETE FROM task",
]


@pytest.mark.monetdb
def test_the_reader_reads_and_nothing_else(database: Database, store: Store, ask: Asker) -> None:
    device = Device()
    store.store([device.batch(begin(1, 1, 2, 3, 4))])
    with ask_reader(database.folder, "SELECT count(*) FROM task") as answer:
        (before,) = next(answer.rows)
    accepted, refused = [], []
    for statement in REFUSED:
        try:
            with ask_reader(database.folder, statement, 10) as answer:
                accepted.append((statement, list(answer.rows)[:1]))
        except QueryError as error:
            refused.append(str(error))
        assert database.process.poll() is None, f"the server ended: {statement}"
    assert accepted == []
    assert not any("\n" in sentence for sentence in refused)
    assert ask("SELECT count(*) FROM task") == [(before,)]
    assert not list(Path("/tmp").glob("e2c-must-not-exist*"))


@pytest.mark.monetdb
def test_the_reader_reads_every_table_and_view(database: Database, store: Store, ask: Asker) -> None:
    names = ask(
        "SELECT s.name, t.name FROM sys.tables t JOIN sys.schemas s ON s.id = t.schema_id "
        "WHERE NOT t.system AND s.name <> 'tmp'"
    )
    assert ("model_training", "training_input") in names
    for schema, name in names:
        with ask_reader(database.folder, f'SELECT * FROM "{schema}"."{name}"') as answer:
            assert answer.columns
            list(answer.rows)


@pytest.mark.monetdb
@pytest.mark.parametrize("user", ["monetdb", READER])
@pytest.mark.parametrize("password", ["monetdb", "", "0", "reader"])
def test_other_passwords_are_refused(database: Database, user: str, password: str) -> None:
    with pytest.raises(ProvenanceError, match="invalid credentials"):
        dial(int(database.ready.split()[1]), user, password)


@pytest.mark.monetdb
def test_a_statement_that_takes_too_long_is_ended(database: Database) -> None:
    endless = (
        "SELECT count(*) FROM (SELECT a.id AS x FROM sys.functions a, sys.functions b) AS t, "
        "(SELECT id FROM sys.functions LIMIT 60) AS c WHERE t.x + c.id > 5"
    )
    with pytest.raises(QueryError, match=r"took too long|timeout"), ask_reader(database.folder, endless, 1):
        raise AssertionError("it must not be answered")


@pytest.mark.monetdb
@pytest.mark.broker
def test_secrets_are_in_private_files_only(serve: Callable[..., Service]) -> None:
    service = serve()
    folder = service.folder
    secrets = [*folder.passwords().values(), "secret-of-edge", "secret-of-other"]
    assert len(secrets) == 5
    lines = "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in service.children().values())
    environments = "".join(Path(f"/proc/{pid}/environ").read_text() for pid in service.children().values())
    service.end()
    assert folder.root.stat().st_mode & 0o777 == 0o700
    for path in folder.root.rglob("*"):
        if path.is_file() and "database" not in path.relative_to(folder.root).parts[:1]:
            text = path.read_text(errors="replace")
            holds = [secret for secret in secrets if secret in text]
            assert not holds or (path == folder.secrets and path.stat().st_mode & 0o077 == 0), path
    for secret in secrets:
        assert secret not in lines
        assert secret not in environments
        assert secret not in service.ready


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_broker_user_writes_its_own_topics_only(serve: Callable[..., Service]) -> None:
    service = serve()
    mine, foreign = Device("edge"), Device("other")
    publisher = Publisher(mine, "127.0.0.1", service.port)
    try:
        publisher.send(mine.batch(begin(1)))
        publisher.finish(20)
        # Written under another's name, with one's own password.
        stolen = foreign.batch(begin(2))
        publisher._client.publish(stolen.topic, stolen.payload, qos=1).wait_for_publish(10)
        publisher.send(mine.batch(begin(3)))
        publisher.finish(20)
    finally:
        publisher.close()
    with ask_reader(service.folder, "SELECT user_name, stored FROM client") as answer:
        assert list(answer.rows) == [("edge", 2)]


@pytest.mark.broker
@pytest.mark.monetdb
@pytest.mark.parametrize(("user", "password"), [("edge", "wrong"), ("nobody", "x"), (None, None)])
def test_the_broker_refuses_who_has_no_password(
    serve: Callable[..., Service], user: str | None, password: str | None
) -> None:
    service = serve()
    reasons: list[str] = []
    answered = threading.Event()

    def connected(client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        reasons.append(str(reason))
        answered.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="x", protocol=mqtt.MQTTv5)
    client.username_pw_set(user, password)
    client.on_connect = connected
    client.connect("127.0.0.1", service.port)
    client.loop_start()
    try:
        assert answered.wait(10)
    finally:
        client.disconnect()
        client.loop_stop()
    assert reasons[0] == "Not authorized"
