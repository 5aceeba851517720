"""What the database knows of dataflows: their transformations, sets, attributes, and the tables of each set.

Every set S of a dataflow has a table ``ds_S`` and a view ``S``. A second dataflow with a set of that name gets the
table ``ds_S_2``; the short view stays with the first. Each declared dataflow has a schema of its own name in which the
views of all its sets lie, so ``dataflow.set`` is always right. ``data_set`` says which table and view a set has.
"""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from e2c.provenance.columns import moment
from e2c.provenance.dataflows import schema
from e2c.provenance.dataflows.dataflow import TYPES, Attribute, Dataflow, DataSet, Extractor, same
from e2c.provenance.dataflows.definitions import Definitions
from e2c.provenance.dataflows.set_tables import SQL_TYPES, Column, ExtractorColumn, Flow, SetTable
from e2c.provenance.names import free, identifier, literal, qualified, quoted

__all__ = ["SQL_TYPES", "Catalogue", "Column", "Flow", "SetTable"]


class Catalogue:
    """The stored dataflows, and how new ones enter. Works within the caller's transaction.

    After a rollback it has to be made anew.
    """

    def __init__(self, connection: Any) -> None:
        self._definitions = Definitions(connection)
        self.flows: dict[str, Flow] = {}
        self._followed: list[tuple[int, int]] = []
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
            number = self._definitions.insert("data_transformation", df_id=flow.id, tag=tag, declared=declared)
            flow.transformations[tag] = number, declared
            return number
        if declared and not known[1]:
            self._definitions.update("data_transformation", known[0], declared=True)
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

    def followed(self) -> list[tuple[int, int]]:
        """Sets, each with a transformation that uses it, that were tied since this was asked last."""
        told, self._followed = self._followed, []
        return told

    def remake_views(self) -> None:
        """Make the views of all sets anew, from what the tables say."""
        for flow in self.flows.values():
            for table in flow.sets.values():
                self._remake_views(flow, table)

    # ----------------------------------------------------------------------------------------------- declaring

    def declare(self, dataflow: Dataflow) -> Flow:
        """Enter a declared dataflow. The same declaration again changes nothing; a different one is a new version.

        Nothing is ever taken away: what a version no longer declares keeps its tables, columns and rows.
        """
        flow = self.flows.get(dataflow.tag)
        if flow is None:
            flow = self._add_flow(dataflow.tag, dataflow)
        elif flow.declared and same(dataflow, flow.digest, flow.definition):
            if not _lacks(flow, dataflow):
                return flow
        else:
            self._add_version(flow, dataflow)
            if not flow.declared:
                flow.schema, flow.declared = self._make_schema(flow.tag), True
                self._definitions.update("dataflow", flow.id, declared=True, schema_name=flow.schema)
        for step in dataflow.transformations:
            number = self.transformation(flow, step.tag, declared=True)
            for program in step.programs:
                self._add_program(flow, number, program.name, program.path)
        pairs = [(step.tag, item) for step in dataflow.transformations for item in step.sets]
        for _, item in pairs:
            table = flow.sets.get(item.tag) or self._add_set(flow, item.tag, declared=True)
            if not table.declared:
                self._definitions.update("data_set", table.id, declared=True)
                table.declared = True
        for tag, item in sorted(pairs, key=lambda pair: not pair[1].output):  # a producer's row is completed later
            self._link(flow, flow.sets[item.tag], tag, item)
        for _, item in pairs:
            self._declare_extractors(flow.sets[item.tag], item)
        for tag, attributes in dataflow.attributes().items():
            self._declare_attributes(flow.sets[tag], attributes)
            self._remake_views(flow, flow.sets[tag])
        return flow

    def _link(self, flow: Flow, table: SetTable, step: str, item: DataSet) -> None:
        """Tie a set to a transformation that makes or uses it, unless it is."""
        if step not in table.task_columns:
            self._attach(flow, table, step, item.output, item.dependency)
            return
        number, name = flow.transformations[step][0], table.task_columns[step]
        if item.output:
            where = f"previous_dt_id = {number}"
        elif item.dependency is None:
            where = f"next_dt_id = {number}"
        else:
            where = f"next_dt_id = {number} AND previous_dt_id = {flow.transformations[item.dependency][0]}"
        if not self._definitions.rows(f'SELECT 1 FROM "public".data_dependency WHERE ds_id = {table.id} AND {where}'):
            self._depend(flow, table, number, name, item.output, item.dependency)
            table.add_task_column(step, name, item.output)

    def _declare_attributes(self, table: SetTable, attributes: Sequence[Attribute]) -> None:
        """Bring the columns into the declared order, taking up those of earlier versions."""
        former = table.columns + table.retired
        table.columns = []
        for attribute in attributes:
            column = _column_for(attribute, former)
            if column is None:
                self._add_attribute(table, attribute)
                continue
            former.remove(column)
            column.name = attribute.name
            column.extractor = _extractor_id(table, attribute)
            table.columns.append(column)
            self._definitions.update(
                "attribute",
                column.id,
                ordinal=len(table.columns),
                name=attribute.name,
                type=attribute.type,
                extractor_id=column.extractor,
            )
        for column in former:
            self._definitions.update("attribute", column.id, ordinal=None)
        table.retired = former

    def _declare_extractors(self, table: SetTable, item: DataSet) -> None:
        for extractor in item.extractors:
            known = table.extractors.get(extractor.tag)
            if known is None:
                self._add_extractor(table, extractor)
            else:
                kinds = {"cartridge": extractor.cartridge, "extension": extractor.extension}
                self._definitions.update("extractor", known.id, **kinds)
        for one in item.combinations:
            ends = [table.extractors[tag].id for tag in (one.outer, one.inner)]
            self._definitions.execute(
                f'DELETE FROM "public".extractor_combination WHERE ds_id = {table.id} '
                f"AND outer_ext_id = {ends[0]} AND inner_ext_id = {ends[1]}"
            )
            self._definitions.insert(
                "extractor_combination",
                ds_id=table.id,
                outer_ext_id=ends[0],
                inner_ext_id=ends[1],
                keys=one.keys,
                key_types=one.key_types,
            )

    # ------------------------------------------------------------------------------------------------- adding

    def _add_flow(self, tag: str, dataflow: Dataflow | None) -> Flow:
        made = self._make_schema(tag) if dataflow is not None else None
        number = self._definitions.insert("dataflow", tag=tag, declared=dataflow is not None, schema_name=made)
        flow = self.flows[tag] = Flow(number, tag, 0, dataflow is not None, made)
        self._add_version(flow, dataflow)
        return flow

    def _add_version(self, flow: Flow, dataflow: Dataflow | None) -> None:
        flow.digest, flow.definition = (dataflow.digest, dataflow.document) if dataflow else (None, None)
        flow.version = self._definitions.insert(
            "dataflow_version", "version", df_id=flow.id, digest=flow.digest, definition=flow.definition
        )
        now = moment(time.time_ns() // 1000)
        self._definitions.execute(
            f'UPDATE "public".dataflow_version SET created = {now} WHERE version = {flow.version}'
        )

    def _add_program(self, flow: Flow, transformation: int, name: str, path: str) -> None:
        where = f"df_id = {flow.id} AND name = {literal(name)} AND path = {literal(path)}"
        found = self._definitions.rows(f'SELECT id FROM "public".program WHERE {where}')
        number = found[0][0] if found else self._definitions.insert("program", df_id=flow.id, name=name, path=path)
        use = f"dt_id = {transformation} AND program_id = {number}"
        if not self._definitions.rows(f'SELECT 1 FROM "public".use_program WHERE {use}'):
            self._definitions.add("use_program", dt_id=transformation, program_id=number)

    def _add_set(self, flow: Flow, tag: str, declared: bool) -> SetTable:
        taken = self._definitions.tables()
        table = free(f"ds_{identifier(tag)}", taken)
        view = identifier(tag) if identifier(tag) not in taken | {table} else None
        number = self._definitions.insert(
            "data_set", df_id=flow.id, tag=tag, declared=declared, table_name=table, view_name=view
        )
        self._definitions.execute(f"CREATE TABLE {qualified(table)} (id INTEGER NOT NULL)")
        self._definitions.grant(qualified(table))
        flow.sets[tag] = SetTable(number, tag, table, view, declared)
        return flow.sets[tag]

    def _attach(self, flow: Flow, table: SetTable, tag: str, output: bool, dependency: str | None = None) -> str:
        name = free(f"{identifier(tag)}_task_id", table.taken)
        self._add_column(table, name, "INTEGER")
        self._depend(flow, table, self.transformation(flow, tag), name, output, dependency)
        table.add_task_column(tag, name, output)
        return name

    def _depend(
        self, flow: Flow, table: SetTable, number: int, name: str, output: bool, dependency: str | None
    ) -> None:
        """Note that a transformation makes a set, uses it, or takes it from another one."""
        insert, update = self._definitions.insert, self._definitions.update
        if not output:
            self._followed.append((table.id, number))
        if output:
            insert("data_dependency", previous_dt_id=number, ds_id=table.id, previous_column=name)
        elif dependency is None:
            insert("data_dependency", next_dt_id=number, ds_id=table.id, next_column=name)
        else:
            previous = flow.transformations[dependency][0]
            ends = f"previous_dt_id = {previous} AND next_dt_id IS NULL AND ds_id = {table.id}"
            ((row,),) = self._definitions.rows(f'SELECT min(id) FROM "public".data_dependency WHERE {ends}')
            if row is None:
                insert("data_dependency", previous_dt_id=previous, next_dt_id=number, ds_id=table.id, next_column=name)
            else:
                update("data_dependency", row, next_dt_id=number, next_column=name)

    def _add_attribute(self, table: SetTable, attribute: Attribute) -> None:
        storage = TYPES[attribute.type]
        name = free(identifier(attribute.name), table.taken)
        extractor = _extractor_id(table, attribute)
        number = self._definitions.insert(
            "attribute",
            ds_id=table.id,
            extractor_id=extractor,
            name=attribute.name,
            type=attribute.type,
            ordinal=len(table.columns) + 1,
            column_name=name,
        )
        self._add_column(table, name, SQL_TYPES[storage])
        table.columns.append(Column(number, attribute.name, storage, name, extractor))
        table.taken.add(name)

    def _add_extractor(self, table: SetTable, extractor: Extractor) -> None:
        column = table.free_extractor_column(extractor.tag)
        view = free(f"ext_{identifier(extractor.tag)}", self._definitions.tables())
        number = self._definitions.insert(
            "extractor",
            ds_id=table.id,
            tag=extractor.tag,
            cartridge=extractor.cartridge,
            extension=extractor.extension,
            column_name=column,
            view_name=view,
        )
        self._add_column(table, column, "TEXT")
        table.add_extractor(ExtractorColumn(number, extractor.tag, column, view))
        # Its definition follows with those of the set; until then its name must not be taken.
        self._definitions.execute(f"CREATE VIEW {qualified(view)} AS SELECT id FROM {qualified(table.table)}")

    def _add_column(self, table: SetTable, name: str, kind: str) -> None:
        self._definitions.execute(f"ALTER TABLE {qualified(table.table)} ADD COLUMN {quoted(name)} {kind}")

    def _remake_views(self, flow: Flow, table: SetTable) -> None:
        views = [qualified(table.view)] if table.view else []
        if flow.schema:
            views.append(qualified(flow.view_names()[table.tag], flow.schema))
        made = [(view, table.query()) for view in views]
        made += [(qualified(one.view), table.extractor_query(one)) for one in table.extractors.values()]
        for view, query in made:
            self._definitions.execute(f"CREATE OR REPLACE VIEW {view} AS {query}")
            self._definitions.grant(view)

    def _make_schema(self, tag: str) -> str:
        name = free(identifier(tag), self._definitions.schemas())
        self._definitions.execute(f"CREATE SCHEMA {quoted(name)}")
        return name

    # -------------------------------------------------------------------------------------------------- loading

    def _load(self) -> None:
        select = self._definitions.rows
        by_id: dict[int, Flow] = {}
        for number, tag, declared, own in select("SELECT id, tag, declared, schema_name FROM dataflow ORDER BY id"):
            by_id[number] = self.flows[tag] = Flow(number, tag, 0, declared, own)
        versions = select("SELECT version, df_id, digest, definition FROM dataflow_version ORDER BY version")
        for version, number, digest, definition in versions:
            flow = by_id[number]
            flow.version, flow.digest, flow.definition = version, digest, definition
        tags: dict[int, str] = {}
        for number, df_id, tag, declared in select("SELECT id, df_id, tag, declared FROM data_transformation"):
            by_id[df_id].transformations[tag] = number, declared
            tags[number] = tag
        tables: dict[int, SetTable] = {}
        reserved = schema.names()
        for number, df_id, tag, declared, table, view in select(
            "SELECT id, df_id, tag, declared, table_name, view_name FROM data_set ORDER BY id"
        ):
            if view in reserved:  # a table of this version has the name that an earlier one left to the set
                self._definitions.update("data_set", number, view_name=None)
                view = None
            tables[number] = by_id[df_id].sets[tag] = SetTable(number, tag, table, view, declared)
        for number, previous, following, produced, consumed in select(
            "SELECT ds_id, previous_dt_id, next_dt_id, previous_column, next_column FROM data_dependency ORDER BY id"
        ):
            if produced is not None:
                tables[number].add_task_column(tags[previous], produced, True)
            if consumed is not None:
                tables[number].add_task_column(tags[following], consumed, False)
        for number, ds_id, tag, column, view in select(
            "SELECT id, ds_id, tag, column_name, view_name FROM extractor WHERE column_name IS NOT NULL ORDER BY id"
        ):
            tables[ds_id].add_extractor(ExtractorColumn(number, tag, column, view))
        for number, ds_id, name, kind, ordinal, column, extractor in select(
            "SELECT id, ds_id, name, type, ordinal, column_name, extractor_id FROM attribute ORDER BY ordinal, id"
        ):
            found = Column(number, name, TYPES[kind], column, extractor)
            tables[ds_id].taken.add(column)
            (tables[ds_id].columns if ordinal is not None else tables[ds_id].retired).append(found)


def _lacks(flow: Flow, dataflow: Dataflow) -> bool:
    """Whether extractors are declared that an earlier version of this program has not stored."""
    items = [item for step in dataflow.transformations for item in step.sets]
    return any(extractor.tag not in flow.sets[item.tag].extractors for item in items for extractor in item.extractors)


def _column_for(attribute: Attribute, former: Sequence[Column]) -> Column | None:
    """The column of earlier versions that takes the attribute's values; the name's case does not count."""
    fitting = [column for column in former if column.storage == TYPES[attribute.type]]
    named = [column for column in fitting if column.name == attribute.name]
    lower = attribute.name.lower()
    return next(iter(named), None) or next((one for one in fitting if one.name.lower() == lower), None)


def _extractor_id(table: SetTable, attribute: Attribute) -> int | None:
    return table.extractors[attribute.extractor].id if attribute.extractor is not None else None
