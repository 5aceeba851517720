"""Questions in SQL: formats, types, parameters, limits, errors, and the package ``e2c.provenance.queries``."""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from provenance_parts import Asker, Database, Device, begin, end

from e2c.errors import ProvenanceError, QueryError
from e2c.provenance import queries
from e2c.provenance.command.arguments import seconds
from e2c.provenance.connections import connect
from e2c.provenance.folder import READER
from e2c.provenance.queries import statement
from e2c.provenance.queries.answer import received

ODD = """
CREATE OR REPLACE VIEW "public".odd AS SELECT
  CAST(1 AS TINYINT) AS small, CAST(NULL AS INT) AS nothing, 'null' AS word, 'NULL' AS upper_word, '' AS emptiness,
  'x"y\\\\z|q' || code(9) || 't,;' || code(10) || 'n' || code(13) || code(133) || code(1) ||
  code(127) || 'é😀''' AS text,
  true AS truth, TIMESTAMP '2020-01-01 10:11:12.5' AS moment, DATE '2020-02-03' AS date_of, TIME '10:11:12' AS clock,
  TIMESTAMP WITH TIME ZONE '2020-01-01 10:11:12.5+02:00' AS zoned, INTERVAL '1.5' SECOND AS took,
  INTERVAL '4' MONTH AS months, CAST(1.5 AS DECIMAL(10, 3)) AS price, CAST(1e-300 AS DOUBLE) AS tiny,
  CAST(0.1 AS DOUBLE) + CAST(0.2 AS DOUBLE) AS added, "json"."number"(CAST('-1e400' AS JSON)) AS infinite,
  CAST(123456789012345678901234567890 AS HUGEINT) AS huge, UUID '26d7a80b-7538-4682-a49a-9d0f9676b765' AS identity_of,
  CAST('{"a":"b\\\\"c"}' AS JSON) AS document, BLOB '00ff' AS bytes, CAST('1.2.3.4' AS INET) AS address
"""
ENDLESS = (
    "SELECT count(*) FROM (SELECT a.id AS x FROM sys.functions a, sys.functions b) AS t, "
    "(SELECT id FROM sys.functions LIMIT 100) AS c WHERE t.x + c.id > 5"
)
"""Takes long, in steps between which the server hears that it shall stop."""

EXPECTED = {
    "small": 1,
    "nothing": None,
    "word": "null",
    "upper_word": "NULL",
    "emptiness": "",
    "text": "x\"y\\z|q\tt,;\nn\r\x85\x01\x7fé😀'",
    "truth": True,
    "moment": datetime.datetime(2020, 1, 1, 10, 11, 12, 500000),
    "date_of": datetime.date(2020, 2, 3),
    "clock": datetime.time(10, 11, 12),
    "zoned": datetime.datetime(2020, 1, 1, 8, 11, 12, 500000, tzinfo=datetime.timezone.utc),
    "took": datetime.timedelta(seconds=1.5),
    "months": 4,
    "price": Decimal("1.500"),
    "tiny": 1e-300,
    "added": 0.1 + 0.2,
    "infinite": -math.inf,
    "huge": 123456789012345678901234567890,
    "identity_of": "26d7a80b-7538-4682-a49a-9d0f9676b765",
    "document": '{"a":"b\\"c"}',
    "bytes": b"\x00\xff",
    "address": "1.2.3.4",
}


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    store = database.store()
    device = Device(name="queries")
    store.store([device.batch(*(begin(number, number / 8, 2, 3, 4) for number in range(60)))])
    store.store([device.batch(*(end(number, 0.5, 1.5) for number in range(60)))])
    store.close()
    connection = connect(database.folder, autocommit=True)
    connection.cursor().execute(ODD)
    connection.cursor().execute(f'GRANT SELECT ON "public".odd TO {READER}')
    connection.close()
    return database


@pytest.fixture
def provenance(filled: Database) -> Iterator[queries.Provenance]:
    with queries.open(filled.folder) as opened:
        yield opened


