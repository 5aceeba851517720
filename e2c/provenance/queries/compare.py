"""Two tasks, or two workflows, side by side."""

# ruff: noqa: S608 - statements are made of names that names.py has quoted; values are parameters
from __future__ import annotations

import datetime
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from e2c.errors import QueryError
from e2c.provenance.names import qualified, quoted
from e2c.provenance.queries.tasks import find, whole

if TYPE_CHECKING:
    from e2c.provenance.queries.provenance import Provenance, Row

_FACTS = ("key", "transformation", "dataflow", "workflow", "status", "error", "host", "client", "started", "ended")


def compare(provenance: Provenance, first: int | str, second: int | str, **narrowed: Any) -> Row:
    """What two tasks, or else two workflows, have in common and where they differ.

    Returns:
        ``kind`` (``task`` or ``workflow``), ``first`` and ``second`` (their names), and ``lines``: for each fact its
        ``name``, both values, whether they are the ``same``, and the ``delta`` of numbers, times and durations.

    Raises:
        QueryError: one of them is not there, or there are several.
    """
    try:
        numbers = [find(provenance, one, **narrowed) for one in (first, second)]
    except QueryError:
        if not all(isinstance(one, str) and _is_workflow(provenance, one) for one in (first, second)):
            raise
        sides = [_workflow(provenance, str(one)) for one in (first, second)]
        kind = "workflow"
    else:
        sides = [_task(whole(provenance, number)) for number in numbers]
        kind = "task"
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    lines = [_line(name, sides[0].get(name), sides[1].get(name)) for name in names]
    return {"kind": kind, "first": str(first), "second": str(second), "lines": lines}


def _line(name: str, first: Any, second: Any) -> Row:
    times = (datetime.datetime, datetime.timedelta)
    alike = any(isinstance(first, kind) and isinstance(second, kind) for kind in times)
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (first, second))
    delta = second - first if alike or numbers else None
    return {"name": name, "first": first, "second": second, "same": first == second, "delta": delta}


def _task(task: Row) -> Row:
    side = {name: task[name] for name in (*_FACTS, "duration")}
    side["depends on"] = ", ".join(str(one["key"]) for one in task["depends_on"]) or None
    for kind in ("inputs", "outputs"):
        for tag, elements in task[kind].items():
            for place, element in enumerate(elements, 1):
                prefix = tag if len(elements) == 1 else f"{tag} {place}"
                side |= {f"{prefix}.{name}": value for name, value in element.items()}
    for file in task["files"]:
        side[f"file {file['name']}"] = file["digest"] or file["problem"]
    side |= {f"extra {name}": value for name, value in task["extras"].items()}
    return side


def _is_workflow(provenance: Provenance, tag: str) -> bool:
    found = provenance.dicts(
        'SELECT 1 AS found FROM "public".task WHERE workflow = :tag LIMIT 1', {"tag": tag}
    ) or provenance.dicts('SELECT 1 AS found FROM "public".workflow WHERE tag = :tag LIMIT 1', {"tag": tag})
    return bool(found)


def _workflow(provenance: Provenance, tag: str) -> Row:
    given = {"tag": tag}
    side: Row = {}
    runs = provenance.dicts(
        'SELECT status, error_msg AS error, started, ended FROM "public".workflow WHERE tag = :tag ORDER BY id', given
    )
    if runs:
        side |= {"runs": len(runs), "status": runs[-1]["status"], "error": runs[-1]["error"]}
    steps = provenance.dicts(
        "SELECT d.tag, t.status, count(*) AS tasks, min(t.started) AS started, max(t.ended) AS ended, "
        "avg(t.ended - t.started) AS mean, max(t.ended - t.started) AS longest "
        'FROM "public".task AS t JOIN "public".data_transformation AS d ON d.id = t.dt_id '
        "WHERE t.workflow = :tag GROUP BY d.tag, t.status ORDER BY d.tag, t.status",
        given,
    )
    began = [row["started"] for row in steps if row["started"] is not None]
    ended = [row["ended"] for row in steps if row["ended"] is not None]
    side["tasks"] = sum(row["tasks"] for row in steps)
    side |= {"started": min(began, default=None), "ended": max(ended, default=None)}
    side["duration"] = max(ended) - min(began) if began and ended else None
    for row in steps:
        name = f"{row['tag']} {str(row['status']).lower()}"
        side[name] = row["tasks"]
        if row["mean"] is not None:
            side[f"{name}: mean"] = row["mean"]
            side[f"{name}: longest"] = row["longest"]
    return side | _means(provenance, given)


def _means(provenance: Provenance, given: Row) -> Row:
    """The mean of each numeric attribute of each set, over the elements of a workflow."""
    attributes = defaultdict(list)
    for row in provenance.dicts(
        'SELECT ds_id, name, column_name FROM "public".attribute WHERE ordinal IS NOT NULL '
        "AND upper(type) = 'NUMERIC' ORDER BY ordinal"
    ):
        attributes[row["ds_id"]].append((row["name"], row["column_name"]))
    means: Row = {}
    for row in provenance.dicts(
        "SELECT s.id, s.tag, s.table_name, min(coalesce(p.previous_column, p.next_column)) AS task_column "
        'FROM "public".data_set AS s JOIN "public".data_dependency AS p ON p.ds_id = s.id '
        "GROUP BY s.id, s.tag, s.table_name ORDER BY s.id"
    ):
        columns = attributes[row["id"]]
        if not columns:
            continue
        selected = ", ".join(f"avg(e.{quoted(column)}) AS {quoted(column)}" for _, column in columns)
        (found,) = provenance.dicts(
            f'SELECT count(*) AS "elements of set", {selected} FROM {qualified(row["table_name"])} AS e '
            f'JOIN "public".task AS t ON t.id = e.{quoted(row["task_column"])} WHERE t.workflow = :tag',
            given,
        )
        if found["elements of set"]:
            means[f"{row['tag']} elements"] = found["elements of set"]
            means |= {f"{row['tag']}.{name}: mean": found[column] for name, column in columns}
    return means
