"""What the database knows of dataflows: their transformations, sets, attributes, and the tables of each set.

Every set S of a dataflow has a table ``ds_S`` and a view ``S``. A second dataflow with a set of that name gets the
table ``ds_S_2``; the short view stays with the first. Each declared dataflow has a schema of its own name in which the
views of all its sets lie, so ``dataflow.set`` is always right. ``data_set`` says which table and view a set has.
"""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from e2c.provenance.columns import moment
from e2c.provenance.connections import rows
from e2c.provenance.dataflow import NUMERIC, TEXT, TYPES, Attribute, Dataflow, DataSet
from e2c.provenance.folder import READER
from e2c.provenance.names import SCHEMA, free, identifier, literal, qualified, quoted

SQL_TYPES = {NUMERIC: "DOUBLE", TEXT: "TEXT"}
"""SQL type of each storage type."""


@dataclass
class Column:
    """An attribute and the column that holds it."""

    id: int
    name: str
    storage: str  # NUMERIC or TEXT
    column: str


@dataclass
class SetTable:
    """A set and its table."""

    id: int
    tag: str
    table: str
    view: str | None
    declared: bool
    columns: list[Column] = field(default_factory=list)  # in the declared order
    task_columns: dict[str, str] = field(default_factory=dict)  # by transformation; producers first
    taken: set[str] = field(default_factory=lambda: {"id"})

    def find(self, name: str) -> Column | None:
        """The attribute of this name, whatever its case."""
        exact = next((column for column in self.columns if column.name == name), None)
        lower = name.lower()
        return exact or next((column for column in self.columns if column.name.lower() == lower), None)


@dataclass
class Flow:
    """A dataflow in its present version."""

    id: int
    tag: str
    version: int
    declared: bool
    schema: str | None
    digest: str | None = None
    transformations: dict[str, tuple[int, bool]] = field(default_factory=dict)  # tag -> id, declared
    sets: dict[str, SetTable] = field(default_factory=dict)