def query(database: Database, *arguments: str, typed: str | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "e2c.provenance", "query", "--data", str(database.folder.root), *arguments],
        input=None if typed is None else typed.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.monetdb
def test_published_queries_work_word_for_word(filled: Database) -> None:
    with queries.ask(filled.folder, "select * from training_input") as answer:
        assert answer.columns[:4] == ("id", "training_task_id", "kernel_size", "num_kernels")
        assert len(list(answer.rows)) == 60
    joined = (
        "select * from training_input as ti join training_output as to_ on ti.training_task_id = to_.training_task_id"
    )
    with queries.ask(filled.folder, joined) as answer:
        rows = list(answer.rows)
    assert len(rows) == 60
    assert all(row[answer.columns.index("accuracy")] == 0.5 for row in rows)


@pytest.mark.monetdb
def test_values_keep_their_types(provenance: queries.Provenance) -> None:
    result = provenance.sql("select * from odd")
    (row,) = result.dicts()
    assert row == EXPECTED
    assert {name: type(value) for name, value in row.items()} == {name: type(one) for name, one in EXPECTED.items()}


@pytest.mark.monetdb
def test_bulk_answers_say_what_single_rows_say(filled: Database, ask: Asker) -> None:
    for sql in ("SELECT * FROM task ORDER BY id", "SELECT * FROM training_input ORDER BY id", "SELECT * FROM client"):
        with queries.ask(filled.folder, sql) as answer:
            assert list(answer.rows) == ask(sql)


@pytest.mark.monetdb
def test_formats(filled: Database, tmp_path: Path) -> None:
    sql = "select * from odd"
    (as_json,) = json.loads(query(filled, sql, "--format", "json").stdout)
    assert as_json["text"] == EXPECTED["text"]
    assert as_json["truth"] is True
    assert as_json["added"] == 0.1 + 0.2
    assert as_json["infinite"] == "-inf"
    assert json.loads(query(filled, sql, "--format", "jsonl").stdout) == as_json
    written = query(filled, sql, "--format", "csv").stdout.decode()
    names, fields = csv.reader(io.StringIO(written, newline=""))
    as_csv = dict(zip(names, fields, strict=True))
    assert as_csv["text"] == EXPECTED["text"]
    assert (as_csv["nothing"], as_csv["upper_word"], as_csv["truth"], as_csv["tiny"]) == ("", "NULL", "true", "1e-300")
    assert ',null,NULL,"",' in written  # NULL is an empty field, an empty text is two quotes
    table = query(filled, sql).stdout.decode()
    assert len(table.splitlines()) == 3
    assert "\\tt,;\\nn\\r\\x85\\x01\\x7f" in table
    path = tmp_path / "odd.parquet"
    done = query(filled, sql, "--format", "parquet", "--output", str(path))
    assert (done.returncode, done.stderr) == (0, b"")
    (as_parquet,) = pyarrow.parquet.read_table(path).to_pylist()
    huge, number = as_parquet.pop("huge"), dict(EXPECTED)
    assert huge == number.pop("huge")
    assert as_parquet == number
    assert [one.name for one in tmp_path.iterdir()] == ["odd.parquet"]


@pytest.mark.monetdb
def test_formats_of_no_rows(filled: Database, tmp_path: Path) -> None:
    sql = "select id, key from task where 1 = 0"
    assert query(filled, sql, "--format", "json").stdout == b"[]\n"
    assert query(filled, sql, "--format", "jsonl").stdout == b""
    assert query(filled, sql, "--format", "csv").stdout == b"id,key\n"
    assert query(filled, sql).stdout == b"id  key\n--  ---\n"
    query(filled, sql, "--format", "parquet", "--output", str(tmp_path / "none"))
    assert pyarrow.parquet.read_table(tmp_path / "none").column_names == ["id", "key"]


@pytest.mark.monetdb
def test_another_process_reads_what_was_sent(filled: Database) -> None:
    for sql in ("select * from odd", "explain select 1", "select key from task order by id"):
        with queries.ask(filled.folder, sql) as answer:
            sent = b"".join(answer.sent())
        with queries.ask(filled.folder, sql) as answer:
            if sql.startswith("explain"):
                assert len(list(received(iter([sent])).rows)) > 3
                continue
            pieces = [sent[place : place + 7] for place in range(0, len(sent), 7)]
            assert list(received(iter(pieces)).rows) == list(answer.rows)


