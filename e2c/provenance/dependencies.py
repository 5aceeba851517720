"""Dependencies named by the user's task identity, resolved to rows of ``task`` by SQL.

Of several candidates the same client's latest task counts; a task of another client only when it is the only one of
that identity in the dataflow.
"""

# ruff: noqa: S608 - all parts are written here
from __future__ import annotations

MAKE_RESOLVED = (
    "CREATE LOCAL TEMPORARY TABLE tmp.resolved (task_id INTEGER, dependency_key TEXT, dependency_id INTEGER) "
    "ON COMMIT DELETE ROWS"
)

_UNRESOLVED = (
    '"public".task_dependency AS d JOIN "public".task AS me ON me.id = d.task_id '
    'JOIN "public".task AS other ON other.key = d.dependency_key AND other.id <> me.id'
)

_APPLY = (
    'UPDATE "public".task_dependency SET dependency_id = r.dependency_id FROM tmp.resolved AS r '
    "WHERE task_dependency.task_id = r.task_id AND task_dependency.dependency_key = r.dependency_key "
    "AND task_dependency.dependency_id IS NULL"
)

RESOLVE = (
    "INSERT INTO tmp.resolved SELECT d.task_id, d.dependency_key, max(other.id) "
    f"FROM {_UNRESOLVED} AND other.client_id = me.client_id "
    "WHERE d.dependency_id IS NULL GROUP BY d.task_id, d.dependency_key",
    _APPLY,
    "DELETE FROM tmp.resolved",
    "INSERT INTO tmp.resolved SELECT d.task_id, d.dependency_key, max(other.id) "
    f"FROM {_UNRESOLVED} AND other.df_version = me.df_version "
    "WHERE d.dependency_id IS NULL GROUP BY d.task_id, d.dependency_key HAVING count(*) = 1",
    _APPLY,
)
"""Statements of one transaction."""
