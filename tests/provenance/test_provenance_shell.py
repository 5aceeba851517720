"""The SQL shell: piped and on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from provenance_parts import Database, Device, begin

E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    store = database.store()
    store.store([Device().batch(*(begin(number, 1, 2, 3, 4) for number in range(1200)))])
    store.close()
    return database


def piped(database: Database, text: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*E2CLAB, "db", "shell", "--data", str(database.folder.root)],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
    )


@pytest.mark.monetdb
def test_statements_from_a_pipe(filled: Database) -> None:
    text = (
        "\\f csv\nselect key,\n  ';' as x -- ; no end\nfrom task where id = 1; select 2 as two;\n\nselect 'a\n;b' as t"
    )
    done = piped(filled, text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 'key,x\n0,;\ntwo\n2\nt\n"a\n;b"\n'


@pytest.mark.monetdb
def test_the_first_error_ends_a_pipe(filled: Database) -> None:
    done = piped(filled, "select 1 as a;\nselect * from nothing;\nselect 3 as c;\n")
    assert done.returncode == 1
    assert "standard input, line 2: " in done.stderr
    assert "no such table 'nothing'" in done.stderr
    assert "c" not in done.stdout
    assert piped(filled, "\\nonsense\n").returncode == 1
    assert piped(filled, "drop table task;").returncode == 1


@pytest.mark.monetdb
def test_commands(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "in.sql").write_text("select 7 as seven;\n")
    text = (
        "\\d\n\\dv\n\\d training_input\n\\x\nselect key, status from task where id = 2;\n\\x\n"
        "\\o out.txt\n\\i in.sql\n\\o\n\\limit 1\nselect id from task order by id;\n\\q\nselect nothing;\n"
    )
    done = piped(filled, text, tmp_path)
    assert done.returncode == 0
    assert "training_task_id" in done.stdout
    assert "-[ 1 ]-\nkey     1\nstatus  RUNNING\n" in done.stdout
    assert (tmp_path / "out.txt").read_text().split() == ["seven", "-----", "7"]
    assert "there are more than these 1 rows" in done.stderr
    views = done.stdout.split("schema")[2]
    assert "training_input" in views
    assert "ds_training_input" not in views.split("column")[0]


@pytest.fixture
def terminal(filled: Database, tmp_path: Path) -> Iterator[pexpect.spawn]:
    command = [*E2CLAB, "db", "shell", "--data", str(filled.folder.root)]
    spawned = pexpect.spawn(
        command[0],
        command[1:],
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 120),
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb"},
    )
    try:
        spawned.expect_exact("e2c> ")
        yield spawned
    finally:
        spawned.close(force=True)


@pytest.mark.monetdb
def test_a_talk_on_a_terminal(terminal: pexpect.spawn, tmp_path: Path) -> None:
    terminal.sendline("select 41 + 1")
    terminal.expect_exact("...> ")
    terminal.sendline("as answer;")
    terminal.expect_exact("42")
    terminal.expect_exact("1 row")
    terminal.expect_exact("e2c> ")
    terminal.sendline("select nothing;")
    terminal.expect_exact("identifier 'nothing' unknown")
    terminal.expect_exact("e2c> ")
    terminal.sendline("select id from task;")
    terminal.expect_exact("there are more than these 1000 rows")
    terminal.expect_exact("e2c> ")
    terminal.send("select 'forgotten")
    terminal.expect_exact("forgotten")  # Python overlooks a Ctrl-C that comes before it waits for a key
    terminal.sendintr()
    terminal.expect_exact("e2c> ")
    terminal.sendline("select 5 as five;")
    terminal.expect_exact("1 row")
    terminal.expect_exact("e2c> ")
    terminal.sendeof()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    kept = tmp_path / "e2c" / "sql_history"
    assert "select 41 + 1" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


@pytest.mark.monetdb
def test_names_are_completed(terminal: pexpect.spawn) -> None:
    terminal.send("select count(*) from training_i\t")
    terminal.expect_exact("training_input")
    terminal.sendline(" ;")
    terminal.expect_exact("1200")


@pytest.mark.monetdb
def test_ctrl_c_stops_a_statement_and_the_shell_stays(terminal: pexpect.spawn) -> None:
    terminal.sendline(
        "SELECT count(*) FROM (SELECT a.id AS x FROM sys.functions a, sys.functions b) AS t, "
        "(SELECT id FROM sys.functions LIMIT 100) AS c WHERE t.x + c.id > 5;"
    )
    with pytest.raises(pexpect.TIMEOUT):
        terminal.expect_exact("e2c> ", timeout=1)
    terminal.sendintr()
    terminal.expect_exact("stopped")
    terminal.expect_exact("e2c> ")
    terminal.sendline("select 6 * 7 as answer;")
    terminal.expect_exact("42")