@pytest.mark.monetdb
def test_limits(filled: Database) -> None:
    done = query(filled, "select key from task order by id", "--limit", "2", "--format", "csv")
    assert done.stdout == b"key\n0\n1\n"
    assert b"there are more than these 2 rows; `--limit 0` gives all" in done.stderr
    whole = query(filled, "select key from task order by id", "--limit", "60", "--format", "csv")
    assert (len(whole.stdout.splitlines()), whole.stderr) == (61, b"")
    every = query(filled, "select a.id from task a, task b, task c", "--limit", "0", "--format", "csv")
    assert len(every.stdout.splitlines()) == 60**3 + 1


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "86401", "soon"])
def test_a_time_limit_is_a_number_of_seconds_up_to_a_day(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text} is no number of seconds above 0 and up to 86400"):
        seconds(text)
    assert (seconds("0.5"), seconds("86400")) == (0.5, 86400.0)


@pytest.mark.monetdb
@pytest.mark.parametrize("limit_s", [0, math.nan, math.inf])
def test_a_time_limit_in_python_too(filled: Database, limit_s: float) -> None:
    with (
        queries.open(filled.folder.root, limit_s) as provenance,
        pytest.raises(QueryError, match="up to 86400 seconds"),
    ):
        provenance.sql("select 1")


@pytest.mark.monetdb
def test_parameters(provenance: queries.Provenance) -> None:
    hostile = "x'; DROP TABLE task; -- \\' :key \"\n😀"
    given_values = {
        "text": hostile,
        "whole": -5,
        "real": 0.1,
        "infinite": -math.inf,
        "truth": True,
        "nothing": None,
        "moment": datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
    }
    names = ", ".join(f":{name}" for name in given_values)
    assert provenance.sql(f"select {names}", **given_values).rows == [tuple(given_values.values())]
    found = provenance.sql("select key from task where key in :keys and ':no' <> 'x' -- :no", keys=["1", "2", "x"])
    assert sorted(found.rows) == [("1",), ("2",)]
    for sql, values, words in (
        ("select :a", {}, "parameter :a has no value"),
        ("select 1", {"a": 1}, "parameter a does not occur"),
        ("select :a", {"a": object()}, "no literal"),
        ("select :a", {"a": "a\0b"}, "cannot be stored"),
    ):
        with pytest.raises(QueryError, match=words):
            provenance.sql(sql, **values)


@pytest.mark.monetdb
def test_parameters_of_the_command(filled: Database) -> None:
    sql = "select key from task where key = :k and 1 = :n"
    done = query(filled, sql, "--param", 'k:="7"', "--param", "n=1.0")
    assert (done.stdout.splitlines()[-1:], done.stderr) == ([b"7"], b"")
    for word, words in (("k", b"is not NAME=VALUE"), ("k:=x", b"is not JSON")):
        done = query(filled, sql, "--param", word)
        assert done.returncode == 1
        assert words in done.stderr


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:x'\"\\;-#/* \nER", max_size=25))
def test_pieces_are_the_text(sql: str) -> None:
    assert "".join(piece.text for piece in statement.pieces(sql)) == sql
    whole, rest = statement.split(sql)
    assert len("".join(whole) + rest) <= len(sql)


