"""Tasks named by the user's identity, as dependencies or parents, resolved to rows of ``task`` by SQL.

Of several candidates that count which the same client began before: the latest of the same workflow, else the latest.
Then comes what the same client began later, and a task of another client only when it is the only one of that identity
in the dataflow.
"""

from __future__ import annotations

MAKE_RESOLVED = (
    "CREATE LOCAL TEMPORARY TABLE tmp.resolved (task_id INTEGER, dependency_key TEXT, dependency_id INTEGER) "
    "ON COMMIT DELETE ROWS"
)

UNRESOLVED = (
    'SELECT (SELECT count(*) FROM "public".task_dependency WHERE dependency_id IS NULL) + '
    '(SELECT count(*) FROM "public".task WHERE parent_key IS NOT NULL AND parent_id IS NULL)'
)
"""How many are named but not found."""

_CLEAR = "DELETE FROM tmp.resolved"

_DEPENDENCIES = (
    'INSERT INTO tmp.resolved SELECT d.task_id, d.dependency_key, {chosen} FROM "public".task_dependency AS d '
    'JOIN "public".task AS me ON me.id = d.task_id '
    'JOIN "public".task AS other ON other.key = d.dependency_key AND other.id <> me.id AND {condition} '
    "WHERE d.dependency_id IS NULL GROUP BY d.task_id, d.dependency_key{having}",
    'UPDATE "public".task_dependency SET dependency_id = r.dependency_id FROM tmp.resolved AS r '
    "WHERE task_dependency.task_id = r.task_id AND task_dependency.dependency_key = r.dependency_key "
    "AND task_dependency.dependency_id IS NULL",
    _CLEAR,
)

_PARENTS = (
    'INSERT INTO tmp.resolved SELECT me.id, me.parent_key, {chosen} FROM "public".task AS me '
    'JOIN "public".task AS other ON other.key = me.parent_key AND other.id <> me.id '
    "AND (me.parent_dt_id IS NULL OR other.dt_id = me.parent_dt_id) AND {condition} "
    "WHERE me.parent_key IS NOT NULL AND me.parent_id IS NULL GROUP BY me.id, me.parent_key{having}",
    'UPDATE "public".task SET parent_id = r.dependency_id FROM tmp.resolved AS r '
    "WHERE task.id = r.task_id AND task.parent_id IS NULL",
    _CLEAR,
)

_SAME_CLIENT = "other.client_id = me.client_id AND other.id < me.id"

_RULES = (
    ("max(other.id)", f"{_SAME_CLIENT} AND other.workflow = me.workflow", ""),
    ("max(other.id)", _SAME_CLIENT, ""),
    ("min(other.id)", "other.client_id = me.client_id", ""),
    ("max(other.id)", "other.df_version = me.df_version", " HAVING count(*) = 1"),
)

RESOLVE = tuple(
    statement.format(chosen=chosen, condition=condition, having=having)
    for statements in (_DEPENDENCIES, _PARENTS)
    for chosen, condition, having in _RULES
    for statement in statements
)
"""Statements of one transaction."""
