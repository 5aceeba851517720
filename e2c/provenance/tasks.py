"""Rows of the table ``task``: begun, ended, and found again when the end comes later than the beginning."""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from e2c.provenance.columns import BIGINT_NULL, INTEGER_NULL, Rows, bigints, integers, texts, timestamps
from e2c.provenance.names import literal, qualified

RUNNING, FINISHED, FAILED = "RUNNING", "FINISHED", "FAILED"

MAX_REMEMBERED = 1 << 16
"""Tasks whose row is remembered; others are looked up in the database."""

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


class TaskIndex:
    """Where the rows of recent tasks are: bounded, and only ever a shortcut."""

    def __init__(self) -> None:
        self.open: OrderedDict[Key, int] = OrderedDict()
        self.recent: OrderedDict[tuple[int, str, str], tuple[int, int]] = OrderedDict()  # transformation and row

    def begun(self, key: Key, number: int) -> None:
        """Remember a task for those that name it."""
        client, step, workflow, identity = key
        self.recent[client, workflow, identity] = step, number
        if len(self.recent) > MAX_REMEMBERED:
            self.recent.popitem(last=False)

    def leave_open(self, key: Key, number: int) -> None:
        """Remember a task that has not ended."""
        self.open[key] = number
        if len(self.open) > MAX_REMEMBERED:
            self.open.popitem(last=False)


class TaskRows:
    """New rows and ends of one transaction.

    Args:
        index: lasts over transactions.
        number: gives the id of a new row.
        rows: answers SQL, for tasks that the index has forgotten.
    """

    def __init__(
        self, index: TaskIndex, number: Callable[[], int], rows: Callable[[str], list[tuple[Any, ...]]]
    ) -> None:
        self._index = index
        self._number = number
        self._rows = rows
        self._open: dict[Key, int] = {}  # begun in this transaction, place in the lists below
        self._earlier: dict[Key, int] = {}  # begun before, found in the database
        self._ids: list[int] = []
        self._identifiers: list[int] = []
        self._versions: list[int] = []
        self._steps: list[int] = []
        self._clients: list[int] = []
        self._hosts: list[str | None] = []
        self._workflows: list[str] = []
        self._keys: list[str] = []
        self._parents: list[int] = []
        self._parent_keys: list[str | None] = []
        self._parent_steps: list[int] = []
        self._statuses: list[str] = []
        self._errors: list[str | None] = []
        self._started: list[int | None] = []
        self._ended: list[int | None] = []
        self._ends: dict[int, tuple[str, int, str | None]] = {}
        self.orphans = 0  # tasks whose parent is not known yet

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
        number = self._number()
        self._name_parent(key, parent)
        self._open[key] = len(self._ids)
        self._ids.append(number)
        self._identifiers.append(_identifier(key[3]))
        self._versions.append(version)
        self._steps.append(key[1])
        self._clients.append(key[0])
        self._hosts.append(host)
        self._workflows.append(key[2])
        self._keys.append(key[3])
        self._statuses.append(RUNNING)
        self._errors.append(None)
        self._started.append(time_us)
        self._ended.append(None)
        self._index.begun(key, number)
        return number

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

    def use(self, key: Key, version: int, host: str | None) -> int:
        """A task that goes on. Returns the id of its row, which is a new one when no beginning is known."""
        place = self._open.get(key)
        if place is not None:
            return self._ids[place]
        number = self._index.open.get(key) or self._earlier.get(key)
        if number is not None and number not in self._ends:
            return number
        return self.begin(key, version, host, None)

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

    def _name_parent(self, key: Key, parent: tuple[int | None, str] | None) -> None:
        row = None if parent is None else self.recent(key[0], key[2], parent[1], parent[0])
        if parent is not None and row is None:
            self.orphans += 1
        self._parents.append(INTEGER_NULL if row is None else row)
        self._parent_keys.append(None if parent is None else parent[1])
        self._parent_steps.append(INTEGER_NULL if parent is None or parent[0] is None else parent[0])

    def look_up(self, client: int, keys: Iterable[Key]) -> None:
        """Find, in one query, open tasks that neither this transaction nor the index knows."""
        missing = {key for key in keys if key not in self._open and key not in self._index.open}
        if not missing:
            return
        names = ", ".join(sorted({literal(key[3]) for key in missing}))
        found = self._rows(
            f"SELECT dt_id, workflow, key, max(id) FROM {qualified('task')} "
            f"WHERE client_id = {client} AND ended IS NULL AND key IN ({names}) GROUP BY dt_id, workflow, key"
        )
        for step, workflow, identity, number in found:
            key = client, step, workflow, identity
            if key in missing:
                self._earlier[key] = number

    def new_rows(self) -> Rows:
        """Rows of tasks that begin in this transaction."""
        rows = Rows(qualified("task"))
        if self._ids:
            rows.append(
                len(self._ids),
                {
                    "id": ("INTEGER", integers(self._ids)),
                    "identifier": ("BIGINT", bigints(self._identifiers)),
                    "df_version": ("INTEGER", integers(self._versions)),
                    "dt_id": ("INTEGER", integers(self._steps)),
                    "status": ("TEXT", texts(self._statuses)),
                    "computing_resource": ("TEXT", texts(self._hosts)),
                    "error_msg": ("TEXT", texts(self._errors)),
                    "client_id": ("INTEGER", integers(self._clients)),
                    "workflow": ("TEXT", texts(self._workflows)),
                    "key": ("TEXT", texts(self._keys)),
                    "parent_id": ("INTEGER", integers(self._parents)),
                    "parent_key": ("TEXT", texts(self._parent_keys)),
                    "parent_dt_id": ("INTEGER", integers(self._parent_steps)),
                    "started": ("TIMESTAMP", timestamps(self._started)),
                    "ended": ("TIMESTAMP", timestamps(self._ended)),
                },
            )
        return rows

    def ended_rows(self) -> Rows:
        """Ends of tasks that began in earlier transactions."""
        rows = Rows(STAGING)
        if self._ends:
            statuses, times, errors = zip(*self._ends.values(), strict=True)
            rows.append(
                len(self._ends),
                {
                    "id": ("INTEGER", integers(self._ends)),
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


def _identifier(key: str) -> int:
    """The user's identity as a number, where it is one."""
    try:
        number = int(key)
    except ValueError:
        return BIGINT_NULL
    return number if -_MAX_INT64 <= number <= _MAX_INT64 else BIGINT_NULL
