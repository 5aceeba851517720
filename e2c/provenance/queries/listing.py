"""Lists of what is not a task: dataflows, workflows, runs, sets, clients."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from e2c.provenance.queries.durations import timed

if TYPE_CHECKING:
    from e2c.provenance.queries.provenance import Provenance, Row

_STATEMENTS = {
    "dataflows": (
        'SELECT f.id, f.tag, f.declared, f.schema_name AS "schema", '
        '(SELECT count(*) FROM "public".dataflow_version AS v WHERE v.df_id = f.id) AS versions, '
        '(SELECT count(*) FROM "public".data_transformation AS d WHERE d.df_id = f.id) AS transformations, '
        '(SELECT count(*) FROM "public".data_set AS s WHERE s.df_id = f.id) AS "sets", '
        '(SELECT count(*) FROM "public".task AS t JOIN "public".data_transformation AS d ON d.id = t.dt_id '
        "WHERE d.df_id = f.id) AS tasks "
        'FROM "public".dataflow AS f ORDER BY f.id'
    ),
    "workflows": (
        "SELECT w.id, w.tag, f.tag AS dataflow, w.status, c.client, c.run, w.started, w.ended, "
        "coalesce(k.tasks, 0) AS tasks, w.error_msg AS error "
        'FROM "public".workflow AS w '
        'LEFT JOIN "public".dataflow_version AS v ON v.version = w.df_version '
        'LEFT JOIN "public".dataflow AS f ON f.id = v.df_id '
        'LEFT JOIN "public".client AS c ON c.id = w.client_id '
        'LEFT JOIN (SELECT workflow, client_id, count(*) AS tasks FROM "public".task '
        "GROUP BY workflow, client_id) AS k "
        "ON k.workflow = w.tag AND k.client_id = w.client_id ORDER BY w.id DESC"
    ),
    "runs": (
        "SELECT run, count(*) AS tasks, sum(CASE WHEN status = 'FAILED' THEN 1 ELSE 0 END) AS failed, "
        "count(DISTINCT client_id) AS clients, min(started) AS started, max(ended) AS ended "
        'FROM "public".task GROUP BY run ORDER BY max(id) DESC'
    ),
    "clients": (
        'SELECT id, user_name AS "user", client, host, run, received, stored, rejected, lost, first_seen, last_seen '
        'FROM "public".client ORDER BY id'
    ),
    "sets": (
        'SELECT s.id, s.tag, f.tag AS dataflow, s.declared, s.table_name AS "table", s.view_name AS "view", '
        '(SELECT count(*) FROM "public".attribute AS a WHERE a.ds_id = s.id AND a.ordinal IS NOT NULL) AS attributes '
        'FROM "public".data_set AS s JOIN "public".dataflow AS f ON f.id = s.df_id ORDER BY s.id'
    ),
}


def listed(provenance: Provenance, what: str) -> list[Row]:
    """The rows of a list: ``dataflows``, ``workflows``, ``runs``, ``sets`` or ``clients``."""
    return timed(provenance.dicts(_STATEMENTS[what]))


def unknown_run(provenance: Provenance, name: str) -> str | None:
    """What to say of a run that no task belongs to, with those of a like name; None where there are tasks."""
    if provenance.dicts('SELECT 1 AS found FROM "public".task WHERE run = :run LIMIT 1', {"run": name}):
        return None
    near = like_runs(provenance, name)
    return f"no task belongs to run {name}{f'; perhaps you mean {near}' if near else ', see `list runs`'}"


def like_runs(provenance: Provenance, name: str) -> str:
    """Names of runs that are nearly this one; an empty text where there are none."""
    known = provenance.dicts('SELECT DISTINCT run FROM "public".task WHERE run IS NOT NULL')
    near = get_close_matches(name, [row["run"] for row in known], 2, 0.6)
    return " or ".join(f"`{one}`" for one in near)
