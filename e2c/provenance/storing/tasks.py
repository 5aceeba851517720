"""Rows of the table ``task``: begun, ended, and found again when the end comes later than the beginning."""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, repeat
from typing import Any

from e2c.provenance.columns import (
    BIGINT_NULL,
    INTEGER_NULL,
    Rows,
    bigints,
    checksums,
    integers,
    same_text,
    texts,
    timestamps,
)
from e2c.provenance.names import literal, qualified
from e2c.provenance.storing.checks import clean
from provlight.wire import Group

RUNNING, FINISHED, FAILED = "RUNNING", "FINISHED", "FAILED"

MAX_REMEMBERED = 1 << 16
"""Tasks whose row is remembered; others are looked up in the database."""

FORGOTTEN = 1 << 10
"""How many tasks are forgotten at once, at least."""

MAX_LOADED = 1 << 13
"""Running tasks that are read at the start; so many take a fifth of a second."""

STAGING = "tmp.ended"
"""Temporary table of the writer's session for the ends of earlier tasks."""

MAKE_STAGING = (
    "CREATE LOCAL TEMPORARY TABLE tmp.ended (id INTEGER, status TEXT, ended TIMESTAMP, error_msg TEXT) "
    "ON COMMIT DELETE ROWS"
)

APPLY_STAGING = (
    'UPDATE "public".task SET status = e.status, ended = e.ended, error_msg = e.error_msg '
    "FROM tmp.ended AS e WHERE task.id = e.id"
)

Key = tuple[int, int, str, str]
"""Client, transformation, workflow and identity of a task."""

_MAX_INT64 = (1 << 63) - 1
_MAX_ID = (1 << 31) - 1


class TaskIndex:
    """Where the rows of recent tasks are: bounded, and only ever a shortcut.

    Every task that has not ended and whose id is ``floor`` or more is here, so that it need not be looked for.
    """

    def __init__(self) -> None:
        self.floor = _MAX_ID
        self.open: OrderedDict[Key, int] = OrderedDict()
        self.recent: dict[tuple[int, str, str], tuple[int, int]] = {}  # transformation and row

    @property
    def complete(self) -> bool:
        """Whether every task that has not ended is here."""
        return self.floor == 0

    def begun(self, key: Key, number: int) -> None:
        """Remember a task for those that name it."""
        self.begun_all([key], [number])

    def begun_all(self, keys: Sequence[Key], numbers: Sequence[int]) -> None:
        """The same for tasks of one client, transformation and workflow."""
        client, step, workflow, _ = keys[0]
        names = zip(repeat(client), repeat(workflow), [key[3] for key in keys])
        self.recent.update(zip(names, zip(repeat(step), numbers), strict=False))
        if len(self.recent) > MAX_REMEMBERED + FORGOTTEN:
            for name in list(islice(self.recent, len(self.recent) - MAX_REMEMBERED)):
                del self.recent[name]

    def leave_open(self, key: Key, number: int) -> None:
        """Remember a task that has not ended."""
        former = self.open.get(key)  # begun twice and not ended: only the later one can be here
        if former is not None:
            self.floor = max(self.floor, former + 1)
        self.open[key] = number
        if len(self.open) > MAX_REMEMBERED:
            _, oldest = self.open.popitem(last=False)
            self.floor = max(self.floor, oldest + 1)

    def load(self, rows: Callable[[str], list[tuple[Any, ...]]]) -> None:
        """Learn from the database which tasks have not ended; the latest ones if they are too many."""
        found = rows(
            f"SELECT client_id, dt_id, workflow, key, id FROM {qualified('task')} WHERE ended IS NULL "
            f"ORDER BY id DESC LIMIT {MAX_LOADED}"
        )
        for client, step, workflow, identity, number in reversed(found):
            self.open[client, step, workflow, identity] = number
        self.floor = found[-1][4] if len(found) == MAX_LOADED else 0


