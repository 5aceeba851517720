"""Connections to the dataflow database."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance.addresses import bracketed
from e2c.provenance.dsn import Server, kept
from e2c.provenance.folder import ADMIN, DATABASE_NAME, DataFolder, read_json

# pymonetdb logs each failed attempt, with details that belong into our own message.
logging.getLogger("pymonetdb").setLevel(logging.CRITICAL)

Connection = Any
"""``pymonetdb.Connection``; that package publishes no types."""


def connect(folder: DataFolder, user: str = ADMIN, *, autocommit: bool = False, timeout_s: float | None = None) -> Any:
    """Connect to the database of a data folder: its own, or the server of ``--dsn``.

    Args:
        user: ``ADMIN`` or ``READER``; the password comes from the folder.
        timeout_s: limit of each answer; None waits.

    Raises:
        ProvenanceError: it does not answer.
    """
    server = kept(folder)
    if server is None:
        port, password = read_json(folder.database_endpoint)["port"], folder.passwords()[user]
        return dial(port, user, password, autocommit=autocommit, timeout_s=timeout_s)
    if user == ADMIN:
        connection = dial_server(server, autocommit=autocommit, timeout_s=timeout_s)
        connection.cursor().execute('SET SCHEMA "public"')  # that user's own may be another
        return connection
    reading = replace(server, user=user, password=folder.passwords()[user])
    return dial_server(reading, autocommit=autocommit, timeout_s=timeout_s)


def dial(port: int, user: str, password: str, *, autocommit: bool = False, timeout_s: float | None = None) -> Any:
    """Connect to a MonetDB server on loopback.

    Raises:
        ProvenanceError: it does not answer, or refuses the password.
    """
    server = Server("127.0.0.1", port, DATABASE_NAME, user, password)
    return dial_server(server, autocommit=autocommit, timeout_s=timeout_s)


def dial_server(server: Server, *, autocommit: bool = False, timeout_s: float | None = None) -> Any:
    """Connect to a MonetDB server.

    Raises:
        ProvenanceError: it does not answer, or refuses the password.
    """
    import pymonetdb

    try:
        connection = pymonetdb.connect(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            database=server.database,
            autocommit=autocommit,
            connect_timeout=10,
        )
        connection.settimeout(timeout_s)
    except (pymonetdb.Error, OSError) as error:
        raise ProvenanceError(
            "the database does not answer",
            where=f"{bracketed(server.host)}:{server.port}",
            why=explain(error),
            hint="See `python -m e2c.provenance status`",
        ) from error
    return connection


def rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    cursor = connection.cursor()
    cursor.execute(sql)
    return [exact(row) for row in cursor.fetchall()]


def exact(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with its texts as they are stored.

    pymonetdb 1.9 takes the server's octal escapes for characters where they are bytes of UTF-8: each of U+0080 to
    U+009F arrives with U+00C2 before it, and never otherwise.
    """
    return tuple([_C1.sub(r"\1", value) if isinstance(value, str) else value for value in row])


_C1 = re.compile("\u00c2([\u0080-\u009f])")


def explain(error: BaseException) -> str:
    """The sentence of a database error, without SQL state and trailing lines."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip() or type(error).__name__
    first = text.splitlines()[0]
    code, mark, rest = first.partition("!")
    return rest if mark and len(code) == 5 and rest else first


def uploader(columns: Mapping[str, bytes]) -> Any:
    """Answers ``COPY ... FROM 'name' ON CLIENT`` with the bytes of that name."""
    import pymonetdb

    class _Uploader(pymonetdb.Uploader):
        def handle_upload(self, upload: Any, filename: str, text_mode: bool, skip_amount: int) -> None:
            del skip_amount
            if text_mode or filename not in columns:
                upload.send_error("not offered")
                return
            _upload(upload, columns[filename])

    return _Uploader()


_BLOCK = 8190
"""Bytes in a block of the protocol, at most."""

_MORE, _DONE = "\1\2\n", "\1\3\n"


def _upload(upload: Any, data: bytes) -> None:
    """Send a column in one piece.

    pymonetdb sends each block of 8 kB in two pieces and asks the server after each MB, which for many small columns
    takes longer than their transfer.
    """
    upload.bytes_sent = len(data) + 1
    upload._raw()  # marks it as used
    mapi, upload.mapi = upload.mapi, None  # nothing is left to do for it
    content = b"\n" + data  # accepted
    pieces: list[bytes] = []
    for start in range(0, len(content), _BLOCK):
        block = content[start : start + _BLOCK]
        last = start + _BLOCK >= len(content)
        pieces += ((len(block) << 1 | last).to_bytes(2, "little"), block)
    mapi.sock.sendall(b"".join(pieces))
    answer = mapi._getblock()
    if answer == _MORE:
        mapi._putblock("")
        answer = mapi._getblock()
    if answer != _DONE:
        raise ProvenanceError("the database does not take a column", why=repr(answer[:80]))


def downloader(receive: Callable[[bytes], None]) -> Any:
    """Hands the result of ``COPY SELECT ... INTO 'name' ON CLIENT`` on, in pieces."""
    import pymonetdb

    class _Downloader(pymonetdb.Downloader):
        def handle_download(self, download: Any, filename: str, text_mode: bool) -> None:
            del filename, text_mode
            reader = download.binary_reader()
            while piece := reader.read(1 << 16):
                receive(piece)

    return _Downloader()
