"""The database process where the database is an existing MonetDB server (``--dsn``).

``python -m e2c.provenance.serving.external DIR`` makes schema and reader there, prints ``ready``, and looks from then
on whether the server is there; when it comes back, it is prepared again, because it may be a new one.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from e2c.errors import E2CError, ProvenanceError
from e2c.provenance.connections import dial_server, explain, rows
from e2c.provenance.dataflows.schema import statements
from e2c.provenance.dsn import Server, kept
from e2c.provenance.folder import READER, DataFolder, write_json, write_private
from e2c.provenance.names import literal
from e2c.provenance.serving.database import CLOSED, asked_to_stop, make_reader, make_tables
from e2c.provenance.serving.engine import SQLError

logger = logging.getLogger("e2c.provenance.serving.external")

LOOK_S = 2.0
ANSWER_LIMIT_S = 30.0
OLDEST = (11, 41)
"""The first MonetDB that takes binary columns from a client."""

MARK = "e2clab provenance, data folder "
"""The comment on schema ``public`` that says whose database it is. There is one writer: ids come from it."""

CONFLICTS, CONFLICT_PAUSE_S = 10, 0.2
"""How often a statement is tried that another transaction is in the way of, and the pause between."""


class _Session:
    """A connection as :class:`~e2c.provenance.serving.database.Session`: each statement is committed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        import pymonetdb

        for attempt in range(1, CONFLICTS + 1):
            try:
                self._connection.cursor().execute(sql)
                return
            except pymonetdb.Error as error:
                if "conflict with another transaction" not in str(error) or attempt == CONFLICTS:
                    raise SQLError("the database refused a statement", why=str(error).strip()) from error
                time.sleep(CONFLICT_PAUSE_S)  # the server's own work is one, too


def main(arguments: list[str]) -> int:
    """Prepare the server, then look after it until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    folder = DataFolder(Path(arguments[0]))
    try:
        server = kept(folder)
        if server is None:
            raise ProvenanceError("this data folder names no MonetDB server", where=str(folder.root))
        connection = prepare(folder, server)
    except E2CError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not asked_to_stop(stops, LOOK_S):
        connection = _looked_after(folder, server, connection)
    return 0


def prepare(folder: DataFolder, server: Server) -> Any:
    """Make schema, tables and reader on the server. Returns the connection.

    Raises:
        ProvenanceError: it does not answer, is too old, belongs to another service, or refuses a statement.
    """
    import pymonetdb

    connection = _connect(server)
    try:
        version = _version(connection)
        session = _Session(connection)
        _own(folder, server, connection, session)
        connection.cursor().execute('SET SCHEMA "public"')
        make_reader(session, folder.passwords()[READER])
        make_tables(session)
    except (SQLError, pymonetdb.Error) as error:
        connection.close()
        raise ProvenanceError(
            f"user {server.user!r} of --dsn cannot prepare the database",
            where=server.url(),
            why=explain(Exception(error.why) if isinstance(error, SQLError) else error),
            hint="It must be allowed to make schemas, tables and users, as the user monetdb is",
        ) from error
    except BaseException:
        connection.close()
        raise
    for statement in CLOSED:
        with suppress(SQLError):  # a server of its own does not die of it
            session.execute(statement)
    write_json(
        folder.database_endpoint,
        {"address": server.host, "port": server.port, "pid": os.getpid(), "url": server.url(), "version": version},
    )
    return connection


def _looked_after(folder: DataFolder, server: Server, connection: Any) -> Any:
    """The connection if the server still answers, else a new one, else None."""
    if connection is not None:
        try:
            rows(connection, "SELECT 1")
        except Exception as error:  # noqa: BLE001 - a connection breaks in many ways
            logger.warning("the MonetDB server is gone: %s", explain(error))
            with suppress(Exception):
                connection.close()
        else:
            return connection
    try:
        connection = prepare(folder, server)
    except Exception as error:  # noqa: BLE001 - a server that starts or ends fails in many ways
        logger.debug("%s", error)
        return None
    logger.warning("the MonetDB server is back")
    return connection


def _connect(server: Server) -> Any:
    try:
        return dial_server(server, autocommit=True, timeout_s=ANSWER_LIMIT_S)
    except ProvenanceError as error:
        why = error.why or ""
        if "credentials" in why or "password" in why:
            what, reason, hint = f"the MonetDB server refuses user {server.user!r}", "wrong name or password", "--dsn"
        elif "database" in why:
            what, reason, hint = "the MonetDB server does not have this database", why, "--dsn"
        else:
            what, reason, hint = "the MonetDB server does not answer", why, "--dsn, and whether the server runs"
        raise ProvenanceError(what, where=server.url(), why=reason, hint=f"Check {hint}") from error


def _version(connection: Any) -> str:
    found = rows(connection, "SELECT value FROM sys.env() AS e WHERE name = 'monet_version'")
    version = str(found[0][0]) if found else ""
    numbers = [int(part) for part in version.split(".")[:2] if part.isdecimal()]
    if len(numbers) == 2 and tuple(numbers) < OLDEST:
        raise ProvenanceError(
            f"MonetDB {version} is too old", why="it takes no binary columns", hint="Use version 11.41 or later"
        )
    return version


def _own(folder: DataFolder, server: Server, connection: Any, session: _Session) -> None:
    """Make the database ours, unless it is somebody else's.

    Raises:
        ProvenanceError: another data folder writes into it, or it holds tables or a user of other origin.
    """
    mine = _identity(folder)
    schema = "FROM sys.schemas AS s {} WHERE s.name = 'public'"
    remarks = [
        row[0] for row in rows(connection, "SELECT c.remark " + schema.format("JOIN sys.comments AS c ON c.id = s.id"))
    ]
    marks = [remark for remark in remarks if remark.startswith(MARK)]
    if marks and marks[0].split()[-1] != mine:
        owner = marks[0].removeprefix(MARK).rpartition(" ")[0]
        raise ProvenanceError(
            "the database belongs to another provenance service",
            where=server.url(),
            why=f"its data folder is {owner}",
            hint="Use another database, or, when that service is no more: COMMENT ON SCHEMA \"public\" IS ''",
        )
    if not marks:
        users = {row[0] for row in rows(connection, "SELECT name FROM sys.users")}
        ours = {statement.split('"public".', 1)[1].split(maxsplit=1)[0] for statement in statements()}
        there = {
            row[0]
            for row in rows(connection, "SELECT t.name " + schema.format("JOIN sys.tables AS t ON t.schema_id = s.id"))
        }
        restored = {"client", "task", "dataflow_version"} <= there
        foreign = sorted(ours & there)
        if foreign and not restored:
            raise ProvenanceError(
                f"the database has a table {foreign[0]!r} that is not ours",
                where=server.url(),
                hint="Use another database",
            )
        if READER in users and not restored:
            raise ProvenanceError(
                f"the database has a user {READER!r} that is not ours",
                where=server.url(),
                hint=f"Use another database, or: DROP USER {READER}",
            )
    session.execute('CREATE SCHEMA IF NOT EXISTS "public"')
    if not marks:
        session.execute(
            f'COMMENT ON SCHEMA "public" IS {literal(f"{MARK}{socket.gethostname()}:{folder.root} {mine}")}'
        )


def _identity(folder: DataFolder) -> str:
    """A number by which the data folder is known, made once."""
    path = folder.root / "identity"
    if not path.exists():
        write_private(path, secrets.token_hex(8), durable=True)
    return path.read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
