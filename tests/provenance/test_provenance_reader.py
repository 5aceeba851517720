"""What the user who can only read may try: nothing changes, no file is read, and the same server goes on answering."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from provenance_parts import Asker, Database, Device, begin, end

from e2c.errors import QueryError
from e2c.provenance.connections import connect, downloader
from e2c.provenance.folder import READER
from e2c.provenance.queries import ask as ask_reader

WRITES = [
    "DELETE FROM task",
    "DELETE FROM dataflow WHERE id = -1",
    "UPDATE task SET status = 'x'",
    "INSERT INTO dataflow VALUES (99, 'x', true, NULL)",
    "INSERT INTO task SELECT * FROM task",
    "MERGE INTO program AS a USING task AS t ON a.id = t.id WHEN MATCHED THEN DELETE",
    "TRUNCATE task",
    "TRUNCATE TABLE task RESTART IDENTITY CASCADE",
    "WITH gone AS (SELECT 1) DELETE FROM task",
    "COPY INTO task FROM STDIN",
    "COPY INTO task FROM '/etc/passwd'",
    "COPY 10 RECORDS INTO task FROM 'x' ON CLIENT",
    "COPY BINARY INTO task FROM '/etc/passwd'",
    "COPY LOADER INTO task FROM nothing()",
    "COPY SELECT * FROM task INTO '/tmp/e2c-reader-wrote.csv'",
    "COPY SELECT * FROM task INTO '../../../e2c-reader-wrote.csv'",
]
DEFINITIONS = [
    "DROP TABLE task",
    "DROP TABLE task CASCADE",
    "DROP VIEW training_input",
    "DROP SCHEMA model_training CASCADE",
    "ALTER TABLE task ADD COLUMN x INT",
    "ALTER TABLE task DROP COLUMN status",
    "ALTER TABLE task RENAME TO task2",
    "ALTER TABLE task SET READ ONLY",
    "ALTER SCHEMA model_training RENAME TO other",
    "CREATE TABLE mine (a INT)",
    'CREATE TABLE "public".mine AS SELECT * FROM task WITH DATA',
    "CREATE TABLE mine FROM LOADER nothing()",
    "CREATE GLOBAL TEMPORARY TABLE mine (a INT)",
    "CREATE MERGE TABLE mine (a INT)",
    "CREATE REPLICA TABLE mine (a INT)",
    "CREATE REMOTE TABLE mine (a INT) ON 'mapi:monetdb://127.0.0.1:1/x'",
    "CREATE VIEW mine AS SELECT 1 AS a",
    "CREATE OR REPLACE VIEW training_input AS SELECT 1 AS a",
    "CREATE SCHEMA mine",
    "CREATE SEQUENCE mine",
    "CREATE INDEX mine ON task (id)",
    "CREATE TYPE mine EXTERNAL NAME int",
    "CREATE TRIGGER mine AFTER INSERT ON task DELETE FROM task",
    "CREATE FUNCTION mine() RETURNS INT BEGIN RETURN 1; END",
    "CREATE FUNCTION mine(p INT) RETURNS INT EXTERNAL NAME mapi.listen",
    "CREATE FUNCTION mine() RETURNS INT LANGUAGE C { return 1; }",
    "CREATE FUNCTION mine() RETURNS INT LANGUAGE PYTHON { return 1 }",
    "CREATE FUNCTION mine() RETURNS INT LANGUAGE R { 1 }",
    "CREATE AGGREGATE mine(a INT) RETURNS INT EXTERNAL NAME aggr.sum",
    "CREATE LOADER mine() LANGUAGE PYTHON { pass }",
    "CREATE PROCEDURE mine() BEGIN DELETE FROM task; END",
    "COMMENT ON TABLE task IS 'x'",
    "ANALYZE sys.functions",
    "DECLARE TABLE mine (a INT)",
    "DECLARE mine INT",
]
RIGHTS = [
    "GRANT ALL ON task TO reader",
    "GRANT SELECT ON task TO PUBLIC",
    "GRANT sysadmin TO reader",
    "REVOKE SELECT ON task FROM reader",
    "SET ROLE sysadmin",
    "SET ROLE monetdb",
    "CREATE USER mine WITH PASSWORD 'x' NAME 'x' SCHEMA sys",
    "CREATE ROLE mine",
    "DROP USER monetdb",
    "DROP USER reader",
    "DROP ROLE reader",
    "DROP ROLE sysadmin",
    'DROP ROLE "public"',
    "ALTER USER monetdb WITH ENCRYPTED PASSWORD 'x'",
    "ALTER USER SET PASSWORD 'x' USING OLD PASSWORD 'guessed'",
    "ALTER USER reader SET SCHEMA sys",
    "SELECT password FROM sys.db_user_info",
    "SELECT * FROM sys.users",
    "SELECT sys.password_hash('monetdb')",
]
SERVER = [
    "CALL sys.shutdown(0)",
    "CALL sys.shutdown(0, true)",
    "CALL sys.stop(1)",
    "CALL sys.pause(1)",
    "CALL sys.resume(1)",
    "CALL sys.stopsession(0)",
    "CALL sys.setquerytimeout(1, 1)",
    "CALL sys.setsessiontimeout(1, 1)",
    "CALL sys.setmemorylimit(1, 1)",
    "CALL sys.setoptimizer(1, 'minimal_pipe')",
    "CALL sys.setoptimizer('no_such_pipe')",
    "CALL sys.hot_snapshot('/tmp/e2c-reader-wrote.tar')",
    "CALL sys.vacuum('public', 'task')",
    "CALL sys.createorderindex('public', 'task', 'id')",
    "CALL sys.evalalgebra('x', true)",
    "CALL sys.querylog_enable()",
    "CALL sys.querylog_empty()",
    "CALL sys.clearrejects()",
    "CALL logging.flush()",
    "CALL logging.setadapter('basic')",
    "CALL logging.setcomplevel('SQL_ALL', 'DEBUG')",
    "CALL profiler.start()",
    "CALL profiler.setlimit(1)",
    "CALL wlc.master('/tmp/e2c-reader-wrote')",
    "CALL wlr.replicate()",
    "SELECT sys.mapi_listen(50000)",
    "SELECT sys.debug(1)",
    "SELECT * FROM sys.queue",
    "SELECT * FROM sys.queue()",
    "SELECT * FROM sys.sessions",
    "SELECT * FROM sys.sessions()",
    "SELECT * FROM sys.bbp()",
    "SELECT * FROM sys.storage()",
    "SELECT * FROM sys.tracelog()",
    "SELECT * FROM sys.querylog_catalog",
    "SELECT * FROM sys.dump_database(true)",
    "SELECT * FROM sys.malfunctions()",
    "SELECT * FROM sys.file_loader('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "DEBUG SELECT 1",
    "PREPARE DELETE FROM task",
    "EXECUTE 1(1)",
    "ROLLBACK",
    "SELECT 1; DELETE FROM task",
    "SELECT 1;; DROP TABLE task",
]
REFUSED = WRITES + DEFINITIONS + RIGHTS + SERVER
"""Refused by the server, whichever way the reader comes."""

HEAVY = {
    "cross join of all columns": (
        "SELECT count(*) FROM sys.columns a, sys.columns b, sys.columns c WHERE a.id + b.id > c.id"
    ),
    "cross join with all rows": (
        "SELECT * FROM sys.columns a, sys.columns b, sys.columns c, sys.columns d ORDER BY 1, 2"
    ),
    "join of 150": "SELECT count(*) FROM " + ", ".join(f"task t{number}" for number in range(150)),
    "doubled views": (
        "WITH "
        + ", ".join(
            f"q{number} AS (SELECT a.id FROM {f'q{number - 1}' if number else 'task'} a, "
            f"{f'q{number - 1}' if number else 'task'} b)"
            for number in range(20)
        )
        + " SELECT count(*) FROM q19"
    ),
    "doubled text": "SELECT length(s) FROM ("
    + "SELECT s || s AS s FROM (" * 25
    + "SELECT 'x' AS s"
    + ") AS t" * 25
    + ") AS u",
    "all texts in one": "SELECT length(group_concat(repeat('x', 100000))) FROM sys.columns a, sys.columns b",
    "repeated text": "SELECT length(repeat('x', 100000000))",
    "deep brackets": "SELECT " + "(" * 100000 + "1" + ")" * 100000,
    "deep functions": "SELECT " + "abs(" * 3000 + "1" + ")" * 3000,
    "deep cases": "SELECT " + "CASE WHEN 1 = 1 THEN " * 1000 + "1" + " END" * 1000,
    "deep subqueries": "SELECT * FROM " + "(SELECT * FROM " * 300 + "task" + ") AS t" * 300,
    "long sum": "SELECT " + "1 + " * 20000 + "1",
    "long list": f"SELECT 1 WHERE 1 IN ({', '.join(map(str, range(20000)))})",
    "long union": "SELECT 1 " + "UNION ALL SELECT 1 " * 1000,
    "many alternatives": "SELECT count(*) FROM task WHERE " + " OR ".join(f"id = {number}" for number in range(1500)),
    "hard pattern": "SELECT repeat('a', 5000) LIKE repeat('%a', 2000) || 'b'",
    "hard expression": "SELECT sys.patindex('%(a+)+$%', repeat('a', 50000))",
    "deep JSON": f"SELECT CAST('{'[' * 100000}{']' * 100000}' AS JSON)",
    "JSON path": "SELECT json.filter(json '[1,2]', 4294967296)",
    "big numbers": "SELECT 9223372036854775807 + 1, power(10, 10000), mod(-9223372036854775807, -1)",
    "big interval": "SELECT date '2020-01-01' + interval '2147483647' month",
    "window": "SELECT count(*) OVER (PARTITION BY a.id ORDER BY b.id) FROM sys.columns a, sys.columns b LIMIT 1",
    "window of all": (
        "SELECT sum(id) OVER (ORDER BY id "
        "ROWS BETWEEN 9223372036854775807 PRECEDING AND 9223372036854775807 FOLLOWING) FROM task"
    ),
    "format": "SELECT date_to_str(current_date, '%n%s%n%s'), str_to_date('x', '%n%n%s')",
}
"""Answered or refused within the time, and nobody else suffers."""

ENDING = [
    "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))",
    "SELECT sys . levenshtein /* x */ ('a', 'b')",
    "SELECT \"sys\".\"levenshtein\"('a', 'b')",
    "SELECT editdistance(repeat('a', 100000), repeat('b', 100000))",
    "SELECT EditDistance2 (repeat('a', 100000), repeat('b', 100000))",
    "SELECT similarity('', '')",
    "SELECT sys.strings('a')",
    "SELECT sys.star() FROM task",
    "SELECT sys.sql_anyequal('a', 1)",
    "SELECT sys.sql_not_anyequal(NULL, NULL)",
    "SELECT sys.ms_trunc(1e308, NULL)",
    "SELECT sys.ms_round(-1e0, NULL, 2147483647)",
    "SELECT trim(key, '\\377') FROM task",
    "SELECT trim(key, E'\\xff') FROM task",
    "SELECT U&\"\\006cevenshtein\"('a', 'b')",
    "SELECT key FROM task WHERE key = U&'\\D800'",
    f"SELECT '{'x' * (1 << 20)}'",
    "SELECT 'a\0b'",
    "SELECT '\udcff'",
    "CREATE LOCAL TEMPORARY TABLE mine (a INT)",
    "SET SCHEMA sys",
    "SET SESSION AUTHORIZATION monetdb",
    "CALL sys.setquerytimeout(0)",
    "START TRANSACTION",
]
"""What the server would let pass, or die of, is refused before it gets there."""

FORBIDDEN = [
    "SELECT levenshtein('a', 'b')",
    "SELECT levenshtein('a', 'b', 1, 1, 1)",
    "SELECT levenshtein(key, key) FROM task",
    "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))",
    "SELECT U&\"\\006cevenshtein\"('a', 'b')",
    'SELECT "sys"."editdistance"(key, key) FROM task',
    "SELECT editdistance(repeat('a', 100000), repeat('b', 100000))",
    "SELECT editdistance2(repeat('a', 100000), repeat('b', 100000))",
    "SELECT similarity('', '')",
    "SELECT similarity(key, '') FROM task",
    "SELECT sys.strings('a')",
    "SELECT sys.star()",
    "SELECT sys.star() FROM task",
    "SELECT sys.sql_anyequal('a', 1)",
    "SELECT sys.sql_anyequal(id, id) FROM task",
    "SELECT sys.sql_not_anyequal(NULL, NULL)",
    'SELECT "sys"."identity"(id) FROM task',
    'SELECT "sys"."identity"(key), count(*) FROM task GROUP BY "sys"."identity"(key)',
    "SELECT sys.ms_trunc(1e308, NULL)",
    "SELECT sys.ms_round(-1e0, NULL, 2147483647)",
    "PREPARE SELECT levenshtein(?, 'b')",
    "EXPLAIN SELECT similarity('', '')",
    "WITH q AS (SELECT levenshtein('a', 'b') AS a) SELECT * FROM q",
    "CALL sys.sys_update_schemas()",
    "CALL sys.sys_update_tables()",
]
"""Functions that the server refuses the reader, although it refuses nobody any of its own by itself."""

SURVIVED = [
    *ENDING,
    *(
        f"SELECT {function}({text}, {other}){table}"
        for function in ("trim", "ltrim", "rtrim", "lpad", "position", "replace", "splitpart", "upper", "length")
        for text, table in (("key", " FROM task"), ("'a'", ""))
        for other in ("'\\377'", "E'\\xff\\xfe'", "'\\300\\200'", "repeat('\\355\\240\\200', 1000)", "E'\\U00110000'")
    ),
    "SELECT trim('\\377')",
    "SELECT '\\377' || key FROM task",
    "SELECT key FROM task WHERE key LIKE '%\\377%' OR key ILIKE E'\\xff'",
    "SELECT " + "NOT " * 100_000 + "true",
    "SELECT " + "NOT " * 1_000_001 + "true",
    "SELECT " + "NOT " * 100_000,
    "SELECT " + "- " * 100_000 + "1",
    "SELECT " + "(" * 2_000_000 + "1" + ")" * 2_000_000,
    "SELECT " + "abs(" * 50_000 + "1" + ")" * 50_000,
    "SELECT " + "1 + " * 500_000 + "1",
    "SELECT " + "'a' || " * 100_000 + "'b'",
    "SELECT 1 " + "UNION ALL SELECT 1 " * 10_000,
    "SELECT " + "CASE WHEN 1 = 1 THEN " * 20_000 + "1" + " END" * 20_000,
    "SELECT * FROM " + "(SELECT * FROM " * 5_000 + "task" + ") AS t" * 5_000,
    f"SELECT length('{'x' * (20 << 20)}')",
    f'SELECT 1 AS "{"x" * 1_000_000}"',
    f"SELECT CAST('{'[' * 2_000_000}{']' * 2_000_000}' AS JSON)",
    "SELECT sys.zero_or_one(id), sys.exist(id) FROM task",
    "SELECT sys.window_bound(1, 1, 1, 1, 1) OVER () FROM task",
    "SELECT sys.diff(id) OVER () FROM task",
    "SELECT sys.casewhen(true, 1), sys.rotate_xor_hash(1, 1, 1), sys.scale_up(1.5, 10)",
    "SELECT * FROM sys.copyfrom('/etc/passwd')",
    "SELECT next_value_for('public', 'x')",
]
"""Answered or refused by the server itself, which goes on."""


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    store = database.store()
    store.store([Device().batch(*(begin(number, 1, 2, 3, 4) for number in range(40)), end(1, 0.5, 1.5))])
    store.close()
    return database


@pytest.fixture
def unharmed(filled: Database) -> Iterator[Database]:
    """The same process, the same rows and the same definitions afterwards."""
    before = _state(filled)
    yield filled
    assert filled.process.poll() is None, "the server ended"
    assert _state(filled) == before
    assert not list(Path("/tmp").glob("e2c-reader-wrote*"))


def _state(database: Database) -> list[Any]:
    connection = connect(database.folder)
    ask = Asker(connection)
    try:
        return [
            ask("SELECT * FROM task ORDER BY id"),
            ask("SELECT * FROM training_input ORDER BY id"),
            ask(
                "SELECT t.name, t.type, t.access FROM sys.tables t WHERE t.type <> 30 AND NOT t.temporary ORDER BY t.id"
            ),
            ask("SELECT count(*), max(id) FROM sys.functions"),
            ask("SELECT name FROM sys.auths ORDER BY name"),
            ask("SELECT * FROM sys.privileges ORDER BY obj_id, auth_id, privileges"),
            ask("SELECT name FROM sys.schemas ORDER BY name"),
            ask("SELECT remark FROM sys.comments ORDER BY id"),
        ]
    finally:
        connection.close()


def test_there_are_enough_statements() -> None:
    assert len({*REFUSED, *HEAVY.values(), *ENDING}) >= 150


@pytest.mark.monetdb
@pytest.mark.parametrize("statement", REFUSED)
def test_the_server_refuses_the_reader(unharmed: Database, statement: str) -> None:
    import pymonetdb

    connection = connect(unharmed.folder, READER, autocommit=True, timeout_s=20)
    connection.set_downloader(downloader(lambda _: None))
    try:
        with pytest.raises(pymonetdb.Error):
            connection.cursor().execute(statement)
    finally:
        connection.close()
    with pytest.raises(QueryError) as caught, ask_reader(unharmed.folder, statement, 10) as answer:
        list(answer.rows)
    assert "\n" not in str(caught.value)


@pytest.mark.monetdb
@pytest.mark.parametrize("statement", HEAVY.values(), ids=list(HEAVY))
def test_heavy_statements_harm_nobody(unharmed: Database, statement: str) -> None:
    with suppress(QueryError), ask_reader(unharmed.folder, statement, 2) as answer:
        next(answer.rows, None)
    with ask_reader(unharmed.folder, "SELECT count(*), sum(id) FROM task", 60) as answer:
        assert list(answer.rows) == [(40, 820)]


@pytest.mark.monetdb
@pytest.mark.parametrize("statement", ENDING, ids=lambda statement: ascii(statement[:60]))
def test_what_would_end_the_server_never_reaches_it(unharmed: Database, statement: str) -> None:
    with pytest.raises(QueryError), ask_reader(unharmed.folder, statement, 10) as answer:
        list(answer.rows)


def directly(database: Database, statement: str) -> list[Any]:
    """The answer to the reader who connects to the server without our checks."""
    connection = connect(database.folder, READER, autocommit=True, timeout_s=60)
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        connection.close()


@pytest.mark.monetdb
@pytest.mark.parametrize("statement", FORBIDDEN, ids=lambda statement: ascii(statement[:60]))
def test_the_server_keeps_what_would_end_it_from_the_reader(unharmed: Database, statement: str) -> None:
    import pymonetdb

    with pytest.raises(pymonetdb.Error, match=r"insufficient privileges|no such"):
        directly(unharmed, statement)


@pytest.mark.monetdb
@pytest.mark.parametrize("statement", SURVIVED, ids=lambda statement: ascii(statement[:60]))
def test_the_server_survives_a_reader_without_our_checks(unharmed: Database, statement: str) -> None:
    import pymonetdb

    refused: tuple[type[Exception], ...] = (pymonetdb.Error, UnicodeError)
    with suppress(*refused):
        directly(unharmed, statement)
    assert directly(unharmed, "SELECT count(*), sum(id) FROM task") == [(40, 820)]


@pytest.mark.monetdb
def test_a_literal_that_is_no_text_is_empty(filled: Database) -> None:
    """And not what the memory of the server holds there."""
    assert directly(filled, "SELECT length(E'secret\\377'), upper('\\377'), lpad('a', 3, '\\377b')") == [(0, "", "a")]


@pytest.mark.monetdb
def test_trim_and_not_do_what_they_did(filled: Database) -> None:
    answers = {
        "trim('  a ü '), ltrim('xxa', 'x'), rtrim('aüü', 'ü'), trim('\\303\\274a', 'ü')": ("a ü", "a", "a", "a"),
        "NOT true, NOT NOT true, NOT NOT NOT true": (False, True, False),
        "1 NOT IN (2), 1 NOT BETWEEN 2 AND 3, 'a' NOT LIKE 'b', 'a' NOT ILIKE 'A'": (True, True, True, False),
        "NOT NOT 1 NOT IN (2), NOT EXISTS (SELECT 1), NOT 1 IN (SELECT 1)": (True, False, False),
        "1 = ANY (SELECT id FROM task), 1 <> ALL (SELECT id FROM task)": (True, False),
        "E'\\303\\274\\t', U&'\\00fc', '\\303\\274'": ("ü\t", "ü", "ü"),
    }
    for columns, answer in answers.items():
        assert directly(filled, f"SELECT {columns}") == [answer]


@pytest.mark.monetdb
def test_the_administrator_keeps_all_functions(filled: Database) -> None:
    connection = connect(filled.folder)
    try:
        ask = Asker(connection)
        found = ask(
            "SELECT levenshtein('a', 'b'), similarity('a', 'a'), editdistance2('a', 'b'), sys.ms_trunc(1.55e0, 1)"
        )
        assert found == [(1, 1.0, 1, 1.5)]
    finally:
        connection.close()


@pytest.mark.monetdb
def test_what_is_kept_from_the_reader_stays_so(tmp_path: Path) -> None:
    """In a database of an earlier version, and after a restart."""
    import pymonetdb

    first = Database(tmp_path / "data")
    connection = connect(first.folder, autocommit=True)
    connection.cursor().execute("GRANT EXECUTE ON FUNCTION sys.ms_trunc(DOUBLE, INTEGER) TO PUBLIC")
    connection.close()
    assert directly(first, "SELECT sys.ms_trunc(1.55e0, 1)") == [(1.5,)]
    first.end()
    second = Database(tmp_path / "data")
    try:
        for function in ("sys.ms_trunc(1e0, 1)", "levenshtein('a', 'b')"):
            with pytest.raises(pymonetdb.Error, match="insufficient privileges"):
                directly(second, f"SELECT {function}")
    finally:
        second.end()


@pytest.mark.monetdb
def test_a_session_without_a_time_limit_gets_one(tmp_path: Path) -> None:
    """Whoever says that there is none has one again a moment later, and it ends what it is about."""
    import pymonetdb

    pairs = (
        "SELECT count(*) FROM (SELECT a.id AS x FROM sys.functions a, sys.functions b) AS t, "
        "(SELECT id FROM sys.functions LIMIT 60) AS c WHERE t.x + c.id > 5"
    )
    program = (
        "import sys; from e2c.provenance.serving import database, sessions; sessions.DEFAULT_S = 1; "
        "sys.exit(database.main(sys.argv[1:]))"
    )
    database = Database(tmp_path / "data", program=program)
    try:
        connection = connect(database.folder, READER, autocommit=True, timeout_s=300)
        try:
            cursor = connection.cursor()
            cursor.execute("CALL sys.setquerytimeout(0)")
            with pytest.raises(pymonetdb.Error, match="timeout"):
                cursor.execute(" UNION ALL ".join([pairs] * 3))
        finally:
            connection.close()
    finally:
        database.end()


@pytest.mark.monetdb
def test_the_password_that_all_readers_share_stays(unharmed: Database) -> None:
    import pymonetdb

    password = unharmed.folder.passwords()[READER]
    for text in ("'x'", f"'{password}'"):
        with pytest.raises(pymonetdb.Error):
            directly(unharmed, f"ALTER USER SET PASSWORD {text} USING OLD PASSWORD '{password}'")
    assert directly(unharmed, "SELECT 1") == [(1,)]


@pytest.mark.monetdb
def test_another_name_gives_no_other_rights(unharmed: Database) -> None:
    """MonetDB lets every user change what ``current_user`` says, and nothing else comes of it."""
    import pymonetdb

    connection = connect(unharmed.folder, READER, autocommit=True, timeout_s=20)
    try:
        cursor = connection.cursor()
        cursor.execute("SET SESSION AUTHORIZATION monetdb")
        for statement in WRITES + DEFINITIONS + RIGHTS:
            with pytest.raises(pymonetdb.Error):
                cursor.execute(statement)
    finally:
        connection.close()


@pytest.mark.monetdb
def test_a_session_s_own_settings_and_tables_end_with_it(unharmed: Database) -> None:
    connection = connect(unharmed.folder, READER, autocommit=True, timeout_s=20)
    cursor = connection.cursor()
    for statement in (
        "CALL sys.setoptimizer('minimal_pipe')",
        "CALL sys.setmemorylimit(1)",
        "CALL sys.setworkerlimit(1)",
        "CALL sys.setquerytimeout(1)",
        "SET SCHEMA sys",
        "CREATE LOCAL TEMPORARY TABLE task (a INT)",
    ):
        cursor.execute(statement)
    connection.close()
    with ask_reader(unharmed.folder, "SELECT count(*) FROM task") as answer:
        assert list(answer.rows) == [(40,)]


@pytest.mark.monetdb
def test_the_database_cannot_take_all_memory(filled: Database) -> None:
    import resource

    soft, _ = resource.prlimit(filled.process.pid, resource.RLIMIT_DATA)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < soft <= max(total // 2, 2 << 30)
