"""What a task came from, and what came of it.

One task comes from another when it depends on it, uses an element of a set that the other made, or has it as a part.
MonetDB has no recursion. One question for each step would take as many round trips as a chain has links, and reading
all edges as long as the database is big; instead each question asks for the edges of the tasks in a range of ids around
those reached, and the range grows as long as the way goes on inside it.
"""

# ruff: noqa: S608 - statements are made of numbers, and of names that names.py has quoted
from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from e2c.provenance.names import qualified, quoted
from e2c.provenance.queries.durations import between
from e2c.provenance.queries.tasks import summary

if TYPE_CHECKING:
    from e2c.provenance.queries.provenance import Provenance, Row

FIRST_RANGE = 1000
GROWTH = 8
MOST_RANGE = 1 << 21
MOST_NAMED = 1000
"""Ids in the list of one statement."""

DEPENDS, PART = "depends", "part"


@dataclass(frozen=True)
class Edge:
    """``task`` came from ``source``; ``kind`` is ``depends``, ``part``, or the tag of the set between them."""

    source: int
    task: int
    kind: str


@dataclass
class Lineage:
    """The tasks of a lineage, and how each came from others."""

    task: int
    tasks: list[Row] = field(default_factory=list)  # sources first, with their ``distance``: negative for sources
    edges: list[Edge] = field(default_factory=list)

    def as_json(self) -> Row:
        """As JSON values."""
        edges = [{"from": edge.source, "to": edge.task, "kind": edge.kind} for edge in self.edges]
        return {"task": self.task, "tasks": self.tasks, "edges": edges}


@dataclass(frozen=True)
class _Source:
    """A table with edges: one column has the tasks, another where they came from."""

    table: str
    task: str
    source: str
    kind: str

    def query(self, key: str, condition: str) -> str:
        task, source = quoted(self.task), quoted(self.source)
        key = quoted(self.task if key == "task" else self.source)
        return (
            f"SELECT DISTINCT {source}, {task} FROM {qualified(self.table)} "
            f"WHERE {condition.format(key)} AND {task} IS NOT NULL AND {source} IS NOT NULL"
        )


class _Way:
    """The edges in one direction, as far as they were asked for."""

    def __init__(self, provenance: Provenance, sources: Sequence[_Source], up: bool) -> None:
        self._provenance = provenance
        self._sources = sources
        self._key = "task" if up else "source"
        self._up = up
        self._known: dict[int, list[Edge]] = defaultdict(list)
        self._ranges: list[tuple[int, int]] = []
        self._asked: set[int] = set()
        self._width = FIRST_RANGE

    def edges(self, number: int) -> list[Edge]:
        return self._known.get(number, [])

    def covers(self, number: int) -> bool:
        return number in self._asked or any(low <= number <= high for low, high in self._ranges)

    def extend(self, frontier: Iterable[int]) -> None:
        """Ask for the edges of tasks that were reached."""
        wanted = sorted(frontier)
        low, high = wanted[0], wanted[-1]
        if high - low < self._width:
            low, high = (max(0, high - self._width), high) if self._up else (low, low + self._width)
            self._width = min(self._width * GROWTH, MOST_RANGE)
            self._take(f"{{}} BETWEEN {low} AND {high}")
            self._ranges.append((low, high))
            return
        for start in range(0, len(wanted), MOST_NAMED):
            self._take(f"{{}} IN ({', '.join(map(str, wanted[start : start + MOST_NAMED]))})")
        self._asked.update(wanted)

    def _take(self, condition: str) -> None:
        for source in self._sources:
            sources, tasks = self._provenance.columns(source.query(self._key, condition))
            for origin, task in zip(sources, tasks, strict=True):
                key = task if self._up else origin
                if not self.covers(key):
                    self._known[key].append(Edge(origin, task, source.kind))


