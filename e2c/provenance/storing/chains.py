"""Sets that go on from one transformation to another: each element names the task that used it.

A task that depends on another one takes over what that one generated, as far as both transformations share a set. The
elements lie there already, under the producer's task; what is added is the consumer's, the first one by id when there
are several. A task that gives values of the set itself takes nothing over: its elements are its own.

``awaited_set`` holds what is to be done: rows with the producer, or with the row of ``task_dependency`` that names it;
a row with neither says that the task gave values after its beginning. Rows are added and deleted, never changed:
MonetDB 11.41 fails to read a table of which a row was changed and deleted in one transaction.
"""

# ruff: noqa: S608 - statements are made of numbers and of names that names.py has quoted
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from e2c.provenance.names import qualified, quoted
from e2c.provenance.storing.dependencies import CLEAR_PAIRS, Execute

Select = Callable[[str], list[tuple[Any, ...]]]
Take = Callable[[str, int], int]

_SET = "(id INTEGER, task_id INTEGER, dt_id INTEGER, ds_id INTEGER, producer_id INTEGER) ON COMMIT DELETE ROWS"

MAKE = (
    f"CREATE LOCAL TEMPORARY TABLE tmp.todo {_SET}",
    f"CREATE LOCAL TEMPORARY TABLE tmp.given {_SET}",
    "CREATE LOCAL TEMPORARY TABLE tmp.made (id INTEGER, dt_id INTEGER, done BOOLEAN) ON COMMIT DELETE ROWS",
    "CREATE LOCAL TEMPORARY TABLE tmp.ready (id INTEGER, task_id INTEGER, dt_id INTEGER, ds_id INTEGER, "
    "producer_id INTEGER, made_by INTEGER) ON COMMIT DELETE ROWS",
    "CREATE LOCAL TEMPORARY TABLE tmp.finished (id INTEGER) ON COMMIT DELETE ROWS",
    "CREATE LOCAL TEMPORARY TABLE tmp.again (task_id INTEGER, producer_id INTEGER, named_by INTEGER) "
    "ON COMMIT DELETE ROWS",
)

_READ = (
    'INSERT INTO tmp.pair SELECT named_by, id FROM "public".awaited_set '
    "WHERE producer_id IS NULL AND named_by IS NOT NULL ORDER BY named_by",
    "INSERT INTO tmp.todo SELECT a.id, a.task_id, a.dt_id, a.ds_id, d.dependency_id FROM tmp.pair AS p "
    'JOIN "public".task_dependency AS d ON d.id = p.id JOIN "public".awaited_set AS a ON a.id = p.other_id',
    CLEAR_PAIRS,
    "INSERT INTO tmp.todo SELECT id, task_id, dt_id, ds_id, producer_id "
    'FROM "public".awaited_set WHERE producer_id IS NOT NULL',
    "INSERT INTO tmp.given SELECT id, task_id, dt_id, ds_id, producer_id "
    'FROM "public".awaited_set WHERE producer_id IS NULL AND named_by IS NULL',
)

_GIVERS = (
    "SELECT DISTINCT s.id, s.table_name, g.dt_id, n.next_column FROM "
    "(SELECT DISTINCT ds_id, dt_id FROM tmp.given WHERE task_id <= {settled}) AS g "
    'JOIN "public".data_set AS s ON s.id = g.ds_id '
    'JOIN "public".data_dependency AS n ON n.ds_id = g.ds_id AND n.next_dt_id = g.dt_id WHERE n.next_column IS NOT NULL'
)

_UNMARK = (
    "INSERT INTO tmp.pair SELECT x.id, {made} FROM {table} AS x JOIN "
    "(SELECT DISTINCT task_id FROM tmp.given WHERE ds_id = {ds} AND dt_id = {dt}) AS g ON x.{consumer} = g.task_id "
    "WHERE {made} IS NOT NULL ORDER BY x.id",
    "UPDATE {table} SET {consumer} = NULL FROM tmp.pair AS p WHERE {short}.id = p.id",
)

_TAKE_NOTHING = (
    "INSERT INTO tmp.finished SELECT s.id FROM tmp.todo AS s JOIN tmp.given AS g "
    "ON g.task_id = s.task_id AND g.ds_id = s.ds_id",
    "INSERT INTO tmp.finished SELECT id FROM tmp.given",
)

_READY = (
    "INSERT INTO tmp.pair SELECT DISTINCT producer_id, 0 FROM tmp.todo WHERE producer_id IS NOT NULL "
    "ORDER BY producer_id",
    # Whether it has ended is asked of the few, not selected from all.
    "INSERT INTO tmp.made SELECT t.id, t.dt_id, t.ended IS NOT NULL FROM tmp.pair AS p "
    'JOIN "public".task AS t ON t.id = p.id',
    CLEAR_PAIRS,
    "INSERT INTO tmp.ready SELECT s.id, s.task_id, s.dt_id, s.ds_id, s.producer_id, m.dt_id FROM tmp.todo AS s "
    "JOIN tmp.made AS m ON m.id = s.producer_id WHERE m.done AND s.id NOT IN (SELECT id FROM tmp.finished)",
)

_CHAINS = (
    "SELECT DISTINCT s.table_name, p.previous_column, n.next_column, r.ds_id, r.dt_id, r.made_by, r.low FROM "
    "(SELECT ds_id, dt_id, made_by, min(producer_id) AS low FROM tmp.ready GROUP BY ds_id, dt_id, made_by) AS r "
    'JOIN "public".data_set AS s ON s.id = r.ds_id '
    'JOIN "public".data_dependency AS p ON p.ds_id = r.ds_id AND p.previous_dt_id = r.made_by '
    'JOIN "public".data_dependency AS n ON n.ds_id = r.ds_id AND n.next_dt_id = r.dt_id '
    "WHERE p.previous_column IS NOT NULL AND n.next_column IS NOT NULL AND p.previous_column <> n.next_column"
)

