"""The one writer: messages in, rows out, everything of one call in one transaction.

Exactly once: a client's batches carry contiguous sequence numbers. A batch is stored together with the client's new
``last_seq``; whatever has a number up to that is acknowledged again and not stored again.
"""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from e2c.provenance.columns import Rows, moment
from e2c.provenance.connections import connect, rows, uploader
from e2c.provenance.dataflows.catalogue import Catalogue
from e2c.provenance.dataflows.dataflow import parse
from e2c.provenance.folder import DataFolder, read_json
from e2c.provenance.names import literal, qualified
from e2c.provenance.storing.assembly import Assembly
from e2c.provenance.storing.resolution import MAKE as MAKE_RESOLUTION
from e2c.provenance.storing.resolution import Resolution
from e2c.provenance.storing.tasks import APPLY_STAGING, MAKE_STAGING, TaskIndex
from provlight.wire import (
    Batch,
    Message,
    Shape,
    UnknownShapeError,
    WireError,
    open_message,
    parse_records_topic,
    remember,
)

logger = logging.getLogger(__name__)

MAX_CLIENTS = 4096
"""Clients whose state is kept in memory; others are read again when they send."""

MAX_CONTENT = 16 << 20
"""Most of one transaction, and one message more: bytes of what messages hold, decompressed."""

ANNOUNCE_ATTEMPTS = 5
"""How often a client is asked for shapes before its batch is rejected."""

_MAKE_PROGRESS = (
    "CREATE LOCAL TEMPORARY TABLE tmp.progress (id INTEGER, last_seq BIGINT, received BIGINT, stored BIGINT, "
    "rejected BIGINT, lost BIGINT, lag_us BIGINT) ON COMMIT DELETE ROWS"
)
_APPLY_PROGRESS = (
    'UPDATE "public".client SET last_seq = p.last_seq, received = client.received + p.received, '
    "stored = client.stored + p.stored, rejected = client.rejected + p.rejected, lost = client.lost + p.lost, "
    "lag_us = coalesce(p.lag_us, client.lag_us), last_seen = {now} FROM tmp.progress AS p WHERE client.id = p.id"
)


MAX_LAG_US = (1 << 63) - 1
"""Longest lag that is told: clocks of devices may stand anywhere."""


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
class _Client:
    """State of a client: what is committed, and what this transaction adds."""

    id: int
    last: int
    host: str | None
    shapes: dict[int, Shape] = field(default_factory=dict)
    asked: int = 0  # how often the shapes of the next batch were asked for
    received: int = 0
    stored: int = 0
    rejected: int = 0
    lost: int = 0
    newest_us: int | None = None  # when the newest of these records was captured


