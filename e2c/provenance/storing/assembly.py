"""Rows of one transaction, assembled from decoded batches."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple

from e2c.provenance.columns import (
    BIGINT_NULL,
    INTEGER_NULL,
    Rows,
    bigints,
    integers,
    same_text,
    texts,
    timestamps,
)
from e2c.provenance.dataflows.catalogue import SQL_TYPES, Catalogue, Column, Flow, SetTable
from e2c.provenance.dataflows.dataflow import Attribute
from e2c.provenance.names import qualified
from e2c.provenance.storing.awaited import Awaited, taken_over
from e2c.provenance.storing.checks import (
    NO_IDENTITY,
    WrongShapeError,
    check_names,
    check_spelling,
    clean,
    files_of,
    impossible,
    nearest,
)
from e2c.provenance.storing.numbering import STATUS, TaskGroup, number_tasks
from e2c.provenance.storing.rejection import Rejected, without
from e2c.provenance.storing.tasks import FINISHED, RUNNING, TaskIndex, TaskRows, error_of
from e2c.provenance.storing.values import Converted, WrongValuesError, convert, storage_of
from provlight.wire import (
    FILES,
    PARENT,
    PARENT_TRANSFORMATION,
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    TASK_USED,
    WORKFLOW_BEGIN,
    Batch,
    FileFact,
    Group,
    SetColumns,
)

_TASK_KINDS = (TASK_BEGIN, TASK_END, TASK_FAILED, TASK_USED)
_INPUT_KINDS = (TASK_BEGIN, TASK_USED)


class _Converted(NamedTuple):
    """One set of a group, ready for its table."""

    item: SetColumns
    table: SetTable
    task_column: str
    columns: list[tuple[Column, Converted]]


@dataclass
class _Prepared(TaskGroup):
    """A group whose values are in the form of the database."""

    sets: list[_Converted] = field(default_factory=list)
    files: list[list[FileFact]] = field(default_factory=list)  # of each record; empty when no record has files


class Assembly:
    """Gathers the rows of one transaction.

    Args:
        catalogue: dataflows of this transaction's connection.
        index: recent tasks; lasts over transactions.
        take: reserves so many ids of a table and gives the first.
        rows: answers SQL.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        index: TaskIndex,
        take: Callable[[str, int], int],
        rows: Callable[[str], list[tuple[Any, ...]]],
    ) -> None:
        self._catalogue = catalogue
        self._index = index
        self._take = take
        self._tables: dict[str, Rows] = {}
        self.tasks = TaskRows(index, lambda count: take("task", count), rows)
        self.rejected = Rejected()
        self.awaited = Awaited(take)
        self.workflow_ends: list[tuple[int, str, str, int, str | None]] = []

    def add(self, client: int, host: str | None, batch: Batch, run: str | None = None) -> int:
        """Add the records of a batch. Returns how many of them were rejected."""
        rejected = 0
        self.tasks.of_run(client, run)
        prepared = []
        for group in batch.groups:
            if group.shape.kind not in _TASK_KINDS:
                rejected += self._workflow(client, batch.seq, group)
                continue
            ready, wrong = self._prepare(client, batch.seq, group)
            rejected += wrong
            if ready is not None:
                prepared.append(ready)
        number_tasks(self.tasks, self._index, self.awaited, client, host, prepared)
        for ready in prepared:
            for item in ready.sets:
                self._add_set(ready, item)
            self._note_given(ready)
            self._add_files(ready)
            self._add_extras(ready)
        return rejected

    def tables(self) -> Iterator[Rows]:
        """Rows by table, without those of ``task`` and ``rejected``."""
        for task, key, step in self.tasks.orphans:
            self.awaited.is_part(task, key, step)
        yield from self._tables.values()
        yield from self.awaited.tables()

    # ---------------------------------------------------------------------------------------------------- tasks

    def _prepare(self, client: int, seq: int, group: Group) -> tuple[_Prepared | None, int]:
        """Check and convert a group. Returns it without its wrong records, and their number."""
        total = group.records
        while group.records:
            wrong = impossible(group)
            files = files_of(group, wrong)
            try:
                check_names([group.shape.workflow, group.shape.transformation])
                flow = self._catalogue.flow(group.shape.workflow, group.shape.transformation)
                sets = [self._convert(flow, group, item, wrong) for item in group.sets if item.columns]
                if group.shape.kind in _INPUT_KINDS:
                    self._use_by_name(flow, group)
            except WrongShapeError as error:
                wrong = dict.fromkeys(range(group.records), str(error))
            if not wrong:
                step = self._catalogue.transformation(flow, group.shape.transformation)
                keys = list(zip(repeat(client), repeat(step), repeat(group.shape.workflow), map(str, group.tasks)))
                ready = _Prepared(group, flow, step, keys, sets=sets, files=files)
                if group.dependency_counts is not None:
                    given = {item.table.id for item in sets}
                    ready.taken_over = [one for one in taken_over(flow, group.shape.transformation) if one not in given]
                return ready, total - group.records
            self.rejected.records(client, seq, group, wrong)
            group = without(group, wrong)
        return None, total

    def _convert(self, flow: Flow, group: Group, item: SetColumns, wrong: dict[int, str]) -> _Converted:
        shape = item.shape
        check_names(shape.names or ())
        table = self._table(flow, shape.tag)
        columns = self._columns(flow, table, item)
        output = group.shape.kind not in _INPUT_KINDS
        task_column = self._catalogue.task_column(flow, table, group.shape.transformation, output)
        converted = []
        for column, values in zip(columns, item.columns, strict=True):
            if column is None:
                continue
            try:
                converted.append((column, convert(values, column.storage)))
            except WrongValuesError as error:
                for row, reason in error.reasons.items():
                    wrong.setdefault(row // shape.rows, f"set {shape.tag!r}, attribute {column.name!r}: {reason}")
        return _Converted(item, table, task_column, converted)

    def _table(self, flow: Flow, tag: str) -> SetTable:
        check_names([tag])
        if flow.declared and tag.lower() not in flow.sets:
            check_spelling(flow, tag)
        return self._catalogue.table(flow, tag)

    def _use_by_name(self, flow: Flow, group: Group) -> None:
        """Sets that are named without values: the task uses what others generated."""
        for item in group.sets:
            if not item.columns:
                table = self._table(flow, item.shape.tag)
                self._catalogue.task_column(flow, table, group.shape.transformation, output=False)

    def _columns(self, flow: Flow, table: SetTable, item: SetColumns) -> list[Column | None]:
        """The column of each attribute, by the declared order or by name; None where there is nothing to store yet."""
        shape = item.shape
        names = shape.names
        if names is None and table.declared:
            if len(table.columns) != shape.width:
                known = ", ".join(column.name for column in table.columns)
                raise WrongShapeError(
                    f"set {shape.tag!r} has {len(table.columns)} attributes ({known}), not {shape.width}"
                )
            return list(table.columns)
        if names is None:
            names = tuple(f"value_{index + 1}" for index in range(shape.width))
        found = [table.find(name) for name in names]
        missing = {name: values for name, values, column in zip(names, item.columns, found, strict=True) if not column}
        if missing and table.declared:
            name = next(iter(missing))
            near = nearest(name, [column.name for column in table.columns], 0.5)
            hint = f": did you mean {near!r}?" if near else ""
            raise WrongShapeError(f"set {shape.tag!r} has no attribute {name!r}{hint}")
        # The type of an attribute is inferred from its first value: as long as there is none, it has no column.
        new = [Attribute(name, storage_of(values)) for name, values in missing.items() if not _all_null(values)]
        if new:
            self._catalogue.add_attributes(flow, table, new)
            found = [table.find(name) for name in names]
        if len({column.id for column in found if column}) != sum(1 for column in found if column):
            raise WrongShapeError(f"set {shape.tag!r}: an attribute is named twice")
        return found

    # --------------------------------------------------------------------------------------------------- values

    def _add_set(self, ready: _Prepared, item: _Converted) -> None:
        shape, table = item.item.shape, item.table
        count = ready.group.records * shape.rows
        first = self._take(table.table, count)
        ids = ready.ids
        if shape.rows != 1:
            ids = array("i", [number for number in ids for _ in range(shape.rows)])
        columns = {
            "id": ("INTEGER", integers(range(first, first + count))),
            item.task_column: ("INTEGER", integers(ids)),
        }
        exact = []
        for column, converted in item.columns:
            columns[column.column] = SQL_TYPES[column.storage], converted.data
            exact += [(table.id, first + place, column.id, text) for place, text in converted.exact]
        self._rows(table.table).append(count, columns)
        if exact:
            sets, elements, attributes, values = zip(*exact, strict=True)
            self._rows("exact_value").append(
                len(exact),
                {
                    "ds_id": ("INTEGER", integers(sets)),
                    "element_id": ("INTEGER", integers(elements)),
                    "attribute_id": ("INTEGER", integers(attributes)),
                    "value": ("TEXT", texts(values)),
                },
            )
        for source in shape.derivations:
            self._rows("derivation").append(
                len(ready.ids),
                {
                    "task_id": ("INTEGER", integers(ready.ids)),
                    "ds_id": ("INTEGER", integers([table.id] * len(ready.ids))),
                    "derived_from": ("TEXT", same_text(source.replace("\0", "\\0"), len(ready.ids))),
                },
            )

    def _note_given(self, ready: _Prepared) -> None:
        """Values that come after the beginning: the task takes nothing over of these sets."""
        if ready.group.shape.kind == TASK_BEGIN or not ready.sets:
            return
        taken = set(taken_over(ready.flow, ready.group.shape.transformation))
        given = {item.table.id for item in ready.sets} & taken
        self.awaited.gives(ready.ids, ready.step, sorted(given))

    def _add_files(self, ready: _Prepared) -> None:
        facts = [(number, fact) for number, found in zip(ready.ids, ready.files, strict=False) for fact in found]
        if not facts:
            return
        first = self._take("file", len(facts))
        sets, attributes = [], []
        for _, fact in facts:
            table = ready.flow.sets.get(fact.tag.lower())
            names = [column.name for column in table.columns] if table else []
            place = fact.attribute
            sets.append(table.id if table else INTEGER_NULL)
            attributes.append(place if isinstance(place, str) else names[place] if place < len(names) else None)
        digests = [fact.digest.hex() if fact.digest is not None else None for _, fact in facts]
        self._rows("file").append(
            len(facts),
            {
                "id": ("INTEGER", integers(range(first, first + len(facts)))),
                "task_id": ("INTEGER", integers([number for number, _ in facts])),
                "name": ("TEXT", texts([clean(fact.path.rpartition("/")[2]) for _, fact in facts])),
                "path": ("TEXT", texts([clean(fact.path) for _, fact in facts])),
                "size": ("BIGINT", bigints([BIGINT_NULL if fact.size is None else fact.size for _, fact in facts])),
                "digest": ("TEXT", texts(digests)),
                "problem": ("TEXT", texts([clean(fact.problem) or None for _, fact in facts])),
                "ds_id": ("INTEGER", integers(sets)),
                "attribute": ("TEXT", texts([None if name is None else clean(name) for name in attributes])),
            },
        )

    def _add_extras(self, ready: _Prepared) -> None:
        for name, values in ready.group.extras.items():
            if name in _KNOWN_EXTRAS:
                continue
            shown = [None if value is None else clean(str(value)) for value in values]
            self._rows("task_extra").append(
                len(shown),
                {
                    "task_id": ("INTEGER", integers(ready.ids)),
                    "name": ("TEXT", same_text(clean(name), len(shown))),
                    "value": ("TEXT", texts(shown)),
                },
            )

    # ------------------------------------------------------------------------------------------------- workflows

    def _workflow(self, client: int, seq: int, group: Group) -> int:
        wrong = {place: why for place, why in impossible(group).items() if why != NO_IDENTITY}
        try:
            check_names([group.shape.workflow])
        except WrongShapeError as problem:
            wrong = dict.fromkeys(range(group.records), str(problem))
        if wrong:
            self.rejected.records(client, seq, group, wrong)
            group = without(group, wrong)
        tag = group.shape.workflow
        for place in range(group.records):
            time_us = group.times_us[place]
            if group.shape.kind != WORKFLOW_BEGIN:
                error = error_of(group, place)
                status = STATUS.get(group.shape.kind, FINISHED)
                self.workflow_ends.append((client, tag, status, time_us, error))
                continue
            flow = self._catalogue.flow(tag, "")
            self._rows("workflow").append(
                1,
                {
                    "id": ("INTEGER", integers([self._take("workflow", 1)])),
                    "df_version": ("INTEGER", integers([flow.version])),
                    "client_id": ("INTEGER", integers([client])),
                    "tag": ("TEXT", texts([tag])),
                    "status": ("TEXT", texts([RUNNING])),
                    "started": ("TIMESTAMP", timestamps([time_us])),
                },
            )
        return len(wrong)

    def _rows(self, table: str) -> Rows:
        found = self._tables.get(table)
        if found is None:
            found = self._tables[table] = Rows(qualified(table))
        return found


_KNOWN_EXTRAS = (FILES, PARENT, PARENT_TRANSFORMATION)


def _all_null(values: Any) -> bool:
    return isinstance(values, list) and all(value is None for value in values)
