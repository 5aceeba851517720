"""The one writer: messages in, rows out, everything of one call in one transaction.

Exactly once: a client's batches carry contiguous sequence numbers. A batch is stored together with the client's new
``last_seq``; whatever has a number up to that is acknowledged again and not stored again.
"""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from e2c.provenance.columns import Rows, moment
from e2c.provenance.connections import connect, rows
from e2c.provenance.dataflows.catalogue import Catalogue
from e2c.provenance.dataflows.dataflow import parse
from e2c.provenance.folder import DataFolder, read_json
from e2c.provenance.names import literal, qualified
from e2c.provenance.storing.assembly import Assembly
from e2c.provenance.storing.clients import MAKE_PROGRESS, Client, Clients, progress
from e2c.provenance.storing.resolution import MAKE as MAKE_RESOLUTION
from e2c.provenance.storing.resolution import Resolution
from e2c.provenance.storing.session import Session
from e2c.provenance.storing.tasks import APPLY_STAGING, MAKE_STAGING, TaskIndex
from provlight.wire import (
    Batch,
    Message,
    UnknownShapeError,
    WireError,
    open_message,
    parse_records_topic,
)

logger = logging.getLogger(__name__)

MAX_CONTENT = 16 << 20
"""Most of one transaction, and one message more: bytes of what messages hold, decompressed."""

ANNOUNCE_ATTEMPTS = 5
"""How often a client is asked for shapes before its batch is rejected."""


class Delivery(NamedTuple):
    """A message as it came from the broker."""

    topic: str
    payload: bytes


class Acknowledgement(NamedTuple):
    """What a client is told after the commit."""

    user: str
    client: str
    last: int
    announce: bool


@dataclass
class _Transaction:
    """What one transaction writes, and what follows from it."""

    tables: list[Rows]
    statements: list[str]  # after the tables
    followed: list[tuple[int, int]]  # see Resolution.follow
    workflow_ends: list[tuple[int, str, str, int, str | None]]
    acknowledgements: list[Acknowledgement]
    unresolved: int
    awaited: int
    records: int
    rejected: int


Tell = Callable[[list[Acknowledgement]], None]


