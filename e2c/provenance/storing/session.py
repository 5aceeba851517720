"""The writer's session with the database, and transactions that are sent without waiting for each answer.

A ``COPY ... ON CLIENT`` asks for its columns one by one, and whoever waits for each question spends more time on the
way than the server spends on the rows. The order of the questions depends on the table alone. Once it is known, all
statements of a transaction go out in one piece with their columns, and the next one is assembled meanwhile. ``COMMIT``
follows when the answers have shown that the server took every column for the one that it is. Where it did not, it ends
the connection, because no column can be taken for a statement: each begins with a line feed.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from e2c.errors import ProvenanceError
from e2c.provenance.columns import Rows
from e2c.provenance.connections import uploader

BLOCK = 8190
"""Bytes in a block of the protocol, at most."""

PIECE = 1 << 18
"""Bytes that are handed to the system at once."""

MAX_AWAITED = 1 << 16
"""Bytes of answers for which the system is asked to wait, at most."""

MAX_ORDERS, MAX_STATEMENT = 256, 1 << 14
"""Statements whose order is remembered, and characters of one, at most."""

_REFUSES = "the database refuses a transaction"
_BROKEN = "the session is of no use any longer"
_MORE, _DONE, _FINE = b"\1\2\n", b"\1\3\n", b""


class RefusedError(ProvenanceError):
    """The server did not take a transaction that was sent in one piece. The session can only be closed."""


class Session:
    """One connection. Whoever uses it otherwise waits first for the transaction that is under way.

    Args:
        connection: to MonetDB, without autocommit.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._orders: dict[str, Sequence[str]] = {}  # of the columns of a COPY, by its statement
        self._underway: _Underway | None = None
        self._broken = False
        self._plain = type(connection.mapi.sock) is socket.socket  # TLS knows no flags

    # ------------------------------------------------------------------------------------------- as a connection

    def cursor(self) -> Any:
        """A cursor of pymonetdb."""
        self.arrive()
        return self._connection.cursor()

    def commit(self) -> None:
        """Commit what was executed."""
        self.arrive()
        self._connection.commit()

    def rollback(self) -> None:
        """Undo what was executed.

        Raises:
            RefusedError: a transaction is under way, or was refused: what the server does is not known.
        """
        if self._underway is not None or self._broken:
            raise RefusedError(_BROKEN)
        self._connection.rollback()

    def close(self) -> None:
        """End the connection. What is not committed is gone."""
        self._connection.close()

    def copy(self, tables: Iterable[Rows]) -> None:
        """Copy rows, column by column as the server asks for them."""
        for table in tables:
            if table.count:
                columns = _Asked(table.columns())
                statement = table.statement()
                self.arrive()
                self._connection.set_uploader(uploader(columns))
                self._connection.cursor().execute(statement)
                self._learn(statement, columns.order)

    def _learn(self, statement: str, order: Sequence[str]) -> None:
        if len(self._orders) >= MAX_ORDERS:
            self._orders.clear()
        if len(statement) <= MAX_STATEMENT:
            self._orders[statement] = order

    # ------------------------------------------------------------------------------------------------ in one piece

    def send(self, tables: Sequence[Rows], statements: Sequence[str]) -> bool:
        """Send rows and statements; :meth:`arrive` commits them.

        Returns:
            False when nothing was sent, because no such rows were copied before.

        Raises:
            OSError: the connection broke.
            RefusedError: the server refuses something.
        """
        self.arrive()
        copies = [(table, table.statement()) for table in tables if table.count]
        if not self._plain or not all(statement in self._orders for _, statement in copies):
            return False
        underway = _Underway(self._connection.mapi.sock)
        self._broken = True  # unless nothing goes wrong
        underway.send(self._pieces(copies, statements))
        self._underway, self._broken = underway, False
        return True

    def _pieces(self, copies: Sequence[tuple[Rows, str]], statements: Sequence[str]) -> Iterator[tuple[bytes, bytes]]:
        """What to send, and what the server answers to it."""
        for table, statement in copies:
            columns = table.columns()
            yield _statement(statement), b""
            for name in self._orders[statement]:
                question = _DONE + b"rb " + name.encode() + b"\n"
                yield _message(b"\n" + columns.pop(name)) + _message(b""), _answer(question, _MORE, _DONE)
            yield b"", _answer(_FINE)
        for statement in statements:
            yield _statement(statement), _answer(_FINE)

    @property
    def answers(self) -> int | None:
        """A file descriptor that can be read from when a transaction that is under way goes on."""
        return None if self._underway is None else int(self._connection.mapi.sock.fileno())

    def advance(self) -> bool:
        """Take the answers that have come. Returns whether no transaction is under way any longer.

        Raises:
            OSError: the connection broke.
            RefusedError: the server refuses something.
        """
        return self._go_on(0)

    def arrive(self) -> None:
        """Wait until the transaction that is under way is committed. Raises what :meth:`advance` does."""
        self._go_on(None)

    def _go_on(self, timeout_s: float | None) -> bool:
        if self._broken:
            raise RefusedError(_BROKEN)
        underway = self._underway
        if underway is None:
            return True
        self._broken = True
        landed = underway.hear(timeout_s)
        self._broken = False
        if landed:
            self._underway = None
        return landed