class TaskRows:
    """New rows and ends of one transaction.

    Args:
        index: lasts over transactions.
        numbers: reserves so many ids for new rows, and gives the first.
        rows: answers SQL, for tasks that the index has forgotten.
    """

    def __init__(
        self, index: TaskIndex, numbers: Callable[[int], int], rows: Callable[[str], list[tuple[Any, ...]]]
    ) -> None:
        self._index = index
        self._numbers = numbers
        self._rows = rows
        self._runs: dict[int, str] = {}  # by client
        self._open: dict[Key, int] = {}  # begun in this transaction, place in the lists below
        self._earlier: dict[Key, int] = {}  # begun before, found in the database
        self._ids: list[int] = []
        self._keys: list[Key] = []
        self._places: list[tuple[int, str | None]] = []  # version of the dataflow, host
        self._parents: dict[int, tuple[int, str, int]] = {}  # by place: row, identity and transformation
        self._statuses: list[str] = []
        self._errors: list[str | None] = []
        self._started: list[int | None] = []
        self._ended: list[int | None] = []
        self._ends: dict[int, tuple[str, int, str | None]] = {}
        self.orphans: list[
            tuple[int, str, int]
        ] = []  # whose parent is not known: row, and identity and transformation of that

    def of_run(self, client: int, run: str | None) -> None:
        """The tasks of a client are part of a run; None: of none that has a name."""
        if run is not None:
            self._runs[client] = run

    def begin(
        self,
        key: Key,
        version: int,
        host: str | None,
        time_us: int | None,
        parent: tuple[int | None, str] | None = None,
    ) -> int:
        """A task begins.

        Args:
            parent: transformation, None when it is not known, and identity of the task that this one is a part of.

        Returns:
            The id of its row.
        """
        number = self._numbers(1)
        if parent is not None:
            self._name_parent(number, key, parent)
        self._open[key] = len(self._ids)
        self._ids.append(number)
        self._keys.append(key)
        self._places.append((version, host))
        self._statuses.append(RUNNING)
        self._errors.append(None)
        self._started.append(time_us)
        self._ended.append(None)
        self._index.begun(key, number)
        return number

    def begin_all(self, keys: Sequence[Key], version: int, host: str | None, times_us: Sequence[int]) -> range:
        """Many tasks begin, each with a key of its own. Returns the ids of their rows."""
        count, place = len(keys), len(self._ids)
        first = self._numbers(count)
        numbers = range(first, first + count)
        self._open.update(zip(keys, range(place, place + count), strict=True))
        self._ids.extend(numbers)
        self._keys.extend(keys)
        self._places.extend([(version, host)] * count)
        self._statuses.extend([RUNNING] * count)
        self._errors.extend([None] * count)
        self._started.extend(times_us)
        self._ended.extend([None] * count)
        self._index.begun_all(keys, numbers)
        return numbers

    def end(self, key: Key, version: int, host: str | None, status: str, time_us: int, error: str | None) -> int:
        """A task ends. Returns the id of its row, which is a new one when no beginning is known."""
        number = self._index.open.pop(key, None) if key not in self._open else None
        if number is None and key not in self._open:
            number = self._earlier.pop(key, None)
        if number is not None and number not in self._ends:
            self._ends[number] = status, time_us, error
            return number
        if key not in self._open:
            self.begin(key, version, host, None)
        place = self._open.pop(key)
        self._statuses[place] = status
        self._ended[place] = time_us
        self._errors[place] = error
        return self._ids[place]

    def end_all(self, keys: Sequence[Key], version: int, host: str | None, status: str, group: Group) -> list[int]:
        """Many tasks end, each with a key of its own. Returns the ids of their rows."""
        times_us = group.times_us
        if group.errors is None and all(map(self._open.__contains__, keys)):
            places = list(map(self._open.pop, keys))
            first, count = places[0], len(places)
            if places == list(range(first, first + count)):
                self._statuses[first : first + count] = [status] * count
                self._ended[first : first + count] = times_us
                return self._ids[first : first + count]
            for place, time_us in zip(places, times_us, strict=True):
                self._statuses[place] = status
                self._ended[place] = time_us
            return [self._ids[place] for place in places]
        return [
            self.end(key, version, host, status, times_us[place], error_of(group, place))
            for place, key in enumerate(keys)
        ]

    def use(self, key: Key, version: int, host: str | None) -> int:
        """A task that goes on. Returns the id of its row, which is a new one when no beginning is known."""
        place = self._open.get(key)
        if place is not None:
            return self._ids[place]
        number = self._index.open.get(key) or self._earlier.get(key)
        if number is not None and number not in self._ends:
            return number
        return self.begin(key, version, host, None)

    def knows(self, key: Key) -> bool:
        """Whether the row of a task that has not ended is known without a question."""
        return key in self._open or key in self._index.open

    def recent(self, client: int, workflow: str, identity: str, step: int | None = None) -> int | None:
        """The row of the task that a client has begun last under an identity, of one transformation if given."""
        if step is not None:
            key = client, step, workflow, identity
            if key in self._open:
                return self._ids[self._open[key]]
            if key in self._index.open:
                return self._index.open[key]
        known = self._index.recent.get((client, workflow, identity))
        return known[1] if known is not None and step in (None, known[0]) else None

    def _name_parent(self, number: int, key: Key, parent: tuple[int | None, str]) -> None:
        step, identity = INTEGER_NULL if parent[0] is None else parent[0], parent[1]
        row = self.recent(key[0], key[2], identity, parent[0])
        if row is None:
            self.orphans.append((number, identity, step))
        self._parents[len(self._ids)] = INTEGER_NULL if row is None else row, identity, step

    def look_up(self, client: int, keys: Iterable[Key]) -> None:
        """Find, in one query, open tasks that neither this transaction nor the index knows."""
        if self._index.complete:
            return
        missing = {key for key in keys if key not in self._open and key not in self._index.open}
        if not missing:
            return
        names = ", ".join(sorted({literal(key[3]) for key in missing}))
        found = self._rows(
            f"SELECT dt_id, workflow, key, max(id) FROM {qualified('task')} "
            f"WHERE client_id = {client} AND ended IS NULL AND id < {self._index.floor} AND key IN ({names}) "
            "GROUP BY dt_id, workflow, key"
        )
        for step, workflow, identity, number in found:
            key = client, step, workflow, identity
            if key in missing:
                self._earlier[key] = number

    def new_rows(self) -> Rows:
        """Rows of tasks that begin in this transaction."""
        rows = Rows(qualified("task"))
        count = len(self._ids)
        if not count:
            return rows
        clients, steps, workflows, keys = zip(*self._keys, strict=True)
        versions, hosts = zip(*self._places, strict=True)
        columns = {
            "id": ("INTEGER", integers(self._ids)),
            "identifier": ("BIGINT", _identifiers(keys)),
            "df_version": ("INTEGER", integers(versions)),
            "dt_id": ("INTEGER", integers(steps)),
            "status": ("TEXT", texts(self._statuses)),
            "computing_resource": ("TEXT", texts(hosts)),
            "client_id": ("INTEGER", integers(clients)),
            "workflow": ("TEXT", texts(workflows)),
            "key": ("TEXT", texts(keys)),
            "key_sum": ("INTEGER", checksums(keys)),
            "started": ("TIMESTAMP", timestamps(self._started)),
        }
        if self._runs:
            columns["run"] = "TEXT", self._run_names(clients)
        if self._ended.count(None) < count:
            columns["ended"] = "TIMESTAMP", timestamps(self._ended)
        if self._errors.count(None) < count:
            columns["error_msg"] = "TEXT", texts(self._errors)
        if self._parents:
            nobody = INTEGER_NULL, None, INTEGER_NULL
            parents = [self._parents.get(place, nobody) for place in range(count)]
            columns["parent_id"] = "INTEGER", integers([row for row, _, _ in parents])
            columns["parent_key"] = "TEXT", texts([identity for _, identity, _ in parents])
            columns["parent_dt_id"] = "INTEGER", integers([step for _, _, step in parents])
        rows.append(count, columns)
        return rows

    def _run_names(self, clients: Sequence[int]) -> bytes:
        names = {self._runs.get(client) for client in set(clients)}
        if len(names) == 1:
            return same_text(names.pop(), len(clients))
        return texts([self._runs.get(client) for client in clients])

    def ended_rows(self) -> Rows:
        """Ends of tasks that began in earlier transactions."""
        rows = Rows(STAGING)
        if self._ends:
            ids = sorted(self._ends)  # MonetDB searches ids that ascend; for others it reads the whole table
            statuses, times, errors = zip(*[self._ends[number] for number in ids], strict=True)
            rows.append(
                len(ids),
                {
                    "id": ("INTEGER", integers(ids)),
                    "status": ("TEXT", texts(statuses)),
                    "ended": ("TIMESTAMP", timestamps(times)),
                    "error_msg": ("TEXT", texts(errors)),
                },
            )
        return rows

    def remember(self) -> None:
        """The rows are assembled: let the index know which tasks remain open."""
        for key, place in self._open.items():
            self._index.leave_open(key, self._ids[place])


def error_of(group: Group, place: int) -> str | None:
    """What went wrong with a record; None when nothing is said of it."""
    return clean(group.errors[place]) or None if group.errors else None


def _identifiers(keys: Sequence[str]) -> bytes:
    """The users' identities as numbers, where they are numbers."""
    try:
        return bigints(map(int, keys))
    except (ValueError, OverflowError):
        return bigints([_identifier(key) for key in keys])


def _identifier(key: str) -> int:
    """The user's identity as a number, where it is one."""
    try:
        number = int(key)
    except ValueError:
        return BIGINT_NULL
    return number if -_MAX_INT64 <= number <= _MAX_INT64 else BIGINT_NULL