class Store:
    """Connection, catalogue and client states of the writer."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._connection: Any = None
        self._sent: _Transaction | None = None  # and not known to be committed
        self.records = 0  # received since this process began
        self.rejected = 0
        self.unresolved = 0
        self.awaited = 0
        """Sets that tasks take over from others and that are not marked yet."""
        self.news = True
        """Whether anything was stored since dependencies were resolved."""

    # ---------------------------------------------------------------------------------------------- connection

    def open(self) -> None:
        """Connect, learn what is stored, declare the dataflows.

        Raises:
            ProvenanceError: the database does not answer.
            pymonetdb.Error: it refused a statement.
        """
        self.close()
        self._connection = Session(connect(self._folder))
        for statement in (MAKE_STAGING, MAKE_PROGRESS, *MAKE_RESOLUTION):
            self._execute(statement)
        self._forget()
        for dataflow in parse(read_json(self._folder.dataflows)["dataflows"]):
            self._catalogue.declare(dataflow)
        self._resolution.follow(self._catalogue.followed())
        self._resolution.count()
        self._connection.commit()
        self.unresolved, self.awaited = self._resolution.unresolved, self._resolution.waiting

    def close(self) -> None:
        """Leave the database; what is not committed is gone."""
        connection, self._connection = self._connection, None
        self._sent = None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:  # noqa: BLE001 - a broken connection breaks in many ways, and it is over anyway
                logger.debug("closing: %s", error)

    def recover(self) -> bool:
        """After a failure: undo the transaction. Returns whether the database still answers on this connection."""
        if self._connection is None:
            return False
        try:
            self._connection.rollback()
            self._rows("SELECT 1")
            self._forget()
            self._connection.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, only a new connection helps
            logger.debug("recovering: %s", error)
            self.close()
            return False
        return True

    def rest(self) -> None:
        """An empty transaction.

        The server brings its log into its tables when there was none for 30 s, but only at the next one; without it,
        a database that is killed has the whole log to read when it starts again.
        """
        self._rows("SELECT 1")
        self._connection.commit()

    def _forget(self) -> None:
        """Learn again what is committed."""
        self._sent = None
        self._catalogue = Catalogue(self._connection)
        self._index = TaskIndex()
        self._index.load(self._rows)
        self._clients = Clients(self._execute, self._rows, self._take)
        self._next: dict[str, int] = {}
        self._resolution = Resolution(self._execute, self._rows, self._take)

    # ------------------------------------------------------------------------------------------------- storing

    def store(self, deliveries: Sequence[Delivery], refusal: str | None = None) -> list[Acknowledgement]:
        """Store messages in one transaction, or in several if they are large.

        Args:
            refusal: reject the messages whole, for this reason.

        Returns:
            What to tell the clients now that it is committed.

        Raises:
            Exception: not all are stored; call :meth:`recover`. What is stored already is not stored again.
        """
        told: dict[tuple[str, str], Acknowledgement] = {}
        waiting = deque(deliveries)
        while waiting:
            transaction = self._assembled(waiting, refusal)
            self._write(transaction)
            self._connection.commit()
            for one in self._committed(transaction):
                former = told.get((one.user, one.client))
                told[one.user, one.client] = one._replace(announce=one.announce or bool(former and former.announce))
        return list(told.values())

    def send(self, deliveries: Sequence[Delivery], tell: Tell) -> None:
        """Hand messages over to the database, and come back before they are stored.

        What was handed over before is stored then. Also :meth:`settle` and :meth:`look` see to it.

        Args:
            tell: called with what to tell the clients as soon as it is committed.

        Raises:
            Exception: neither these nor those that were not told of are sure to be stored; call :meth:`recover` and
                :meth:`store` all of them.
        """
        waiting = deque(deliveries)
        while waiting:
            transaction = self._assembled(waiting, None, lambda: self.look(tell))
            self.settle(tell)
            slow = transaction.followed or transaction.workflow_ends  # these ask questions
            if slow or not self._connection.send(transaction.tables, transaction.statements):
                self._write(transaction)
                self._connection.commit()
            transaction.tables.clear()
            self._sent = transaction

    @property
    def underway(self) -> bool:
        """Whether something was sent that was not told of."""
        return self._sent is not None

    @property
    def answers(self) -> int | None:
        """A file descriptor that can be read from when :meth:`look` may help; None when nothing is under way."""
        return self._connection.answers if self._connection is not None else None

    def look(self, tell: Tell) -> None:
        """Tell of what was sent if it is committed by now. Raises what :meth:`send` does."""
        if self._sent is not None and self._connection.advance():
            self.settle(tell)

    def settle(self, tell: Tell) -> None:
        """Wait until what was sent is committed, and tell of it. Raises what :meth:`send` does."""
        if self._sent is not None:
            self._connection.arrive()
            sent, self._sent = self._sent, None
            tell(self._committed(sent))

    def _assembled(
        self, waiting: deque[Delivery], refusal: str | None, meanwhile: Callable[[], None] = lambda: None
    ) -> _Transaction:
        """The next transaction: takes from the messages. All that is known in memory is as after its commit."""
        now_us = time.time_ns() // 1000
        now = moment(now_us)
        assembly = Assembly(self._catalogue, self._index, self._take, self._rows)
        touched: dict[tuple[str, str], bool] = {}
        changed: dict[int, Client] = {}
        size = 0
        while waiting and size < MAX_CONTENT:
            size += self._take_in(waiting.popleft(), assembly, touched, changed, now, refusal)
            meanwhile()
        ended = assembly.tasks.ended_rows()
        tables = [assembly.tasks.new_rows(), ended, *assembly.tables(), assembly.rejected.rows(now_us)]
        transaction = _Transaction(
            [rows for rows in tables if rows.count],
            [*([APPLY_STAGING] if ended.count else []), *progress(list(changed.values()), now, now_us)],
            self._catalogue.followed(),
            assembly.workflow_ends,
            [Acknowledgement(*who, self._clients.last(*who), announce) for who, announce in touched.items()],
            assembly.awaited.unresolved,
            assembly.awaited.waiting,
            sum(client.received for client in changed.values()),
            sum(client.rejected for client in changed.values()),
        )
        assembly.tasks.remember()
        for client in changed.values():
            client.received = client.stored = client.rejected = client.lost = 0
            client.newest_us = None
        return transaction

    def _committed(self, transaction: _Transaction) -> list[Acknowledgement]:
        self.unresolved += transaction.unresolved
        self.awaited += transaction.awaited
        self.records += transaction.records
        self.rejected += transaction.rejected
        self.news = self.news or bool(transaction.statements)
        return transaction.acknowledgements

    def resolve_dependencies(self) -> None:
        """Find tasks that were not known yet when others named them, and mark what tasks took over from others."""
        self._resolution.run(self._next, self._connection.commit)
        self.news = False
        self.unresolved, self.awaited = self._resolution.unresolved, self._resolution.waiting

    def _take_in(
        self,
        delivery: Delivery,
        assembly: Assembly,
        touched: dict[tuple[str, str], bool],
        changed: dict[int, Client],
        now: str,
        refusal: str | None,
    ) -> int:
        """Add a message. Returns the bytes of its content, decompressed; 0 when there is nothing to store of it."""
        try:
            _, user, name = parse_records_topic(delivery.topic)
            message = open_message(delivery.payload)
            if message.client != name:
                raise WireError(f"the message is from client {message.client!r}, its topic says {name!r}")
        except WireError as error:
            logger.warning("%s: %s", delivery.topic, error)
            assembly.rejected.message(None, 0, f"{delivery.topic}: {error}", delivery.payload)
            self.rejected += 1
            return len(delivery.payload)
        touched.setdefault((user, name), False)
        client = self._clients.find(user, name, now, make=message.seq in (1, message.base))
        if client is None:
            return 0  # nothing is stored of it and nothing can be: who only asks leaves no trace
        expected = client.last + 1
        if message.seq != expected and not (message.seq == message.base > expected):
            return 0  # stored before, or one that came before is still to be sent again
        try:
            batch = self._decoded(message, client, refusal)
        except UnknownShapeError:
            client.asked += 1
            touched[user, name] = True
            return 0
        except WireError as error:
            batch = Batch(name, message.seq, {}, {}, [], message.records, 0, "")
            assembly.rejected.message(client.id, message.seq, str(error), delivery.payload)
            client.rejected += message.records
        if message.seq > expected:
            self._clients.lost(client, expected, message.seq - 1, None, "the client no longer had them", now)
        if batch.about:
            self._clients.about(client, batch.about)
        if batch.lost:
            self._clients.lost(client, message.seq, message.seq, batch.lost, batch.reason, now)
            client.lost += batch.lost
        rejected = assembly.add(client.id, client.host, batch, client.run)
        self._clients.announced(client, batch.announced)
        for group in batch.groups:
            if group.records:
                newest_us = max(group.times_us)
                client.newest_us = newest_us if client.newest_us is None else max(client.newest_us, newest_us)
        client.received += batch.records
        client.rejected += rejected
        client.stored = client.received - client.rejected
        client.last, client.asked = message.seq, 0
        changed[client.id] = client
        return message.envelope.size + len(message.envelope.tail)

    def _decoded(self, message: Message, client: Client, refusal: str | None) -> Batch:
        if refusal is not None:
            raise WireError(refusal)
        try:
            return message.decode(client.shapes)
        except UnknownShapeError as error:
            if client.asked >= ANNOUNCE_ATTEMPTS:
                raise WireError(str(error)) from error
            raise

    def _write(self, transaction: _Transaction) -> None:
        """Execute a transaction statement by statement."""
        self._connection.copy(transaction.tables)
        for statement in transaction.statements:
            self._execute(statement)
        self.awaited += self._resolution.follow(transaction.followed)
        for client, tag, status, time_us, error in transaction.workflow_ends:
            self._end_workflow(client, tag, status, time_us, error)

    def _end_workflow(self, client: int, tag: str, status: str, time_us: int, error: str | None) -> None:
        where = f"client_id = {client} AND tag = {literal(tag)}"
        open_one = self._rows(f'SELECT max(id) FROM "public".workflow WHERE {where} AND ended IS NULL')
        number = open_one[0][0]
        if number is None:
            number = self._take("workflow", 1)
            version = self._catalogue.flow(tag, "").version
            self._execute(
                f'INSERT INTO "public".workflow (id, df_version, client_id, tag) '
                f"VALUES ({number}, {version}, {client}, {literal(tag)})"
            )
        self._execute(
            f'UPDATE "public".workflow SET status = {literal(status)}, error_msg = {literal(error)}, '
            f"ended = {moment(time_us)} WHERE id = {number}"
        )

    # --------------------------------------------------------------------------------------------------- pieces

    def _take(self, table: str, count: int) -> int:
        """Reserve ids of a table; this is the only writer."""
        if table not in self._next:
            self._next[table] = (self._rows(f"SELECT max(id) FROM {qualified(table)}")[0][0] or 0) + 1
        first = self._next[table]
        self._next[table] += count
        return first

    def _execute(self, statement: str) -> None:
        self._connection.cursor().execute(statement)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return rows(self._connection, statement)
