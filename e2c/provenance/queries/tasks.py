"""Tasks: lists of them, the one that an identity means, and everything that is stored of one."""

# ruff: noqa: S608 - statements are made of names that names.py has quoted; values are parameters
from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from e2c.errors import QueryError
from e2c.provenance.names import qualified, quoted
from e2c.provenance.queries.durations import timed
from e2c.provenance.queries.listing import unknown_run

if TYPE_CHECKING:
    from e2c.provenance.queries.provenance import Provenance, Row

SORTS = {
    "id": "t.id DESC",
    "started": "t.started DESC, t.id DESC",
    "ended": "t.ended DESC, t.id DESC",
    "duration": "t.ended - t.started DESC, t.id DESC",
}
"""Orders of a list of tasks; what comes first is the newest or the longest."""

MOST_CANDIDATES = 10

_TASK = (
    "t.id, t.key, d.tag AS transformation, f.tag AS dataflow, t.workflow, t.status, t.computing_resource AS host, "
    "c.client, t.run, t.started, t.ended"
)
_FROM = (
    'FROM "public".task AS t '
    'LEFT JOIN "public".data_transformation AS d ON d.id = t.dt_id '
    'LEFT JOIN "public".dataflow AS f ON f.id = d.df_id '
    'LEFT JOIN "public".client AS c ON c.id = t.client_id'
)


@dataclass(frozen=True)
class Filters:
    """Which tasks; None takes all."""

    dataflow: str | None = None
    workflow: str | None = None
    transformation: str | None = None
    status: str | None = None
    client: str | None = None
    run: str | None = None  # name
    since: datetime.datetime | None = None  # began then or later
    limit: int | None = None
    sort: str = "id"

    def condition(self) -> tuple[str, dict[str, Any]]:
        """``WHERE ...`` and its parameters."""
        columns = {
            "dataflow": "f.tag",
            "workflow": "t.workflow",
            "transformation": "d.tag",
            "client": "c.client",
            "run": "t.run",
        }
        given: dict[str, Any] = {}
        terms = []
        for name, column in columns.items():
            value = getattr(self, name)
            if value is not None:
                given[name] = value.lower() if column.endswith(".tag") else value
                terms.append(f"{column} = :{name}")
        if self.status is not None:
            given["status"] = self.status.upper()
            terms.append("t.status = :status")
        if self.since is not None:
            given["since"] = self.since
            terms.append("t.started >= :since")
        return (f"WHERE {' AND '.join(terms)}" if terms else ""), given


class Found(NamedTuple):
    """A task that was found."""

    id: int
    run: str | None  # of which it is part
    others: tuple[str | None, ...]  # earlier runs that have a task of that identity


def listed(provenance: Provenance, filters: Filters) -> list[Row]:
    """The tasks of a list."""
    where, parameters = filters.condition()
    order = SORTS.get(filters.sort)
    if order is None:
        raise QueryError(f"tasks cannot be sorted by {filters.sort!r}", why=f"known are {', '.join(SORTS)}")
    limit = f"LIMIT {int(filters.limit)}" if filters.limit else ""
    return timed(provenance.dicts(f"SELECT {_TASK} {_FROM} {where} ORDER BY {order} {limit}", parameters))


def counted(provenance: Provenance, filters: Filters) -> list[Row]:
    """How many tasks a list would have without its limit, by status."""
    where, parameters = filters.condition()
    return provenance.dicts(
        f"SELECT t.status, count(*) AS tasks {_FROM} {where} GROUP BY t.status ORDER BY t.status", parameters
    )


def find(
    provenance: Provenance,
    identity: int | str,
    *,
    transformation: str | None = None,
    workflow: str | None = None,
    client: str | None = None,
    run: str | None = None,
) -> Found:
    """The row that an identity means; where several runs have such tasks, that of the newest run.

    Args:
        identity: a text is what the application gave, or the id of a row where no application gave it; a number, and
            ``row:NUMBER``, is the id of a row.

    Raises:
        QueryError: there is no such task, or there are several.
    """
    where, parameters = Filters(transformation=transformation, workflow=workflow, client=client, run=run).condition()
    also = f"{where} AND" if where else "WHERE"
    found: list[Row] = []
    wanted = identity
    named, mark, number = str(identity).partition("row:")
    if mark and not named:
        identity = int(number) if number.isdecimal() else identity
    if isinstance(identity, str):
        found = provenance.dicts(
            f"SELECT {_TASK} {_FROM} {also} t.key = :identity ORDER BY t.id DESC LIMIT {MOST_CANDIDATES + 1}",
            {**parameters, "identity": identity},
        )
    if not found and str(identity).isdecimal() and int(identity) < 1 << 31:
        found = provenance.dicts(f"SELECT {_TASK} {_FROM} {also} t.id = {int(identity)}", parameters)
    if not found:
        of_run = f" of run {run}" if run is not None else ""
        unknown = unknown_run(provenance, run) if run is not None else None
        raise QueryError(
            f"there is no task {wanted}{of_run}", why=unknown, hint="See which there are: `list`, `list runs`"
        )
    newest = found[0]["run"]
    others = tuple(dict.fromkeys(row["run"] for row in found if row["run"] != newest))
    found = [row for row in found if row["run"] == newest]
    if len(found) > 1:
        shown = [
            f"row {row['id']} ({row['transformation']}, workflow {row['workflow']}, client {row['client']}"
            f"{'' if row['run'] is None else f', run {newest}'})"
            for row in found[:MOST_CANDIDATES]
        ]
        more = "..." if len(found) > MOST_CANDIDATES else ""
        raise QueryError(
            f"several tasks are named {identity}",
            why=f"{', '.join(shown)}{more}",
            hint="Narrow it with --transformation, --workflow, --client or --run, or name the row: `row:NUMBER`",
        )
    return Found(int(found[0]["id"]), newest, others)