class _Asked(dict[str, bytes]):
    """Columns that note in which order they were asked for."""

    def __init__(self, columns: dict[str, bytes]) -> None:
        super().__init__(columns)
        self.order: list[str] = []

    def __getitem__(self, name: str) -> bytes:
        self.order.append(name)
        return super().__getitem__(name)


class _Underway:
    """A transaction between its statements and the answer to its ``COMMIT``."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._expected = deque[bytes]()
        self._received = bytearray()
        self._committing = False
        self._poller = select.poll()
        self._poller.register(connection, select.POLLIN)

    def send(self, pieces: Iterable[tuple[bytes, bytes]]) -> None:
        """Send all, and take answers whenever the server takes no more before it is rid of them."""
        out = bytearray()
        for piece, answer in pieces:
            out += piece
            if answer:
                self._expected.append(answer)
            if len(out) >= PIECE:
                self._push(out)
        self._push(out)
        self._await()

    def hear(self, timeout_s: float | None) -> bool:
        """Take answers, and commit when all are there. Returns whether it is committed."""
        while self._expected or not self._committing:
            if not self._expected:
                self._committing = True
                self._expected.append(_answer(_FINE))
                self._push(bytearray(_statement("COMMIT")))
                self._await()
            if not self._poller.poll(None if timeout_s is None else timeout_s * 1000):
                return False
            self._read()
            self._await()
        if self._received:
            raise RefusedError(_REFUSES, why=repr(bytes(self._received[:200])))
        return True

    def _push(self, data: bytearray) -> None:
        while data:
            with suppress(BlockingIOError):
                del data[: self._socket.send(data, socket.MSG_DONTWAIT)]
                continue
            self._poller.modify(self._socket, select.POLLIN | select.POLLOUT)
            if self._poller.poll()[0][1] & ~select.POLLOUT:
                self._read()
            self._poller.modify(self._socket, select.POLLIN)

    def _await(self) -> None:
        """Be woken when all answers are there: a refusal is longer than what is expected, or ends the connection."""
        size = sum(map(len, self._expected)) - len(self._received)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, max(1, min(size, MAX_AWAITED)))

    def _read(self) -> None:
        with suppress(BlockingIOError):
            data = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
            if not data:
                raise ConnectionResetError("the database ended the connection")
            self._received += data
        while self._expected and len(self._received) >= len(self._expected[0]):
            if not self._received.startswith(self._expected[0]):
                break
            del self._received[: len(self._expected.popleft())]
        expected = self._expected[0] if self._expected else b""
        if not expected.startswith(self._received[: len(expected)]):
            raise RefusedError(_REFUSES, why=repr(bytes(self._received[:200])))


def _message(data: bytes) -> bytes:
    if len(data) <= BLOCK:
        return (len(data) << 1 | 1).to_bytes(2, "little") + data
    pieces: list[bytes] = []
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        pieces += ((len(block) << 1 | (start + BLOCK >= len(data))).to_bytes(2, "little"), block)
    return b"".join(pieces)


def _statement(sql: str) -> bytes:
    return _message(f"s{sql}\n;".encode())


def _answer(*texts: bytes) -> bytes:
    return b"".join(map(_message, texts))