class Catalogue:
    """The stored dataflows, and how new ones enter. Works within the caller's transaction.

    After a rollback it has to be made anew.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.flows: dict[str, Flow] = {}
        self._next: dict[str, int] = {}
        self._load()

    # ------------------------------------------------------------------------------------------------ looking up

    def flow(self, workflow: str, transformation: str) -> Flow:
        """The dataflow that a record of this workflow and transformation belongs to.

        That is the one whose tag is the workflow's identity; else the only declared one that has the transformation;
        else a new one, marked undeclared.
        """
        tag, step = workflow.lower(), transformation.lower()
        found = self.flows.get(tag)
        if found is not None and found.declared:
            return found
        candidates = [
            flow for flow in self.flows.values() if flow.declared and (not step or step in flow.transformations)
        ]
        if len(candidates) == 1:
            return candidates[0]
        return found or self._add_flow(tag, None)

    def transformation(self, flow: Flow, tag: str, declared: bool = False) -> int:
        """Id of a transformation; unknown ones are added."""
        tag = tag.lower()
        known = flow.transformations.get(tag)
        if known is None:
            number = self._insert("data_transformation", df_id=flow.id, tag=tag, declared=declared)
            flow.transformations[tag] = number, declared
            return number
        if declared and not known[1]:
            self._execute(f'UPDATE "public".data_transformation SET declared = true WHERE id = {known[0]}')
            flow.transformations[tag] = known[0], True
        return known[0]

    def table(self, flow: Flow, tag: str) -> SetTable:
        """The table of a set; unknown ones are added, without attributes and marked undeclared."""
        known = flow.sets.get(tag.lower())
        return known or self._add_set(flow, tag.lower(), declared=False)

    def task_column(self, flow: Flow, table: SetTable, transformation: str, output: bool) -> str:
        """The column of a set that names the task of a transformation; added when it is not there."""
        tag = transformation.lower()
        known = table.task_columns.get(tag)
        if known is None:
            known = self._attach(flow, table, tag, output)
            self._remake_views(flow, table)
        return known

    def add_attributes(self, flow: Flow, table: SetTable, attributes: Sequence[Attribute]) -> None:
        """Add attributes to the end of a set."""
        for attribute in attributes:
            self._add_attribute(table, attribute)
        self._remake_views(flow, table)

    # ----------------------------------------------------------------------------------------------- declaring

    def declare(self, dataflow: Dataflow) -> Flow:
        """Enter a declared dataflow. The same declaration again changes nothing; a different one is a new version."""
        flow = self.flows.get(dataflow.tag)
        if flow is None:
            flow = self._add_flow(dataflow.tag, dataflow)
        elif flow.digest == dataflow.digest:
            return flow
        else:
            flow.version = self._add_version(flow, dataflow)
            if not flow.declared:
                flow.schema = self._make_schema(flow.tag)
                self._execute(
                    f'UPDATE "public".dataflow SET declared = true, schema_name = {literal(flow.schema)} '
                    f"WHERE id = {flow.id}"
                )
                flow.declared = True
        flow.digest = dataflow.digest
        for transformation in dataflow.transformations:
            number = self.transformation(flow, transformation.tag, declared=True)
            for program in transformation.programs:
                self._add_program(flow, number, program.name, program.path)
        declarations = [(step.tag, item) for step in dataflow.transformations for item in step.sets]
        for _, item in declarations:
            if item.tag not in flow.sets:
                self._add_set(flow, item.tag, declared=True)
        # Producers first, which is the order of the task columns of a view.
        for step, item in sorted(declarations, key=lambda pair: not pair[1].output):
            self._declare_set(flow, step, item)
        for table in {item.tag: flow.sets[item.tag] for _, item in declarations}.values():
            self._remake_views(flow, table)
        return flow

    def _declare_set(self, flow: Flow, transformation: str, item: DataSet) -> None:
        table = flow.sets[item.tag]
        if not table.declared:
            self._execute(f'UPDATE "public".data_set SET declared = true WHERE id = {table.id}')
            table.declared = True
        if transformation not in table.task_columns:
            self._attach(flow, table, transformation, item.output, item.dependency)
        if not item.attributes or item.dependency is not None:
            return  # the producer's attributes count
        former = {column.name: column for column in table.columns}
        table.columns = []
        for attribute in item.attributes:
            column = former.pop(attribute.name, None)
            if column is not None and column.storage == TYPES[attribute.type]:
                self._execute(
                    f'UPDATE "public".attribute SET ordinal = {len(table.columns) + 1}, '
                    f"type = {literal(attribute.type)} WHERE id = {column.id}"
                )
                table.columns.append(column)
                continue
            if column is not None:  # another type: old values stay where they are
                former[attribute.name] = column
            self._add_attribute(table, attribute)
        for column in former.values():
            self._execute(f'UPDATE "public".attribute SET ordinal = NULL WHERE id = {column.id}')

    # ------------------------------------------------------------------------------------------------- adding

    def _add_flow(self, tag: str, dataflow: Dataflow | None) -> Flow:
        schema = self._make_schema(tag) if dataflow is not None else None
        number = self._insert("dataflow", tag=tag, declared=dataflow is not None, schema_name=schema)
        flow = Flow(number, tag, 0, dataflow is not None, schema)
        flow.version = self._add_version(flow, dataflow)
        self.flows[tag] = flow
        return flow

    def _add_version(self, flow: Flow, dataflow: Dataflow | None) -> int:
        version = self._number("dataflow_version")
        digest, definition = (dataflow.digest, dataflow.document) if dataflow else (None, None)
        self._execute(
            f'INSERT INTO "public".dataflow_version VALUES ({version}, {flow.id}, {literal(digest)}, '
            f"{literal(definition)}, {moment(time.time_ns() // 1000)})"
        )
        return version

    def _add_program(self, flow: Flow, transformation: int, name: str, path: str) -> None:
        where = f"df_id = {flow.id} AND name = {literal(name)} AND path = {literal(path)}"
        found = self._rows(f'SELECT id FROM "public".program WHERE {where}')
        number = found[0][0] if found else self._insert("program", df_id=flow.id, name=name, path=path)
        use = f"dt_id = {transformation} AND program_id = {number}"
        if not self._rows(f'SELECT 1 FROM "public".use_program WHERE {use}'):
            self._execute(f'INSERT INTO "public".use_program VALUES ({transformation}, {number})')

    def _add_set(self, flow: Flow, tag: str, declared: bool) -> SetTable:
        taken = self._taken()
        table = free(f"ds_{identifier(tag)}", taken)
        view = identifier(tag) if identifier(tag) not in taken | {table} else None
        number = self._insert("data_set", df_id=flow.id, tag=tag, declared=declared, table_name=table, view_name=view)
        self._execute(f"CREATE TABLE {qualified(table)} (id INTEGER NOT NULL)")
        self._grant(qualified(table))
        flow.sets[tag] = SetTable(number, tag, table, view, declared)
        return flow.sets[tag]

    def _attach(self, flow: Flow, table: SetTable, tag: str, output: bool, dependency: str | None = None) -> str:
        name = free(f"{identifier(tag)}_task_id", table.taken)
        self._execute(f"ALTER TABLE {qualified(table.table)} ADD COLUMN {quoted(name)} INTEGER")
        number = self.transformation(flow, tag)
        if output:
            self._insert("data_dependency", previous_dt_id=number, ds_id=table.id, previous_column=name)
        elif dependency is None:
            self._insert("data_dependency", next_dt_id=number, ds_id=table.id, next_column=name)
        else:
            self._follow(table, flow.transformations[dependency][0], number, name)
        table.task_columns[tag] = name
        table.taken.add(name)
        return name

    def _follow(self, table: SetTable, previous: int, following: int, name: str) -> None:
        """The set goes on from one transformation to another: complete its row, or add one."""
        ends = f"previous_dt_id = {previous} AND next_dt_id IS NULL AND ds_id = {table.id}"
        ((number,),) = self._rows(f'SELECT min(id) FROM "public".data_dependency WHERE {ends}')
        if number is None:
            self._insert(
                "data_dependency", previous_dt_id=previous, next_dt_id=following, ds_id=table.id, next_column=name
            )
        else:
            self._execute(
                f'UPDATE "public".data_dependency SET next_dt_id = {following}, next_column = {literal(name)} '
                f"WHERE id = {number}"
            )

    def _add_attribute(self, table: SetTable, attribute: Attribute) -> None:
        storage = TYPES[attribute.type]
        name = free(identifier(attribute.name), table.taken)
        number = self._insert(
            "attribute",
            ds_id=table.id,
            name=attribute.name,
            type=attribute.type,
            ordinal=len(table.columns) + 1,
            column_name=name,
        )
        self._execute(f"ALTER TABLE {qualified(table.table)} ADD COLUMN {quoted(name)} {SQL_TYPES[storage]}")
        table.columns.append(Column(number, attribute.name, storage, name))
        table.taken.add(name)

    def _remake_views(self, flow: Flow, table: SetTable) -> None:
        names = ["id", *table.task_columns.values(), *(column.column for column in table.columns)]
        select = f"SELECT {', '.join(quoted(name) for name in names)} FROM {qualified(table.table)}"
        views = [qualified(table.view)] if table.view else []
        if flow.schema:
            views.append(qualified(identifier(table.tag), flow.schema))
        for view in views:
            self._execute(f"CREATE OR REPLACE VIEW {view} AS {select}")
            self._grant(view)

    def _make_schema(self, tag: str) -> str:
        taken = {name for (name,) in self._rows("SELECT name FROM sys.schemas")}
        schema = free(identifier(tag), taken)
        self._execute(f"CREATE SCHEMA {quoted(schema)}")
        return schema

    # -------------------------------------------------------------------------------------------------- loading

    def _load(self) -> None:
        by_id: dict[int, Flow] = {}
        for number, tag, declared, schema in self._rows("SELECT id, tag, declared, schema_name FROM dataflow"):
            by_id[number] = self.flows[tag] = Flow(number, tag, 0, declared, schema)
        versions = self._rows("SELECT version, df_id, digest FROM dataflow_version ORDER BY version")
        for version, flow, digest in versions:
            by_id[flow].version, by_id[flow].digest = version, digest
        tags: dict[int, str] = {}
        for number, flow, tag, declared in self._rows("SELECT id, df_id, tag, declared FROM data_transformation"):
            by_id[flow].transformations[tag] = number, declared
            tags[number] = tag
        tables: dict[int, SetTable] = {}
        for number, flow, tag, declared, table, view in self._rows(
            "SELECT id, df_id, tag, declared, table_name, view_name FROM data_set"
        ):
            tables[number] = by_id[flow].sets[tag] = SetTable(number, tag, table, view, declared)
        producers, consumers = [], []
        for table, previous, following, produced, consumed in self._rows(
            "SELECT ds_id, previous_dt_id, next_dt_id, previous_column, next_column FROM data_dependency ORDER BY id"
        ):
            if produced is not None:
                producers.append((table, tags[previous], produced))
            if consumed is not None:
                consumers.append((table, tags[following], consumed))
        for table, tag, name in producers + consumers:
            tables[table].task_columns[tag] = name
            tables[table].taken.add(name)
        for number, table, name, kind, ordinal, column in self._rows(
            "SELECT id, ds_id, name, type, ordinal, column_name FROM attribute ORDER BY ordinal"
        ):
            tables[table].taken.add(column)
            if ordinal is not None:
                tables[table].columns.append(Column(number, name, TYPES[kind], column))

    def _taken(self) -> set[str]:
        return {
            name
            for (name,) in self._rows(
                "SELECT t.name FROM sys.tables AS t JOIN sys.schemas AS s ON s.id = t.schema_id "
                f"WHERE s.name = {literal(SCHEMA)}"
            )
        }

    def _number(self, table: str) -> int:
        if table not in self._next:
            key = "version" if table == "dataflow_version" else "id"
            self._next[table] = (self._rows(f"SELECT max({key}) FROM {qualified(table)}")[0][0] or 0) + 1
        number = self._next[table]
        self._next[table] += 1
        return number

    def _insert(self, table: str, **values: str | int | bool | None) -> int:
        number = self._number(table)
        names = ", ".join(quoted(name) for name in ("id", *values))
        shown = ", ".join(literal(value) for value in (number, *values.values()))
        self._execute(f"INSERT INTO {qualified(table)} ({names}) VALUES ({shown})")
        return number

    def _grant(self, target: str) -> None:
        # CREATE OR REPLACE makes a new view without the grants of the old one; tables are granted once.
        self._execute(f"GRANT SELECT ON {target} TO {READER}")

    def _execute(self, statement: str) -> None:
        self._connection.cursor().execute(statement)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return rows(self._connection, statement)