@pytest.mark.monetdb
@settings(max_examples=60, deadline=None)
@given(value=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_any_text_is_a_value_and_never_sql(filled: Database, value: str) -> None:
    with queries.ask(filled.folder, "select :value, 'end'", 30, {"value": value}) as answer:
        assert list(answer.rows) == [(value, "end")]


@pytest.mark.monetdb
@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select * from tasc", "no such table 'tasc'. Perhaps you mean `task`"),
        ("select statuss from task", "Perhaps you mean `status`"),
        ("select t.rows from task t", 'if you mean a name, write "rows" in double quotes'),
        ("select t.kernelsize from training_input t", "Perhaps you mean `kernel_size`"),
        ("select *\nfrom task\nwhere id = = 3", "line 3, column 12: "),
        ("select * frm task", "line 1, column 10: "),
        ("delete from task", "only reading is possible"),
        ("select 1; select 2", "there are 2 statements"),
        ("  -- nothing\n ;", "the statement is empty"),
        ("select 1/0", "division by zero"),
        ("select id from task where id = ?", "Give its parameters names"),
    ],
)
def test_errors_are_sentences(filled: Database, sql: str, words: str) -> None:
    done = query(filled, sql)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert done.stdout == b""


@pytest.mark.monetdb
def test_output_that_cannot_be_written(filled: Database, tmp_path: Path) -> None:
    done = query(filled, "select 1", "--output", str(tmp_path / "missing" / "x"))
    assert done.returncode == 1
    assert b"--output cannot be written" in done.stderr


@pytest.mark.monetdb
def test_what_broke_off_leaves_no_file(filled: Database, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    done = query(filled, "select 1 / (id - 20) from task order by id", "--format", "csv", "--output", str(path))
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.monetdb
def test_memory_stays_flat(filled: Database) -> None:
    """What is held of an answer does not grow with it."""
    peaks = []
    for size in (200_000, 2_000_000):
        sql = f"select a.id, b.key, a.started from sys.columns x, task a, task b limit {size}"
        code = (
            "import resource, sys; from e2c.provenance.__main__ import main; "
            f"code = main(['query', '--data', {str(filled.folder.root)!r}, {sql!r}, '--format', 'csv']); "
            "print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = 0
            while piece := process.stdout.read(1 << 20):
                lines += piece.count(b"\n")
            status, peak = process.stderr.read().split()
        assert (lines, status) == (size + 1, b"0")
        peaks.append(int(peak))
    assert peaks[1] < peaks[0] * 1.3


@pytest.mark.monetdb
def test_ctrl_c_stops_the_statement(filled: Database) -> None:
    command = [sys.executable, "-m", "e2c.provenance", "query", "--data", str(filled.folder.root), ENDLESS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not _busy(filled) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    deadline = time.monotonic() + 60
    while _busy(filled):
        assert time.monotonic() < deadline, "the server goes on"


def _busy(database: Database) -> bool:
    """Whether the server computes."""

    def ticks() -> int:
        fields = Path(f"/proc/{database.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(0.5)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") > 0.1


@pytest.mark.monetdb
def test_a_closed_standard_input_stops_the_statement(filled: Database) -> None:
    command = [sys.executable, "-m", "e2c.provenance", "query", "--data", str(filled.folder.root)]
    command += ["--format", "raw", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(ENDLESS.encode() + b"\0")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.stdin.close()
        assert process.wait(30) == 130


@pytest.mark.monetdb
def test_data_frames(provenance: queries.Provenance, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "select key, kernel_size from task t join training_input i on i.training_task_id = t.id"
    frame = provenance.sql(sql).frame()
    assert list(frame.columns) == ["key", "kernel_size"]
    assert frame.kernel_size.sum() == sum(number / 8 for number in range(60))
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ProvenanceError, match="pip install pandas"):
        provenance.sql("select 1").frame()


@pytest.mark.monetdb
def test_without_pyarrow_one_sentence_says_what_to_install(filled: Database) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None; from e2c.provenance.__main__ import main; "
        f"sys.exit(main(['query', '--data', {str(filled.folder.root)!r}, 'select 1', '--format', 'parquet']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith('Install it: `pip install "e2c[parquet]"`.')
    assert done.stdout == ""


@pytest.mark.monetdb
def test_rows_have_names(provenance: queries.Provenance) -> None:
    result = provenance.sql('select key, id + 0 as "A b", status from task where key = :key', key="3")
    (row,) = result
    assert (row.key, row[1], row.status) == ("3", row._1, "FINISHED")  # type: ignore[attr-defined]
    assert result.columns == ("key", "A b", "status")
