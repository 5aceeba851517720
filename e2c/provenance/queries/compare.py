"""Two tasks, two workflows or two runs, side by side."""

# ruff: noqa: S608 - statements are made of names that names.py has quoted; values are parameters
from __future__ import annotations

import datetime
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from e2c.errors import QueryError
from e2c.provenance.names import qualified, quoted
from e2c.provenance.queries.listing import like_runs
from e2c.provenance.queries.tasks import find, whole

if TYPE_CHECKING:
    from e2c.provenance.queries.provenance import Provenance, Row

_FACTS = ("key", "transformation", "dataflow", "workflow", "status", "error", "host", "client", "run")
_TIMES = ("started", "ended", "duration")
_WHOLE = {"workflow": "t.workflow", "run": "t.run"}
"""What is compared as a whole, and the column of its name."""

_WORKFLOWS = 'FROM "public".workflow AS w LEFT JOIN "public".client AS c ON c.id = w.client_id'


def compare(provenance: Provenance, first: int | str, second: int | str, **narrowed: Any) -> Row:
    """What two tasks, or else two workflows, or else two runs, have in common and where they differ.

    Returns:
        ``kind`` (``task``, ``workflow`` or ``run``), ``first`` and ``second`` (their names), and ``lines``: for each
        fact its ``name``, both values, whether they are the ``same``, and the ``delta`` of numbers, times and
        durations.

    Raises:
        QueryError: one of them is not there, or there are several.
    """
    try:
        numbers = [find(provenance, one, **narrowed).id for one in (first, second)]
    except QueryError:
        names = [str(one) for one in (first, second)]
        run = narrowed.get("run")
        kinds = {name: [kind for kind in _WHOLE if _is_known(provenance, kind, name, run)] for name in names}
        known = [kind for kind in _WHOLE if all(kind in found for found in kinds.values())]
        if not known:
            _refuse(provenance, kinds)
            raise
        kind = known[0]
        sides = [_sums(provenance, kind, name, run) for name in names]
    else:
        sides = [_task(whole(provenance, number)) for number in numbers]
        kind = "task"
    facts = list(dict.fromkeys([*sides[0], *sides[1]]))
    lines = [_line(name, sides[0].get(name), sides[1].get(name)) for name in facts]
    return {"kind": kind, "first": str(first), "second": str(second), "lines": lines}


def _refuse(provenance: Provenance, kinds: dict[str, list[str]]) -> None:
    """Say it of runs and workflows, where one of the names is one, or is nearly that of a run."""
    others = list(dict.fromkeys(kind for found in kinds.values() for kind in found))
    for name, found in kinds.items():
        near = "" if found else like_runs(provenance, name)
        if not found and (near or others):
            hint = f"Perhaps you mean {near}" if near else f"See which there are: `list {others[0]}s`"
            raise QueryError(f"there is no task, workflow or run {name}", hint=hint)


def _line(name: str, first: Any, second: Any) -> Row:
    times = (datetime.datetime, datetime.timedelta)
    alike = any(isinstance(first, kind) and isinstance(second, kind) for kind in times)
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (first, second))
    delta = second - first if alike or numbers else None
    return {"name": name, "first": first, "second": second, "same": first == second, "delta": delta}


def _task(task: Row) -> Row:
    side = {name: task[name] for name in (*_FACTS, *_TIMES)}
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


def _is_known(provenance: Provenance, kind: str, name: str, run: str | None) -> bool:
    tasks, workflows, given = _conditions(kind, name, run)
    return bool(
        provenance.dicts(f'SELECT 1 AS found FROM "public".task AS t WHERE {tasks} LIMIT 1', given)
        or provenance.dicts(f"SELECT 1 AS found {_WORKFLOWS} WHERE {workflows} LIMIT 1", given)
    )


def _conditions(kind: str, name: str, run: str | None) -> tuple[str, str, dict[str, Any]]:
    """What tasks, and what workflows, belong to a workflow or run; and the parameters."""
    column = _WHOLE[kind]
    workflows = "w.tag" if kind == "workflow" else "c.run"
    if run is None:
        return f"{column} = :name", f"{workflows} = :name", {"name": name}
    return f"{column} = :name AND t.run = :run", f"{workflows} = :name AND c.run = :run", {"name": name, "run": run}


def _sums(provenance: Provenance, kind: str, name: str, run: str | None) -> Row:
    tasks, workflows, given = _conditions(kind, name, run)
    side: Row = {}
    runs = provenance.dicts(
        f"SELECT w.status, w.error_msg AS error, w.started, w.ended {_WORKFLOWS} WHERE {workflows} ORDER BY w.id", given
    )
    if runs:
        side |= {"runs": len(runs), "status": runs[-1]["status"], "error": runs[-1]["error"]}
    steps = provenance.dicts(
        "SELECT d.tag, t.status, count(*) AS tasks, min(t.started) AS started, max(t.ended) AS ended, "
        "avg(t.ended - t.started) AS mean, max(t.ended - t.started) AS longest "
        'FROM "public".task AS t JOIN "public".data_transformation AS d ON d.id = t.dt_id '
        f"WHERE {tasks} GROUP BY d.tag, t.status ORDER BY d.tag, t.status",
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
    return side | _means(provenance, tasks, given)


def _means(provenance: Provenance, tasks: str, given: Row) -> Row:
    """The mean of each numeric attribute of each set, over the elements of these tasks."""
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
            f'JOIN "public".task AS t ON t.id = e.{quoted(row["task_column"])} WHERE {tasks}',
            given,
        )
        if found["elements of set"]:
            means[f"{row['tag']} elements"] = found["elements of set"]
            means |= {f"{row['tag']}.{name}: mean": found[column] for name, column in columns}
    return means
