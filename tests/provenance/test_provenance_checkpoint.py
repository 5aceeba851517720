"""The server's log is brought into its tables, so that a database that is killed is back soon."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from provenance_parts import Asker, Database, Device, begin

from e2c.provenance.connections import connect

BATCH = 512
QUIET_S = 31
"""The server does nothing of its own before."""


def logs(database: Database) -> dict[str, int]:
    """Log files with records of transactions, and their sizes."""
    files = {path.name: path.stat().st_size for path in database.folder.farm.glob("sql_logs/sql/log.*")}
    return {name: size for name, size in files.items() if size > 1024}


def until(condition: Callable[[], bool], limit_s: float = 60) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.mark.monetdb
def test_a_large_log_is_taken_in_under_load(tmp_path: Path) -> None:
    largest = 1 << 20
    program = (
        f"import sys; from e2c.provenance.serving import database, log; log.LARGEST = {largest}; "
        "sys.exit(database.main(sys.argv[1:]))"
    )
    database = Database(tmp_path / "data", program=program)
    try:
        store = database.store()
        device, sent, taken_in = Device(), 0, set[str]()
        before = set(logs(database))
        deadline = time.monotonic() + 120
        while len(taken_in) < 3:  # with no pause between the transactions
            assert time.monotonic() < deadline, "the log only grows"
            first = sent * BATCH + 1
            store.store([device.batch(*(begin(number, 1, 2, 3, 4) for number in range(first, first + BATCH)))])
            sent += 1
            now = set(logs(database))
            taken_in |= before - now
            before |= now
        database.end(signal.SIGKILL)
        again = Database(tmp_path / "data")
        connection = connect(again.folder)
        try:
            found = Asker(connection)("SELECT count(*), min(id), max(id), count(DISTINCT key) FROM task")
            assert found == [(sent * BATCH, 1, sent * BATCH, sent * BATCH)]
        finally:
            connection.close()
            again.end()
    finally:
        if database.process.poll() is None:
            database.end(signal.SIGKILL)


@pytest.mark.monetdb
def test_after_a_pause_an_empty_transaction_has_a_small_log_taken_in(tmp_path: Path) -> None:
    database = Database(tmp_path / "data")
    try:
        store = database.store()
        store.store([Device().batch(*(begin(number, 1, 2, 3, 4) for number in range(BATCH)))])
        full = set(logs(database))
        assert full
        time.sleep(QUIET_S)
        assert full <= set(logs(database)), "it needs no transaction any more"
        store.rest()
        assert until(lambda: not full & set(logs(database)))
        store.close()
    finally:
        database.end()
