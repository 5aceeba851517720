"""What the writer knows of each client, and what it writes of it."""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from e2c.provenance.names import literal
from provlight.wire import MAX_NAME, RUN, Shape, remember

MAX_CLIENTS = 4096
"""Clients whose state is kept in memory; others are read again when they send."""

MAX_LAG_US = (1 << 63) - 1
"""Longest lag that is told: clocks of devices may stand anywhere."""

MAKE_PROGRESS = (
    "CREATE LOCAL TEMPORARY TABLE tmp.progress (id INTEGER, last_seq BIGINT, received BIGINT, stored BIGINT, "
    "rejected BIGINT, lost BIGINT, lag_us BIGINT) ON COMMIT DELETE ROWS"
)
_APPLY_PROGRESS = (
    'UPDATE "public".client SET last_seq = p.last_seq, received = client.received + p.received, '
    "stored = client.stored + p.stored, rejected = client.rejected + p.rejected, lost = client.lost + p.lost, "
    "lag_us = coalesce(p.lag_us, client.lag_us), last_seen = {now} FROM tmp.progress AS p WHERE client.id = p.id"
)


@dataclass
class Client:
    """State of a client: what the transactions up to this one make of it, and what this one adds."""

    id: int
    last: int
    host: str | None
    run: str | None = None  # of which its tasks are part
    shapes: dict[int, Shape] = field(default_factory=dict)
    asked: int = 0  # how often the shapes of the next batch were asked for
    received: int = 0
    stored: int = 0
    rejected: int = 0
    lost: int = 0
    newest_us: int | None = None  # when the newest of these records was captured


class Clients(dict[tuple[str, str], Client]):
    """The clients of one connection by user and name, the latest last. After a rollback they have to be learned anew.

    Args:
        execute: executes a statement.
        rows: answers SQL.
        take: reserves so many ids of a table and gives the first.
    """

    def __init__(
        self,
        execute: Callable[[str], None],
        rows: Callable[[str], list[tuple[Any, ...]]],
        take: Callable[[str, int], int],
    ) -> None:
        super().__init__()
        self._execute = execute
        self._rows = rows
        self._take = take

    def last(self, user: str, name: str) -> int:
        """The last batch of a client in the transactions up to this one."""
        known = self.get((user, name))
        return known.last if known is not None else 0

    def find(self, user: str, name: str, now: str, make: bool) -> Client | None:
        """A client's state; None when nothing is known of it and it shall not be made."""
        known = self.pop((user, name), None)
        if known is not None:
            self[user, name] = known  # the last one now
            return known
        if len(self) >= MAX_CLIENTS:  # far more than one transaction has, so the first is not in it
            del self[next(iter(self))]
        where = f"user_name = {literal(user)} AND client = {literal(name)}"
        found = self._rows(f'SELECT id, last_seq, host, run FROM "public".client WHERE {where}')
        if found:
            client = Client(*found[0])
            for number, shape in self._rows(f"SELECT number, shape FROM client_shape WHERE client_id = {client.id}"):
                client.shapes[number] = Shape.from_wire(json.loads(shape))
        elif not make:
            return None
        else:
            client = Client(self._take("client", 1), 0, None)
            self._execute(
                'INSERT INTO "public".client (id, user_name, client, first_seen, last_seen, last_seq, received, '
                "stored, rejected, lost) "
                f"VALUES ({client.id}, {literal(user)}, {literal(name)}, {now}, {now}, 0, 0, 0, 0, 0)"
            )
        self[user, name] = client
        return client

    def about(self, client: Client, about: Mapping[str, Any]) -> None:
        """What a client tells of itself."""
        host = about.get("host")
        client.host = str(host).replace("\0", "") if host else client.host
        run = str(about.get(RUN, "")).replace("\0", "")[:MAX_NAME]
        client.run = run or client.run
        text = json.dumps(about)
        self._execute(
            f'UPDATE "public".client SET about = {literal(text)}, host = {literal(client.host)}, '
            f"run = {literal(client.run)} WHERE id = {client.id}"
        )

    def announced(self, client: Client, announced: Mapping[int, Shape]) -> None:
        """Shapes that came with a batch."""
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

    def lost(self, client: Client, first: int, last: int, records: int | None, reason: str, now: str) -> None:
        """Batches that will not come."""
        text = literal(reason.replace("\0", ""))
        self._execute(
            f'INSERT INTO "public".loss VALUES ({client.id}, {first}, {last}, {literal(records)}, {text}, {now})'
        )


def progress(changed: Sequence[Client], now: str, now_us: int) -> list[str]:
    """Statements that bring the clients of a transaction up to date."""
    values = ", ".join(
        f"({one.id}, {one.last}, {one.received}, {one.stored}, {one.rejected}, {one.lost}, "
        f"{literal(None if one.newest_us is None else min(now_us - one.newest_us, MAX_LAG_US))})"
        for one in changed
    )
    return [f"INSERT INTO tmp.progress VALUES {values}", _APPLY_PROGRESS.format(now=now)] if changed else []
