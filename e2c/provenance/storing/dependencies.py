"""Tasks named by the user's identity, as dependencies or parents, resolved to rows of ``task`` by SQL.

Of several candidates that count which the same client began before: the latest of the same workflow, else the latest.
Then comes what the same client began later, and a task of another client only when it is the only one of that identity
in a workflow of the same identity and dataflow and in the same run.

Rows of the small table are brought into the order of the large one's ids before they are joined: MonetDB then searches
the ids, which ascend, and does not read all of them.
"""

# ruff: noqa: S608 - statements are made of names of this package
from __future__ import annotations

from collections.abc import Callable

Execute = Callable[[str], None]

MAKE = (
    "CREATE LOCAL TEMPORARY TABLE tmp.pair (id INTEGER, other_id INTEGER) ON COMMIT DELETE ROWS",
    "CREATE LOCAL TEMPORARY TABLE tmp.found (id INTEGER, other_id INTEGER) ON COMMIT DELETE ROWS",
    "CREATE LOCAL TEMPORARY TABLE tmp.wanted (id INTEGER, task_id INTEGER, named_by INTEGER, parent_dt_id INTEGER, "
    "key_sum INTEGER, workflow TEXT, own TEXT, shared TEXT) ON COMMIT DELETE ROWS",
    "CREATE LOCAL TEMPORARY TABLE tmp.named (id INTEGER, dt_id INTEGER, workflow TEXT, own TEXT, shared TEXT) "
    "ON COMMIT DELETE ROWS",
    "CREATE LOCAL TEMPORARY TABLE tmp.alike (id INTEGER, task_id INTEGER, low INTEGER, high INTEGER, many BIGINT) "
    "ON COMMIT DELETE ROWS",
)
"""Temporary tables of the writer's session; ``tmp.pair`` is for whoever needs pairs in order."""

CLEAR_PAIRS = "DELETE FROM tmp.pair"

_OWN = "CAST({0}.client_id AS TEXT) || '/' || {1}.key"
_SHARED = "CAST(v.df_id AS TEXT) || '/' || coalesce({0}.run, '') || '/' || {0}.workflow || '/' || {1}.key"
_DATAFLOW = 'JOIN "public".dataflow_version AS v ON v.version = {0}.df_version'

_WANT = (
    'INSERT INTO tmp.pair SELECT task_id, id FROM "public".awaited_task ORDER BY task_id',
    "INSERT INTO tmp.wanted SELECT w.id, w.task_id, w.named_by, w.parent_dt_id, w.key_sum, me.workflow, "
    f"{_OWN.format('me', 'w')}, CASE WHEN w.ambiguous THEN NULL ELSE {_SHARED.format('me', 'w')} END "
    'FROM tmp.pair AS p JOIN "public".task AS me ON me.id = p.id JOIN "public".awaited_task AS w ON w.id = p.other_id '
    f"{_DATAFLOW.format('me')}",
    CLEAR_PAIRS,
)

# By the sum first: reading all texts takes ten times as long.
_NAME = (
    'INSERT INTO tmp.pair SELECT t.id, 0 FROM "public".task AS t WHERE t.id > {after} '
    "AND t.key_sum IN (SELECT key_sum FROM tmp.wanted) ORDER BY t.id",
    f"INSERT INTO tmp.named SELECT t.id, t.dt_id, t.workflow, {_OWN.format('t', 't')}, {_SHARED.format('t', 't')} "
    f'FROM tmp.pair AS p JOIN "public".task AS t ON t.id = p.id {_DATAFLOW.format("t")}',
    CLEAR_PAIRS,
)

_SAME_CLIENT = (
    "INSERT INTO tmp.found SELECT w.id, coalesce("
    "max(CASE WHEN n.id < w.task_id AND n.workflow = w.workflow THEN n.id END), "
    "max(CASE WHEN n.id < w.task_id THEN n.id END), min(n.id)) "
    "FROM tmp.wanted AS w JOIN tmp.named AS n ON n.own = w.own "
    "WHERE n.id <> w.task_id AND (w.parent_dt_id IS NULL OR n.dt_id = w.parent_dt_id) GROUP BY w.id"
)

_ALIKE = (
    "INSERT INTO tmp.alike SELECT w.id, w.task_id, g.low, g.high, g.many FROM tmp.wanted AS w JOIN "
    "(SELECT shared, min(id) AS low, max(id) AS high, count(*) AS many FROM tmp.named GROUP BY shared) AS g "
    "ON g.shared = w.shared WHERE w.parent_dt_id IS NULL AND w.id NOT IN (SELECT id FROM tmp.found)",
    "INSERT INTO tmp.alike SELECT w.id, w.task_id, g.low, g.high, g.many FROM tmp.wanted AS w JOIN "
    "(SELECT shared, dt_id, min(id) AS low, max(id) AS high, count(*) AS many FROM tmp.named GROUP BY shared, dt_id) "
    "AS g ON g.shared = w.shared AND g.dt_id = w.parent_dt_id WHERE w.id NOT IN (SELECT id FROM tmp.found)",
)

# A task does not depend on itself: it does not count among those that have the identity it names.
_ONLY = (
    "INSERT INTO tmp.found SELECT id, CASE WHEN low = task_id THEN high ELSE low END FROM tmp.alike "
    "WHERE (many = 1 AND low <> task_id) OR (many = 2 AND (low = task_id OR high = task_id))",
    'UPDATE "public".awaited_task SET ambiguous = true WHERE id IN (SELECT id FROM tmp.alike '
    "WHERE many > 2 OR (many = 2 AND low <> task_id AND high <> task_id))",
)

_APPLY = (
    "INSERT INTO tmp.pair SELECT w.named_by, f.other_id FROM tmp.found AS f JOIN tmp.wanted AS w ON w.id = f.id "
    "WHERE w.named_by IS NOT NULL ORDER BY w.named_by",
    'UPDATE "public".task_dependency SET dependency_id = p.other_id FROM tmp.pair AS p WHERE task_dependency.id = p.id',
    CLEAR_PAIRS,
    "INSERT INTO tmp.pair SELECT w.task_id, f.other_id FROM tmp.found AS f JOIN tmp.wanted AS w ON w.id = f.id "
    "WHERE w.named_by IS NULL ORDER BY w.task_id",
    'UPDATE "public".task SET parent_id = p.other_id FROM tmp.pair AS p WHERE task.id = p.id',
    CLEAR_PAIRS,
    'DELETE FROM "public".awaited_task WHERE id IN (SELECT id FROM tmp.found)',
)


def resolve(execute: Execute, after: int) -> None:
    """Find the tasks of ``awaited_task``.

    Args:
        after: none of them was found among the tasks up to this id, for they were looked for there before.
    """
    for statement in (*_WANT, *_NAME, _SAME_CLIENT, *_ALIKE, *_ONLY, *_APPLY):
        execute(statement.format(after=after))