_MARK = (
    "INSERT INTO tmp.pair SELECT x.id, r.task_id FROM {table} AS x JOIN (SELECT producer_id, min(task_id) AS task_id "
    "FROM tmp.ready WHERE ds_id = {ds} AND dt_id = {dt} AND made_by = {made_by} GROUP BY producer_id) AS r "
    "ON x.{producer} = r.producer_id WHERE x.id >= {bound} AND (x.{consumer} IS NULL OR x.{consumer} > r.task_id) "
    "ORDER BY x.id",
    "UPDATE {table} SET {consumer} = p.other_id FROM tmp.pair AS p WHERE {short}.id = p.id",
    CLEAR_PAIRS,
)

_FORGET = (
    "INSERT INTO tmp.finished SELECT id FROM tmp.ready",
    'DELETE FROM "public".awaited_set WHERE id IN (SELECT id FROM tmp.finished)',
)

_AGAIN = (
    "INSERT INTO tmp.again SELECT d.task_id, d.dependency_id, d.id FROM "
    '"public".task_dependency AS d JOIN "public".task AS t ON t.id = d.task_id '
    "WHERE t.dt_id = {dt} AND (d.dependency_id IS NOT NULL OR d.id IS NOT NULL){only} AND d.task_id NOT IN "
    "(SELECT x.{consumer} FROM {table} AS x WHERE x.{consumer} IS NOT NULL AND {made} IS NULL)"
)

_AGAIN_ROWS = (
    'INSERT INTO "public".awaited_set (id, task_id, dt_id, ds_id, producer_id, named_by) '
    "SELECT {first} - 1 + row_number() OVER (ORDER BY task_id), task_id, {dt}, {ds}, producer_id, named_by "
    "FROM tmp.again"
)

_CLEAR_AGAIN = "DELETE FROM tmp.again"


def settle(execute: Execute, select: Select, bound: Callable[[str, int], int], settled: int) -> None:
    """Mark the elements of producers that have ended with those who use them.

    Args:
        bound: of a set's table and a task: an id below which no element of that task or a later one lies.
        settled: tasks with larger ids have taken nothing over yet.
    """
    for statement in _READ:
        execute(statement)
    ((given,),) = select("SELECT count(*) FROM tmp.given")
    if given:
        _give_back(execute, select, settled)
    for statement in _READY:
        execute(statement)
    for table, producer, consumer, ds, dt, made_by, low in select(_CHAINS):
        names = {"table": qualified(table), "short": quoted(table)}
        names |= {"producer": quoted(producer), "consumer": quoted(consumer)}
        for statement in _MARK:
            execute(statement.format(**names, ds=ds, dt=dt, made_by=made_by, bound=bound(table, low)))
    for statement in _FORGET:
        execute(statement)


def _give_back(execute: Execute, select: Select, settled: int) -> None:
    """Tasks that gave values themselves, after their beginning, take nothing over, and what they had goes to others."""
    for ds, table, dt, consumer in select(_GIVERS.format(settled=settled)):
        made = _made(select, ds)
        names = {"table": qualified(table), "short": quoted(table), "consumer": quoted(consumer), "made": made}
        for statement in _UNMARK:
            execute(statement.format(**names, ds=ds, dt=dt))
        execute(_AGAIN.format(**names, dt=dt, only=" AND d.dependency_id IN (SELECT other_id FROM tmp.pair)"))
        # Their producers have ended, for there are elements: it is done at once and needs no row that lasts.
        execute(f"INSERT INTO tmp.todo SELECT 0, task_id, {dt}, {ds}, producer_id FROM tmp.again")
        execute(_CLEAR_AGAIN)
        execute(CLEAR_PAIRS)
    for statement in _TAKE_NOTHING:
        execute(statement)


def follow(execute: Execute, select: Select, take: Take, ds: int, dt: int) -> int:
    """From now on a transformation uses a set: its tasks take it over from those on which they depend already.

    Returns:
        How many dependencies of its tasks there are.
    """
    if not select('SELECT 1 FROM "public".task_dependency LIMIT 1'):
        return 0
    total = 0
    for table, consumer in select(
        'SELECT DISTINCT s.table_name, n.next_column FROM "public".data_set AS s JOIN "public".data_dependency AS n '
        f"ON n.ds_id = s.id WHERE s.id = {ds} AND n.next_dt_id = {dt} AND n.next_column IS NOT NULL"
    ):
        names = {"table": qualified(table), "consumer": quoted(consumer), "made": _made(select, ds)}
        execute(_AGAIN.format(**names, dt=dt, only=""))
        ((count,),) = select("SELECT count(*) FROM tmp.again")
        if count:
            execute(_AGAIN_ROWS.format(first=take("awaited_set", count), dt=dt, ds=ds))
            execute(_CLEAR_AGAIN)
            total += count
    return total


def _made(select: Select, ds: int) -> str:
    """The producer's task of an element ``x``, as an expression."""
    columns = select(
        f'SELECT DISTINCT previous_column FROM "public".data_dependency WHERE ds_id = {ds} '
        "AND previous_column IS NOT NULL ORDER BY previous_column"
    )
    names = [f"x.{quoted(name)}" for (name,) in columns]
    return f"coalesce({', '.join([*names, 'CAST(NULL AS INTEGER)', 'CAST(NULL AS INTEGER)'])})"
