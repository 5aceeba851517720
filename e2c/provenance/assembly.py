"""Rows of one transaction, assembled from decoded batches."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from e2c.provenance.catalogue import SQL_TYPES, Catalogue, Column, Flow, SetTable
from e2c.provenance.columns import EARLIEST_US, INTEGER_NULL, LATEST_US, Rows, integers, same_text, texts, timestamps
from e2c.provenance.dataflow import Attribute
from e2c.provenance.names import qualified
from e2c.provenance.rejection import Rejected, without
from e2c.provenance.tasks import FAILED, FINISHED, RUNNING, Key, TaskIndex, TaskRows
from e2c.provenance.values import Converted, WrongValuesError, convert, storage_of
from provlight.wire import (
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    WORKFLOW_BEGIN,
    WORKFLOW_FAILED,
    Batch,
    Group,
    SetColumns,
)

_TASK_KINDS = (TASK_BEGIN, TASK_END, TASK_FAILED)
_STATUS = {TASK_BEGIN: RUNNING, TASK_END: FINISHED, TASK_FAILED: FAILED, WORKFLOW_FAILED: FAILED}


class WrongShapeError(Exception):
    """No record of this shape can be stored; the message says why."""


class _Converted(NamedTuple):
    """One set of a group, ready for its table."""

    item: SetColumns
    table: SetTable
    task_column: str
    columns: list[tuple[Column, Converted]]


@dataclass
class _Prepared:
    """A group whose values are in the form of the database."""

    group: Group
    flow: Flow
    step: int
    keys: list[Key]
    sets: list[_Converted]
    ids: array[int] = field(default_factory=lambda: array("i"))


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
        self.tasks = TaskRows(index, lambda: take("task", 1), rows)
        self.rejected = Rejected()
        self.unresolved = 0  # dependencies on tasks that are not known yet
        self.workflow_ends: list[tuple[int, str, str, int, str | None]] = []

    def add(self, client: int, host: str | None, batch: Batch) -> int:
        """Add the records of a batch. Returns how many of them were rejected."""
        rejected = 0
        prepared = []
        for group in batch.groups:
            if group.shape.kind not in _TASK_KINDS:
                rejected += self._workflow(client, batch.seq, group)
                continue
            ready, wrong = self._prepare(client, batch.seq, group)
            rejected += wrong
            if ready is not None:
                prepared.append(ready)
        self._number_tasks(client, host, prepared)
        for ready in prepared:
            for item in ready.sets:
                self._add_set(ready, item)
            self._add_dependencies(client, ready)
            self._add_extras(ready)
        return rejected

    def tables(self) -> Iterator[Rows]:
        """Rows by table, without those of ``task`` and ``rejected``."""
        return iter(self._tables.values())

    # ---------------------------------------------------------------------------------------------------- tasks

    def _prepare(self, client: int, seq: int, group: Group) -> tuple[_Prepared | None, int]:
        """Check and convert a group. Returns it without its wrong records, and their number."""
        total = group.records
        while group.records:
            wrong = _impossible(group)
            try:
                _check_names([group.shape.workflow, group.shape.transformation])
                flow = self._catalogue.flow(group.shape.workflow, group.shape.transformation)
                sets = [self._convert(flow, group, item, wrong) for item in group.sets if item.columns]
            except WrongShapeError as error:
                wrong = dict.fromkeys(range(group.records), str(error))
            if not wrong:
                step = self._catalogue.transformation(flow, group.shape.transformation)
                keys = [(client, step, str(task)) for task in group.tasks]
                return _Prepared(group, flow, step, keys, sets), total - group.records
            self.rejected.records(client, seq, group, wrong)
            group = without(group, wrong)
        return None, total

    def _convert(self, flow: Flow, group: Group, item: SetColumns, wrong: dict[int, str]) -> _Converted:
        shape = item.shape
        _check_names([shape.tag, *(shape.names or ())])
        table = self._catalogue.table(flow, shape.tag)
        columns = self._columns(flow, table, item)
        output = group.shape.kind != TASK_BEGIN
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
            raise WrongShapeError(f"set {shape.tag!r} has no attribute {next(iter(missing))!r}")
        # The type of an attribute is inferred from its first value: as long as there is none, it has no column.
        new = [Attribute(name, storage_of(values)) for name, values in missing.items() if not _all_null(values)]
        if new:
            self._catalogue.add_attributes(flow, table, new)
            found = [table.find(name) for name in names]
        if len({column.id for column in found if column}) != sum(1 for column in found if column):
            raise WrongShapeError(f"set {shape.tag!r}: an attribute is named twice")
        return found

    def _number_tasks(self, client: int, host: str | None, prepared: Sequence[_Prepared]) -> None:
        """Give every record its task's row, in the order of capture."""
        begun = {key for ready in prepared if ready.group.shape.kind == TASK_BEGIN for key in ready.keys}
        ends = [key for ready in prepared if ready.group.shape.kind != TASK_BEGIN for key in ready.keys]
        self.tasks.look_up(client, [key for key in ends if key not in begun])
        order: list[tuple[int, int, int]] = []
        for which, ready in enumerate(prepared):
            ready.ids = array("i", bytes(4 * ready.group.records))
            order += [(position, which, place) for place, position in enumerate(ready.group.positions)]
        order.sort()
        for _, which, place in order:
            ready = prepared[which]
            group, key, version = ready.group, ready.keys[place], ready.flow.version
            if group.shape.kind == TASK_BEGIN:
                ready.ids[place] = self.tasks.begin(key, version, host, group.times_us[place])
            else:
                error = group.errors[place].replace("\0", "\\0") or None if group.errors else None
                status = _STATUS[group.shape.kind]
                ready.ids[place] = self.tasks.end(key, version, host, status, group.times_us[place], error)

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

    def _add_dependencies(self, client: int, ready: _Prepared) -> None:
        if ready.group.dependency_counts is None or ready.group.shape.kind != TASK_BEGIN:
            return
        tasks, keys, found = [], [], []
        for number, dependencies in zip(ready.ids, ready.group.dependencies(), strict=True):
            for dependency in dict.fromkeys(str(one).replace("\0", "\\0") for one in dependencies):
                known = self._index.recent.get((client, dependency))
                tasks.append(number)
                keys.append(dependency)
                found.append(known if known is not None and known != number else INTEGER_NULL)
        self.unresolved += found.count(INTEGER_NULL)
        self._rows("task_dependency").append(
            len(tasks),
            {
                "task_id": ("INTEGER", integers(tasks)),
                "dependency_key": ("TEXT", texts(keys)),
                "dependency_id": ("INTEGER", integers(found)),
            },
        )

    def _add_extras(self, ready: _Prepared) -> None:
        for name, values in ready.group.extras.items():
            shown = [None if value is None else str(value).replace("\0", "\\0") for value in values]
            self._rows("task_extra").append(
                len(shown),
                {
                    "task_id": ("INTEGER", integers(ready.ids)),
                    "name": ("TEXT", same_text(name.replace("\0", "\\0"), len(shown))),
                    "value": ("TEXT", texts(shown)),
                },
            )

    # ------------------------------------------------------------------------------------------------- workflows

    def _workflow(self, client: int, seq: int, group: Group) -> int:
        wrong = {place: why for place, why in _impossible(group).items() if why != _NO_IDENTITY}
        try:
            _check_names([group.shape.workflow])
        except WrongShapeError as problem:
            wrong = dict.fromkeys(range(group.records), str(problem))
        if wrong:
            self.rejected.records(client, seq, group, wrong)
            group = without(group, wrong)
        tag = group.shape.workflow
        for place in range(group.records):
            time_us = group.times_us[place]
            if group.shape.kind != WORKFLOW_BEGIN:
                error = group.errors[place].replace("\0", "\\0") or None if group.errors else None
                status = _STATUS.get(group.shape.kind, FINISHED)
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


_NO_IDENTITY = "a task without identity"


def _all_null(values: Any) -> bool:
    return isinstance(values, list) and all(value is None for value in values)


def _check_names(names: Sequence[str]) -> None:
    """Refuse names that no table or column can be made of."""
    for name in names:
        if not name or "\0" in name:
            raise WrongShapeError("a name is empty" if not name else "a name holds a NUL character")


def _impossible(group: Group) -> dict[int, str]:
    """Records whose time or identity the database cannot hold."""
    wrong: dict[int, str] = {}
    times = group.times_us
    if min(times) < EARLIEST_US or max(times) > LATEST_US:
        for place, time_us in enumerate(times):
            if not EARLIEST_US <= time_us <= LATEST_US:
                wrong[place] = f"the time {time_us} us is outside the calendar"
    if not isinstance(group.tasks, array):
        for place, task in enumerate(group.tasks):
            if task is None:
                wrong[place] = _NO_IDENTITY
            elif isinstance(task, str) and "\0" in task:
                wrong[place] = "an identity with a NUL character cannot be stored"
    return wrong
