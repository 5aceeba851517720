"""The database process: a MonetDB server with its passwords, users and schema.

``python -m e2c.provenance.database DIR PORT`` prints ``ready PORT`` when it accepts connections, and ends on SIGTERM.
Passwords are set before it listens, at every start: a first start that was interrupted leaves a database that opens,
but whose passwords everybody knows.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sys
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from e2c.errors import E2CError, ProvenanceError
from e2c.provenance import libmonetdb
from e2c.provenance.engine import Engine, SQLError
from e2c.provenance.folder import ADMIN, READER, DataFolder, write_json
from e2c.provenance.names import quoted

ADDRESS = "127.0.0.1"
PORT_ATTEMPTS = 20


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT."""
    folder, port = DataFolder(Path(arguments[0])), int(arguments[1])
    # Before any thread of the engine exists: they inherit the mask, so that the signal comes to sigwait below.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    try:
        engine = Engine(libmonetdb.locate(), folder.farm, folder.log("monetdb"))
        prepare(engine, folder.passwords())
        port = listen(engine, port)
        write_json(folder.database_endpoint, {"address": ADDRESS, "port": port, "pid": os.getpid()})
    except E2CError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(f"ready {port}\n")
    sys.stdout.flush()
    signal.sigwait(stops)
    engine.close()
    # The engine's threads would otherwise be waited for at exit.
    sys.stdout.flush()
    os._exit(0)


def prepare(engine: Engine, passwords: dict[str, str]) -> None:
    """Set passwords, make the schema and the reader, close what crashes an embedded server.

    Raises:
        SQLError: a statement was refused.
    """
    secret, reader = (hashlib.sha512(passwords[name].encode()).hexdigest() for name in (ADMIN, READER))
    _unless(
        "M0M27",  # has its password already
        engine,
        f"ALTER USER SET ENCRYPTED PASSWORD '{secret}' USING OLD PASSWORD '0'",
    )
    engine.execute('CREATE SCHEMA IF NOT EXISTS "public"')
    engine.execute(f'ALTER USER {quoted(ADMIN)} SET SCHEMA "public"')
    create = f"CREATE USER {READER} WITH ENCRYPTED PASSWORD '{reader}' NAME 'reads everything' SCHEMA \"public\""
    _unless("42M31", engine, create)
    # What CREATE USER stores is not this password but a known one.
    engine.execute(f"ALTER USER {READER} WITH ENCRYPTED PASSWORD '{reader}'")
    # These read session tables that an embedded server does not have: it would die of them.
    engine.execute("REVOKE EXECUTE ON FUNCTION sys.queue() FROM PUBLIC")
    engine.execute("REVOKE SELECT ON sys.queue FROM PUBLIC")
    for statement in statements():
        if statement.startswith("ALTER TABLE"):
            _unless("42S21", engine, statement)  # the column is there
        else:
            engine.execute(statement)
            _grant(engine, statement)


def statements() -> list[str]:
    """The statements of ``schema.sql``."""
    text = files("e2c.provenance").joinpath("schema.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip(" \n;")]


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


def _grant(engine: Engine, statement: str) -> None:
    table = statement.split('"public".', 1)[1].split(maxsplit=1)[0]
    _unless("01007", engine, f'GRANT SELECT ON "public".{table} TO {READER}')


def _unless(state: str, engine: Engine, statement: str) -> None:
    """Execute, accepting the refusal that says it was done before."""
    try:
        engine.execute(statement)
    except SQLError as error:
        if state not in (error.why or ""):
            raise


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # the supervisor is gone, and this process goes with it
        sys.exit(main(sys.argv[1:]))
