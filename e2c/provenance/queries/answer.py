"""One statement, asked as the user who can only read, and its result, which comes as it is asked for."""

from __future__ import annotations

import json
import math
import queue
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from typing import Any

from e2c.errors import ProvenanceError, QueryError
from e2c.provenance.connections import Connection, connect, downloader, exact, explain, rows
from e2c.provenance.folder import ADMIN, READER, DataFolder
from e2c.provenance.names import free
from e2c.provenance.queries import statement
from e2c.provenance.queries.fields import INTO, NUMERIC, Block, Column, blocks, line
from e2c.provenance.queries.hints import suggestion
from e2c.provenance.serving.sessions import LONGEST_S
from e2c.provenance.serving.visit import running

DEFAULT_LIMIT_S = 300.0
"""Limit of a statement, in seconds."""

_BLOCK = 5000
_PIECE = 1 << 18
_AHEAD = 4
_NO_MORE = b""


class Answer:
    """The result of a statement: unique column names, and rows that come as they are asked for, once.

    ``blocks`` gives the same rows as columns of some thousand values, which is several times faster than ``rows``.

    Args:
        pieces: the rows as they were sent in bulk; None where ``fetched`` has them as values.
    """

    def __init__(
        self, described: Iterable[Column], pieces: Iterator[bytes] | None, fetched: Iterator[Block] | None = None
    ) -> None:
        self.described = tuple(described)
        self.pieces = pieces
        self.blocks: Iterator[Block] = blocks(self.described, pieces) if pieces is not None else fetched or iter(())

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.described)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers."""
        return tuple(column.type in NUMERIC for column in self.described)

    @property
    def rows(self) -> Iterator[tuple[Any, ...]]:
        """The rows that have not been taken yet."""
        for block in self.blocks:
            yield from zip(*block, strict=True)

    def sent(self) -> Iterator[bytes]:
        """The answer as bytes, which :func:`received` reads in another process."""
        yield json.dumps([asdict(column) for column in self.described]).encode() + b"\n"
        if self.pieces is not None:
            yield from self.pieces
        else:
            yield from map(line, self.rows)


def received(pieces: Iterator[bytes]) -> Answer:
    """An answer from the bytes of :meth:`Answer.sent`, as another process gave them.

    Raises:
        QueryError: there is no answer in them.
    """
    head = b""
    for piece in pieces:
        line, mark, rest = (head + piece).partition(b"\n")
        head = line
        if mark:
            described = [Column(**column) for column in json.loads(line)]
            return Answer(described, _after(rest, pieces))
    raise QueryError("there is no answer")


def _after(first: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


@contextmanager
def ask(
    folder: DataFolder,
    sql: str,
    limit_s: float = DEFAULT_LIMIT_S,
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[Answer]:
    """Answer one statement. Only reading is possible; the snapshot is released afterwards.

    When the block is left before the last row, by an exception too, the statement is stopped.

    Args:
        limit_s: time that the statement may take, in seconds; parts of a second count as one.
        parameters: values of ``:name`` in the statement.

    Raises:
        QueryError: the statement was refused, or took too long.
        ProvenanceError: the database does not answer.
    """
    with Session(folder) as session, session.ask(sql, limit_s, parameters) as answer:
        yield answer


class Session:
    """A connection for several statements, one after the other, as the user who can only read.

    Raises:
        ProvenanceError: the database does not answer.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._connection: Connection = None
        self._number = 0
        self._visit = ExitStack()

    def __enter__(self) -> Session:
        with self._visit:
            self._visit.enter_context(running(self._folder))
            self._open()
            self._visit = self._visit.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._close()
        finally:
            self._visit.close()

    @contextmanager
    def ask(self, sql: str, limit_s: float, parameters: Mapping[str, Any] | None = None) -> Iterator[Answer]:
        """As :func:`ask`."""
        import pymonetdb

        if not 0 < limit_s <= LONGEST_S:
            raise QueryError(f"a statement may take up to {LONGEST_S} seconds, not {limit_s:g}")
        if parameters is not None:
            sql = statement.bind(sql, parameters)
        text, word = statement.single(sql)
        if self._connection is None:
            self._open()
        self._connection.settimeout(limit_s + 10)
        done = False
        download: _Download | None = None
        try:
            try:
                cursor = self._connection.cursor()
                cursor.execute(f"CALL sys.setquerytimeout({max(1, math.ceil(limit_s))})")
                columns = _describe(self._connection, text) if word in statement.COPIED else ()
                if columns:
                    download = _Download(self._connection, f"COPY {text}\n{INTO}")
                    pieces = download.pieces(limit_s + 10)
                    first = next(pieces, b"")  # an error comes before the first row, mostly
                    answer = Answer(columns, _after(first, pieces))
                else:
                    cursor.arraysize = _BLOCK
                    cursor.execute(text)
                    answer = _fetched(cursor)
            except (pymonetdb.Error, OSError) as error:
                raise self._refusal(text, error) from error
            except QueryError:
                raise
            except (ValueError, LookupError) as error:  # the client library cannot read the answer
                raise QueryError("the answer cannot be read", why=str(error)) from error
            try:
                yield answer
            except (pymonetdb.Error, OSError) as error:
                if isinstance(error, OSError) and not (download and download.failed is error):
                    raise  # the reader's own
                raise QueryError("the answer broke off", why=explain(error)) from error
            done = download is None or download.ended
        finally:
            if not done:
                self._stop(download)

    def _open(self) -> None:
        self._connection = connect(self._folder, READER, autocommit=True)
        self._connection.set_replysize(_BLOCK)
        ((self._number,),) = rows(self._connection, "SELECT current_sessionid()")

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _stop(self, download: _Download | None) -> None:
        """End the statement and the connection with it: the server hears of it only from another session."""
        if self._connection is None:
            return
        if download is not None and not download.ended:
            with suppress(ProvenanceError, Exception):
                other = connect(self._folder, ADMIN, autocommit=True, timeout_s=10)
                with suppress(Exception):
                    other.cursor().execute(f"CALL sys.stopsession({int(self._number)})")
                other.close()
            with suppress(OSError, AttributeError):
                self._connection.mapi.sock.shutdown(socket.SHUT_RDWR)
            download.abandon()
            self._connection = None
        else:
            self._close()

    def _refusal(self, text: str, error: Exception) -> QueryError:
        """The error of the server, with its place, and a name that was perhaps meant."""
        message = str(error)
        hint = None
        with suppress(ProvenanceError, Exception):
            hint = suggestion(self._connection, message)
        if isinstance(error, TimeoutError):
            return QueryError("the statement took too long")
        found = statement.place(text, message.partition("!")[2])
        why = explain(error)
        if found:
            why = why.partition(" in: ")[0]
        return QueryError("the database refused the statement", where=found, why=why.rstrip("."), hint=hint)