class Store:
    """Connection, catalogue and client states of the writer."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._connection: Any = None
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
        self._connection = connect(self._folder)
        for statement in (MAKE_STAGING, _MAKE_PROGRESS, *MAKE_RESOLUTION):
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
        self._catalogue = Catalogue(self._connection)
        self._index = TaskIndex()
        self._index.load(self._rows)
        self._clients: dict[tuple[str, str], _Client] = {}
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
        now_us = time.time_ns() // 1000
        now = moment(now_us)
        touched: dict[tuple[str, str], bool] = {}
        waiting = iter(deliveries)
        left = True
        while left:
            assembly = Assembly(self._catalogue, self._index, self._take, self._rows)
            changed: dict[int, _Client] = {}
            size = 0
            left = False
            for delivery in waiting:
                size += self._take_in(delivery, assembly, touched, changed, now, refusal)
                if size >= MAX_CONTENT:
                    left = True
                    break
            self._write(assembly, changed, now, now_us)
            self._connection.commit()
            self._committed(assembly, changed)
        return [
            Acknowledgement(user, name, known.last if known is not None else 0, announce)
            for (user, name), announce in touched.items()
            for known in (self._clients.get((user, name)),)
        ]

    def _committed(self, assembly: Assembly, changed: dict[int, _Client]) -> None:
        assembly.tasks.remember()
        self.unresolved += assembly.awaited.unresolved
        self.awaited += assembly.awaited.waiting
        self.news = self.news or bool(changed)
        for client in changed.values():
            self.records += client.received
            self.rejected += client.rejected
            client.received = client.stored = client.rejected = client.lost = 0
            client.newest_us = None

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
        changed: dict[int, _Client],
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
        client = self._client(user, name, now, make=message.seq in (1, message.base))
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
            self._lost(client, expected, message.seq - 1, None, "the client no longer had them", now)
        if batch.about:
            self._about(client, batch.about)
        if batch.lost:
            self._lost(client, message.seq, message.seq, batch.lost, batch.reason, now)
            client.lost += batch.lost
        rejected = assembly.add(client.id, client.host, batch)
        self._announced(client, batch.announced)
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

    def _decoded(self, message: Message, client: _Client, refusal: str | None) -> Batch:
        if refusal is not None:
            raise WireError(refusal)
        try:
            return message.decode(client.shapes)
        except UnknownShapeError as error:
            if client.asked >= ANNOUNCE_ATTEMPTS:
                raise WireError(str(error)) from error
            raise

    def _write(self, assembly: Assembly, changed: dict[int, _Client], now: str, now_us: int) -> None:
        ended = assembly.tasks.ended_rows()
        self._copy([assembly.tasks.new_rows(), ended, *assembly.tables(), assembly.rejected.rows(now_us)])
        if ended.count:
            self._execute(APPLY_STAGING)
        self.awaited += self._resolution.follow(self._catalogue.followed())
        for client, tag, status, time_us, error in assembly.workflow_ends:
            self._end_workflow(client, tag, status, time_us, error)
        if changed:
            values = ", ".join(
                f"({one.id}, {one.last}, {one.received}, {one.stored}, {one.rejected}, {one.lost}, "
                f"{literal(None if one.newest_us is None else min(now_us - one.newest_us, MAX_LAG_US))})"
                for one in changed.values()
            )
            self._execute(f"INSERT INTO tmp.progress VALUES {values}")
            self._execute(_APPLY_PROGRESS.format(now=now))

    def _copy(self, tables: Iterable[Rows]) -> None:
        for table in tables:
            if table.count:
                self._connection.set_uploader(uploader(table.columns()))
                self._execute(table.statement())

    # ------------------------------------------------------------------------------------------------- clients

    def _client(self, user: str, name: str, now: str, make: bool) -> _Client | None:
        known = self._clients.pop((user, name), None)
        if known is not None:
            self._clients[user, name] = known  # the last one now
            return known
        if len(self._clients) >= MAX_CLIENTS:  # far more than one transaction has, so the first is not in it
            del self._clients[next(iter(self._clients))]
        where = f"user_name = {literal(user)} AND client = {literal(name)}"
        found = self._rows(f'SELECT id, last_seq, host FROM "public".client WHERE {where}')
        if found:
            client = _Client(*found[0])
            for number, shape in self._rows(f"SELECT number, shape FROM client_shape WHERE client_id = {client.id}"):
                client.shapes[number] = Shape.from_wire(json.loads(shape))
        elif not make:
            return None
        else:
            client = _Client(self._take("client", 1), 0, None)
            self._execute(
                'INSERT INTO "public".client (id, user_name, client, first_seen, last_seen, last_seq, received, '
                "stored, rejected, lost) "
                f"VALUES ({client.id}, {literal(user)}, {literal(name)}, {now}, {now}, 0, 0, 0, 0, 0)"
            )
        self._clients[user, name] = client
        return client

    def _about(self, client: _Client, about: dict[str, Any]) -> None:
        host = about.get("host")
        client.host = str(host).replace("\0", "") if host else client.host
        text = json.dumps(about)
        self._execute(
            f'UPDATE "public".client SET about = {literal(text)}, host = {literal(client.host)} WHERE id = {client.id}'
        )

    def _announced(self, client: _Client, announced: dict[int, Shape]) -> None:
        new = {number: shape for number, shape in announced.items() if client.shapes.get(number) != shape}
        if not new:
            return
        gone = [number for number in new if number in client.shapes]
        gone += remember(client.shapes, new)
        if gone:
            numbers = ", ".join(map(str, gone))
            self._execute(f"DELETE FROM client_shape WHERE client_id = {client.id} AND number IN ({numbers})")
        values = [
            f"({client.id}, {number}, {literal(json.dumps(shape.to_wire()))})"
            for number, shape in new.items()
            if number in client.shapes
        ]
        self._execute(f"INSERT INTO client_shape VALUES {', '.join(values)}")

    def _lost(self, client: _Client, first: int, last: int, records: int | None, reason: str, now: str) -> None:
        text = literal(reason.replace("\0", ""))
        self._execute(
            f'INSERT INTO "public".loss VALUES ({client.id}, {first}, {last}, {literal(records)}, {text}, {now})'
        )

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