def summary(provenance: Provenance, number: int) -> Row:
    """The row of a task with its names."""
    return timed(provenance.dicts(f"SELECT {_TASK} {_FROM} WHERE t.id = {number}"))[0]


def whole(provenance: Provenance, number: int) -> Row:
    """Everything that is stored of a task."""
    ask = provenance.dicts
    task = summary(provenance, number)
    task |= ask(
        "SELECT t.identifier, t.error_msg AS error, t.output_msg AS output, t.workspace, t.df_version, t.parent_id, "
        f't.parent_key FROM "public".task AS t WHERE t.id = {number}'
    )[0]
    brief = (
        'SELECT o.id, o.key, d.tag AS transformation, o.status FROM "public".task AS o '
        'LEFT JOIN "public".data_transformation AS d ON d.id = o.dt_id '
    )
    task["parent"] = next(iter(ask(f"{brief} WHERE o.id = {task['parent_id']}")), None) if task["parent_id"] else None
    task["subtasks"] = ask(f"{brief} WHERE o.parent_id = {number} ORDER BY o.id")
    task["depends_on"] = ask(
        "SELECT p.dependency_key AS key, p.dependency_id AS id, d.tag AS transformation, o.status "
        'FROM "public".task_dependency AS p LEFT JOIN "public".task AS o ON o.id = p.dependency_id '
        f'LEFT JOIN "public".data_transformation AS d ON d.id = o.dt_id WHERE p.task_id = {number} ORDER BY o.id'
    )
    task["needed_by"] = ask(
        f'{brief} JOIN "public".task_dependency AS p ON p.task_id = o.id WHERE p.dependency_id = {number} ORDER BY o.id'
    )
    task["inputs"], task["outputs"] = {}, {}
    for name, kind, columns in sets_of(provenance, number):
        rows = _elements(provenance, number, *columns)
        if rows:
            task[kind][name] = rows
    task["files"] = ask(
        'SELECT f.name, f.path, f.size, f.digest, f.problem, s.tag AS "set", f.attribute FROM "public".file AS f '
        f'LEFT JOIN "public".data_set AS s ON s.id = f.ds_id WHERE f.task_id = {number} ORDER BY f.id'
    )
    extras = ask(f'SELECT name, value FROM "public".task_extra WHERE task_id = {number} ORDER BY name')
    task["extras"] = {row["name"]: row["value"] for row in extras}
    return task


def sets_of(provenance: Provenance, number: int) -> list[tuple[str, str, tuple[int, str, str]]]:
    """The sets of a task's transformation: name, ``inputs`` or ``outputs``, and id, table and task column of each."""
    found = provenance.dicts(
        "SELECT s.tag, s.id, s.table_name, p.previous_dt_id, p.next_dt_id, p.previous_column, p.next_column, t.dt_id "
        'FROM "public".data_dependency AS p JOIN "public".data_set AS s ON s.id = p.ds_id '
        'JOIN "public".task AS t ON t.dt_id = p.previous_dt_id OR t.dt_id = p.next_dt_id '
        f"WHERE t.id = {number} ORDER BY s.id"
    )
    sets: dict[tuple[str, str], tuple[int, str, str]] = {}
    for row in found:
        if row["previous_dt_id"] == row["dt_id"] and row["previous_column"]:
            sets[row["tag"], "outputs"] = row["id"], row["table_name"], row["previous_column"]
        if row["next_dt_id"] == row["dt_id"] and row["next_column"]:
            sets[row["tag"], "inputs"] = row["id"], row["table_name"], row["next_column"]
    return [(name, kind, columns) for (name, kind), columns in sets.items()]


def _elements(provenance: Provenance, number: int, table_id: int, table: str, column: str) -> list[Row]:
    attributes = provenance.dicts(
        f'SELECT id, name, column_name FROM "public".attribute WHERE ds_id = {table_id} AND ordinal IS NOT NULL '
        "ORDER BY ordinal"
    )
    names = ", ".join(["id", *(quoted(one["column_name"]) for one in attributes)])
    found = provenance.dicts(f"SELECT {names} FROM {qualified(table)} WHERE {quoted(column)} = {number} ORDER BY id")
    exact: dict[tuple[int, int], str] = {}
    if found:
        ids = ", ".join(str(row["id"]) for row in found)
        kept = provenance.dicts(
            f'SELECT element_id, attribute_id, value FROM "public".exact_value WHERE ds_id = {table_id} '
            f"AND element_id IN ({ids})"
        )
        exact = {(row["element_id"], row["attribute_id"]): row["value"] for row in kept}
    return [
        {
            str(one["name"]): exact.get((row["id"], one["id"]), row[one["column_name"]])
            for one in attributes
            if row[one["column_name"]] is not None or (row["id"], one["id"]) in exact
        }
        for row in found
    ]