def _describe(connection: Connection, text: str) -> tuple[Column, ...]:
    """The columns of a statement's result, which ``COPY`` does not tell; none where it refuses their names."""
    cursor = connection.cursor()
    cursor.execute(f"PREPARE {text}")
    found = rows(
        connection,
        'SELECT "inout", "type", type_digits, type_scale, "column" FROM sys.prepared_statements_args '
        "WHERE statementid = (SELECT max(statementid) FROM sys.prepared_statements) ORDER BY number",
    )
    cursor.execute("DEALLOCATE ALL")
    if any(role == 1 for role, *_ in found):
        raise QueryError("the statement has a `?`", hint="Give its parameters names: `:name`")
    names = [name for *_, name in found if name]
    if len(set(names)) < len(names):
        return ()
    columns: list[Column] = []
    for _, kind, digits, scale, name in found:
        columns.append(Column(free(name or "column", [column.name for column in columns]), kind, digits, scale))
    return tuple(columns)


def _fetched(cursor: Any) -> Answer:
    described: list[Column] = []
    for column in cursor.description or ():
        described.append(Column(free(column.name, [one.name for one in described]), column.type_code))

    def fetch() -> Iterator[Block]:
        while block := cursor.fetchmany(_BLOCK):
            yield list(zip(*map(exact, block), strict=True))

    return Answer(described, None, fetch() if described else None)


class _Download:
    """A ``COPY ... ON CLIENT`` in a thread of its own: the client library pushes, and readers of answers pull."""

    def __init__(self, connection: Connection, sql: str) -> None:
        self._queue: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._abandoned = threading.Event()
        self._gathered: list[bytes] = []
        self._size = 0
        self.failed: Exception | None = None
        self.ended = False
        connection.set_downloader(downloader(self._gather))
        self._thread = threading.Thread(target=self._run, args=(connection, sql), daemon=True, name="answer")
        self._thread.start()

    def pieces(self, limit_s: float) -> Iterator[bytes]:
        """What arrives, until the end.

        Raises:
            Exception: what the connection raised.
        """
        while True:
            try:
                piece = self._queue.get(timeout=limit_s)
            except queue.Empty:
                self.failed = TimeoutError("the statement took too long")
                raise self.failed from None
            if piece == _NO_MORE:
                break
            yield piece
        self.ended = True
        self._thread.join()
        if self.failed is not None:
            raise self.failed

    def abandon(self) -> None:
        """Nobody reads any more."""
        self._abandoned.set()
        self._thread.join(10)

    def _gather(self, piece: bytes) -> None:
        self._gathered.append(piece)
        self._size += len(piece)
        if self._size >= _PIECE:
            self._flush()

    def _flush(self) -> None:
        if self._gathered:
            piece = b"".join(self._gathered)
            self._gathered.clear()
            self._size = 0
            self._put(piece)

    def _put(self, piece: bytes) -> None:
        while not self._abandoned.is_set():
            try:
                self._queue.put(piece, timeout=0.2)
            except queue.Full:
                continue
            return
        raise OSError("nobody reads the answer")

    def _run(self, connection: Connection, sql: str) -> None:
        try:
            connection.cursor().execute(sql)
            self._flush()
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is read
            self.failed = error
        with suppress(OSError):
            self._put(_NO_MORE)