def follow(
    provenance: Provenance, number: int, *, up: bool = True, down: bool = True, depth: int | None = None
) -> Lineage:
    """The lineage of a task.

    Args:
        number: id of its row.
        depth: most steps in each direction; None follows to the ends.
    """
    sources = _sources(provenance)
    distances = {number: 0}
    edges: dict[Edge, None] = {}
    for wanted, sign in ((up, -1), (down, 1)):
        if wanted:
            _walk(_Way(provenance, sources, sign < 0), number, sign, depth, distances, edges)
    tasks = {row["id"]: row for row in _tasks(provenance, list(distances))}
    ordered = sorted(distances, key=lambda one: (distances[one], one))
    shown = [{**tasks[one], "distance": distances[one]} for one in ordered if one in tasks]
    return Lineage(number, shown, list(edges))


def _walk(
    way: _Way, number: int, sign: int, depth: int | None, distances: dict[int, int], edges: dict[Edge, None]
) -> None:
    reached = {number}
    frontier = [number]
    steps = 0
    while frontier and (depth is None or steps < depth):
        missing = [one for one in frontier if not way.covers(one)]
        if missing:
            way.extend(missing)
        steps += 1
        following = []
        for one in frontier:
            for edge in way.edges(one):
                edges[edge] = None
                other = edge.source if sign < 0 else edge.task
                if other not in reached:
                    reached.add(other)
                    distances.setdefault(other, sign * steps)
                    following.append(other)
        frontier = following


def _sources(provenance: Provenance) -> list[_Source]:
    found = [_Source("task_dependency", "task_id", "dependency_id", DEPENDS), _Source("task", "parent_id", "id", PART)]
    columns = provenance.dicts(
        "SELECT s.tag, s.table_name, p.previous_column, p.next_column "
        'FROM "public".data_dependency AS p JOIN "public".data_set AS s ON s.id = p.ds_id ORDER BY s.id'
    )
    makers: dict[tuple[str, str], list[str]] = defaultdict(list)
    users: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in columns:
        key = row["table_name"], row["tag"]
        for name, kept in ((row["previous_column"], makers), (row["next_column"], users)):
            if name is not None and name not in kept[key]:
                kept[key].append(name)
    found += [
        _Source(table, user, maker, tag)
        for (table, tag), names in makers.items()
        for maker in names
        for user in users.get((table, tag), [])
        if user != maker
    ]
    return found


def _tasks(provenance: Provenance, numbers: list[int]) -> list[Row]:
    """The rows of tasks, without order."""
    if len(numbers) == 1:
        return [summary(provenance, numbers[0])]
    tags = {row["id"]: row for row in provenance.dicts('SELECT id, tag FROM "public".data_transformation')}
    clients = {row["id"]: row["client"] for row in provenance.dicts('SELECT id, client FROM "public".client')}
    low, high = min(numbers), max(numbers)
    wanted = set(numbers)
    if high - low < 8 * len(numbers):
        conditions = [f"id BETWEEN {low} AND {high}"]
    else:
        conditions = [
            f"id IN ({', '.join(map(str, numbers[start : start + MOST_NAMED]))})"
            for start in range(0, len(numbers), MOST_NAMED)
        ]
    names = ("id", "key", "dt_id", "workflow", "status", "computing_resource", "client_id", "run", "started", "ended")
    rows: list[Row] = []
    for condition in conditions:
        found = provenance.columns(f'SELECT {", ".join(names)} FROM "public".task WHERE {condition}')
        for number, key, step, workflow, status, host, client, run, started, ended in zip(*found, strict=True):
            if number in wanted:
                rows.append(
                    {
                        "id": number,
                        "key": key,
                        "transformation": tags[step]["tag"] if step in tags else None,
                        "workflow": workflow,
                        "status": status,
                        "host": host,
                        "client": clients.get(client),
                        "run": run,
                        "started": started,
                        "ended": ended,
                        "duration": between(started, ended),
                    }
                )
    return rows
