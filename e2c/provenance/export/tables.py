"""Tables and sets as files: which there are, how they are named, which of their rows belong to a selection."""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from e2c.provenance.export.selection import Selection
from e2c.provenance.export.snapshot import Column, Snapshot, Table
from e2c.provenance.names import SCHEMA, free, quoted
from e2c.provenance.progress import Progress

VIEWS = ("performance", "task_load", "undeclared")
"""Views that are exported although their rows stand elsewhere as well: users ask for them."""

FIELD_TYPES = {
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "datetime",
    "TEXT": "string",
}
"""Type of a column in a Data Package, by its SQL type."""


@dataclass(frozen=True)
class ExportedTable:
    """One file.

    Args:
        name: of the table.
        file: name of the file, without extension.
        set: tag of the set, if it is the table of one.
        select: gives the rows.
    """

    name: str
    file: str
    set: str | None
    view: bool
    columns: tuple[Column, ...]
    select: str
    rows: int


def exported_tables(found: Snapshot, selection: Selection, progress: Progress) -> list[ExportedTable]:
    """All files, in the order of their names.

    The file of a set is named like its view, or like its table where the short view belongs to another dataflow. It
    has the view's columns, and after them those that are no longer declared.
    """
    by_name = {table.name: table for table in found.tables() if table.schema == SCHEMA}
    sets = {
        table: (number, tag, view)
        for number, tag, table, view in found.rows('SELECT id, tag, table_name, view_name FROM "public".data_set')
    }
    chosen: list[tuple[str, Table]] = []
    for name, table in by_name.items():
        if table.query is None:
            view = sets[name][2] if name in sets else None
            shown = by_name.get(view) if view is not None else None
            chosen.append((view or name, table if shown is None else _ordered_like(table, shown)))
        elif name in VIEWS:
            chosen.append((name, table))
    links = _links(found)
    elements = {name: _elements(links.get(name, ([], [])), selection) for name in by_name if name in sets}
    taken: set[str] = set()
    out = []
    for name, table in sorted(chosen, key=lambda pair: pair[0]):
        file = free(file_name(name), taken)
        taken.add(file)
        condition = elements.get(table.name) or _condition(table, selection, sets, elements)
        where = f" WHERE {condition}" if condition else ""
        count = found.rows(f"SELECT count(*) FROM {table.target}{where}")[0][0]
        tag = sets[table.name][1] if table.name in sets else None
        select = table.select + where
        out.append(ExportedTable(table.name, file, tag, table.query is not None, table.columns, select, count))
    progress.start(sum(table.rows for table in out), "rows")
    return out


def file_name(name: str) -> str:
    """A table's name as a file name: what could leave the folder or needs quoting in a shell becomes ``_``."""
    made = "".join(one if one.isalnum() or one in "_-." else "_" for one in name).lstrip(".") or "_"
    return made.encode()[:200].decode(errors="ignore")


def _ordered_like(table: Table, view: Table) -> Table:
    return table.ordered([column.name for column in view.columns])


def _links(found: Snapshot) -> dict[str, tuple[list[str], list[str]]]:
    """Columns that name the tasks which made and used the elements of a set, by its table."""
    out: dict[str, tuple[list[str], list[str]]] = {}
    for table, made, used in found.rows(
        'SELECT s.table_name, d.previous_column, d.next_column FROM "public".data_dependency AS d '
        'JOIN "public".data_set AS s ON s.id = d.ds_id'
    ):
        columns = out.setdefault(table, ([], []))
        for name, known in zip((made, used), columns, strict=True):
            if name is not None and name not in known:
                known.append(name)
    return out


def _elements(links: tuple[list[str], list[str]], selection: Selection) -> str | None:
    """The elements of a set that the selected tasks used or made."""
    if not selection.any:
        return None
    makers, users = links
    conditions = [selection.condition(quoted(name)) for name in makers + users]
    named = f'SELECT dependency_id FROM "public".task_dependency WHERE {selection.condition("task_id")}'
    if users:  # only the first of several is named in the row
        conditions += [f"{quoted(name)} IN ({named})" for name in makers]
    return _any(str(condition) for condition in conditions)


def _condition(
    table: Table,
    selection: Selection,
    sets: dict[str, tuple[int, str, str | None]],
    elements: dict[str, str | None],
) -> str | None:
    if not selection.any:
        return None
    names = {column.name for column in table.columns}
    of_tasks = '"public".task AS t JOIN tmp.selected AS s ON s.id = t.id'
    if table.name in ("task", "performance"):
        return selection.condition("id")
    if "task_id" in names:
        return selection.condition("task_id")
    if table.name == "workflow":
        return (
            f'id IN (SELECT w.id FROM "public".workflow AS w, {of_tasks} '
            "WHERE w.client_id = t.client_id AND w.tag = t.workflow)"
        )
    if table.name == "exact_value":
        return _any(
            f"ds_id = {sets[name][0]} AND element_id IN (SELECT id FROM {quoted(SCHEMA)}.{quoted(name)} WHERE {rows})"
            for name, rows in elements.items()
        )
    if table.name == "monitoring_sample":  # what hosts of the tasks did meanwhile
        return (
            f'host IN (SELECT c.user_name FROM "public".client AS c, {of_tasks} WHERE c.id = t.client_id) '
            f"AND sampled > (SELECT min(coalesce(t.started, t.ended)) FROM {of_tasks}) "
            f"AND began < (SELECT max(coalesce(t.ended, t.started)) FROM {of_tasks})"
        )
    if table.name == "client":
        return f"id IN (SELECT t.client_id FROM {of_tasks})"
    if "client_id" in names:
        return f"client_id IN (SELECT t.client_id FROM {of_tasks})"
    return None


def _any(conditions: Iterable[str]) -> str:
    return " OR ".join(f"({condition})" for condition in conditions) or "false"
