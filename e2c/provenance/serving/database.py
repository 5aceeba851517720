"""The database process: a MonetDB server with its passwords, users and schema.

``python -m e2c.provenance.serving.database DIR PORT`` prints ``ready PORT`` when it accepts connections, and ends on
SIGTERM.
Passwords are set before it listens, at every start: a first start that was interrupted may leave a database that opens,
but whose passwords everybody knows. Or one that never opens again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import e2c
from e2c.errors import E2CError, ProvenanceError
from e2c.provenance.dataflows.schema import meanings, statements
from e2c.provenance.folder import ADMIN, READER, DataFolder, write_json, write_private
from e2c.provenance.names import quoted
from e2c.provenance.serving import guard, libmonetdb
from e2c.provenance.serving.engine import Engine, SQLError

ADDRESS = "127.0.0.1"
PORT_ATTEMPTS = 20
TEND_EVERY_S = 1.0
"""How often sessions without a time limit, and a large log, are looked for."""


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    folder, port = DataFolder(Path(arguments[0])), int(arguments[1])
    made, version = _is_made(folder), _version()
    # Before any thread of the engine exists: they inherit the mask, so that the signal comes to sigwait below.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    guard.limit_memory()
    try:
        engine = Engine(libmonetdb.locate(), folder.farm, folder.log("monetdb"))
        secure(engine, folder.passwords())
        if not (made and folder.prepared.exists() and folder.prepared.read_text(encoding="utf-8") == version):
            make_tables(engine)
            write_private(folder.prepared, version)
        folder.unfinished.unlink(missing_ok=True)
        expected = engine.harden()
        if not expected:
            sys.stderr.write("other MonetDB libraries than expected: a reader can end the database\n")
        port = listen(engine, port)
        write_json(folder.database_endpoint, {"address": ADDRESS, "port": port, "pid": os.getpid()})
    except E2CError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"ready {port}\n")
    sys.stdout.flush()
    log = engine.log() if expected else None
    while not asked_to_stop(stops, TEND_EVERY_S):
        if log is not None:  # this, too, knows the library by heart
            engine.limit()
            log.tend()
    engine.close()
    # The engine's threads would otherwise be waited for at exit.
    sys.stdout.flush()
    os._exit(0)


def asked_to_stop(stops: set[signal.Signals], seconds: float) -> bool:
    """Wait for one of the blocked signals. Returns whether it came; a process that was halted and goes on has none."""
    came = signal.sigtimedwait(stops, seconds)
    return came is not None and came.si_signo in stops


def _is_made(folder: DataFolder) -> bool:
    """Whether there is a database. What an interrupted first start left is removed: nothing was stored in it yet."""
    if folder.unfinished.exists() and folder.farm.exists():
        shutil.rmtree(folder.farm)
    if folder.farm.exists():
        return True
    folder.unfinished.touch(mode=0o600)
    return False


class Session(Protocol):
    """Something that executes SQL as the administrator, and raises :class:`SQLError` when it is refused."""

    def execute(self, sql: str) -> None:
        """Execute one statement."""


def secure(engine: Session, passwords: dict[str, str]) -> None:
    """Set passwords, make the schema and the reader, close what crashes an embedded server. At every start.

    Raises:
        SQLError: a statement was refused.
    """
    unless(
        "M0M27",  # has its password already
        engine,
        f"ALTER USER SET ENCRYPTED PASSWORD '{_hashed(passwords[ADMIN])}' USING OLD PASSWORD '0'",
    )
    engine.execute('CREATE SCHEMA IF NOT EXISTS "public"')
    engine.execute(f'ALTER USER {quoted(ADMIN)} SET SCHEMA "public"')
    make_reader(engine, passwords[READER])
    for statement in (*CLOSED, *guard.OTHERS, *guard.CRASHING):
        engine.execute(statement)


CLOSED = (
    "REVOKE EXECUTE ON FUNCTION sys.queue() FROM PUBLIC",
    "REVOKE SELECT ON sys.queue FROM PUBLIC",
)
"""These read session tables that an embedded server does not have: it would die of them."""


def make_reader(session: Session, password: str) -> None:
    """Make the user of queries, or set its password."""
    reader = _hashed(password)
    create = f"CREATE USER {READER} WITH ENCRYPTED PASSWORD '{reader}' NAME 'reads everything' SCHEMA \"public\""
    unless("42M31", session, create)
    # What CREATE USER stores is not this password but a known one.
    session.execute(f"ALTER USER {READER} WITH ENCRYPTED PASSWORD '{reader}'")


def make_tables(session: Session) -> None:
    """Make the tables and views that are missing, and let the reader read them."""
    added = [statement for statement in statements() if statement.startswith("ALTER TABLE")]
    for statement in statements():
        if statement in added:
            unless("42S21", session, statement)  # the column is there
        else:
            if statement.startswith("CREATE TABLE"):
                # A set could have this name before this program had such a table; its view gives way.
                unless("is a table", session, f'DROP VIEW IF EXISTS "public".{_target(statement)}')
            session.execute(_whole(statement, added))
            _grant(session, statement)
    session.execute("START TRANSACTION")  # a commit for each would cost more than the rest of the start
    for statement in meanings():
        session.execute(statement)
    session.execute("COMMIT")


def _whole(statement: str, added: Sequence[str]) -> str:
    """A statement that makes a table, with the columns that others add to older ones.

    In a table to which columns were just added, MonetDB 11.41 now and then takes each row for a conflict, for ever.
    """
    if not statement.startswith("CREATE TABLE"):
        return statement
    begin = f'ALTER TABLE "public".{_target(statement)} ADD COLUMN '
    columns = [one.removeprefix(begin) for one in added if one.startswith(begin)]
    return ", ".join([statement.rstrip().removesuffix(")"), *columns]) + ")" if columns else statement


def listen(engine: Engine, port: int) -> int:
    """Listen on loopback; with port 0, or when the port of an earlier life is taken now, on a free one.

    Raises:
        ProvenanceError: no port could be had.
    """
    for _ in range(PORT_ATTEMPTS):
        chosen = port or _free_port()
        try:
            engine.listen(ADDRESS, chosen)
        except SQLError:
            port = 0  # somebody was faster
            continue
        return chosen
    raise ProvenanceError("the database finds no free port", where=ADDRESS)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def unless(state: str, session: Session, statement: str) -> None:
    """Execute, accepting the refusal that says it was done before."""
    try:
        session.execute(statement)
    except SQLError as error:
        if state not in (error.why or ""):
            raise


def _version() -> str:
    """Tells one schema from another."""
    return hashlib.sha256("\n".join((e2c.__version__, *statements(), *meanings())).encode()).hexdigest()


def _hashed(password: str) -> str:
    return hashlib.sha512(password.encode()).hexdigest()


def _target(statement: str) -> str:
    return statement.split('"public".', 1)[1].split(maxsplit=1)[0]


def _grant(session: Session, statement: str) -> None:
    unless("01007", session, f'GRANT SELECT ON "public".{_target(statement)} TO {READER}')


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the supervisor is gone, and this process goes with it
        sys.exit(main(sys.argv[1:]))
