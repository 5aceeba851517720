"""Rows of one transaction, assembled from decoded batches."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from e2c.provenance.catalogue import SQL_TYPES, Catalogue, Column, Flow, SetTable
from e2c.provenance.checks import (
    NO_IDENTITY,
    WrongShapeError,
    check_names,
    check_spelling,
    clean,
    files_of,
    impossible,
    nearest,
)
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
from e2c.provenance.dataflow import Attribute
from e2c.provenance.names import qualified
from e2c.provenance.rejection import Rejected, without
from e2c.provenance.tasks import FAILED, FINISHED, RUNNING, Key, TaskIndex, TaskRows
from e2c.provenance.values import Converted, WrongValuesError, convert, storage_of
from provlight.wire import (
    FILES,
    PARENT,
    PARENT_TRANSFORMATION,
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    TASK_USED,
    WORKFLOW_BEGIN,
    WORKFLOW_FAILED,
    Batch,
    FileFact,
    Group,
    SetColumns,
)

_TASK_KINDS = (TASK_BEGIN, TASK_END, TASK_FAILED, TASK_USED)
_INPUT_KINDS = (TASK_BEGIN, TASK_USED)
_STATUS = {TASK_BEGIN: RUNNING, TASK_END: FINISHED, TASK_FAILED: FAILED, WORKFLOW_FAILED: FAILED}


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
    files: list[list[FileFact]]  # of each record; empty when no record has files
    dependencies: list[tuple[int, str, int]] = field(default_factory=list)  # row, identity, row of it
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
            self._add_dependencies(ready)
            self._add_files(ready)
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
            wrong = impossible(group)
            files = files_of(group, wrong)
            try:
                check_names([group.shape.workflow, group.shape.transformation])
                flow = self._catalogue.flow(group.shape.workflow, group.shape.transformation)
                sets = [self._convert(flow, group, item, wrong) for item in group.sets if item.columns]
            except WrongShapeError as error:
                wrong = dict.fromkeys(range(group.records), str(error))
            if not wrong:
                step = self._catalogue.transformation(flow, group.shape.transformation)
                keys = [(client, step, group.shape.workflow, str(task)) for task in group.tasks]
                return _Prepared(group, flow, step, keys, sets, files), total - group.records
            self.rejected.records(client, seq, group, wrong)
            group = without(group, wrong)
        return None, total

    def _convert(self, flow: Flow, group: Group, item: SetColumns, wrong: dict[int, str]) -> _Converted:
        shape = item.shape
        check_names([shape.tag, *(shape.names or ())])
        if flow.declared and shape.tag.lower() not in flow.sets:
            check_spelling(flow, shape.tag)
        table = self._catalogue.table(flow, shape.tag)
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

    def _number_tasks(self, client: int, host: str | None, prepared: Sequence[_Prepared]) -> None:
        """Give every record its task's row, and every named task its own, in the order of capture."""
        order: list[tuple[int, int, int]] = []
        for which, ready in enumerate(prepared):
            ready.ids = array("i", bytes(4 * ready.group.records))
            order += [(position, which, place) for place, position in enumerate(ready.group.positions)]
        order.sort()
        begun: set[Key] = set()
        earlier = []
        for _, which, place in order:
            key = prepared[which].keys[place]
            if prepared[which].group.shape.kind == TASK_BEGIN:
                begun.add(key)
            elif key not in begun:
                earlier.append(key)
        self.tasks.look_up(client, earlier)
        named = [_named_tasks(ready) for ready in prepared]
        for _, which, place in order:
            ready = prepared[which]
            group, key, version = ready.group, ready.keys[place], ready.flow.version
            if group.shape.kind == TASK_BEGIN:
                dependencies, parents = named[which]
                found = [(one, self.tasks.recent(client, key[2], one)) for one in dependencies[place]]
                number = self.tasks.begin(key, version, host, group.times_us[place], parents[place])
                ready.dependencies += [(number, one, INTEGER_NULL if row is None else row) for one, row in found]
            elif group.shape.kind == TASK_USED:
                number = self.tasks.use(key, version, host)
            else:
                error = group.errors[place].replace("\0", "\\0") or None if group.errors else None
                status = _STATUS[group.shape.kind]
                number = self.tasks.end(key, version, host, status, group.times_us[place], error)
            ready.ids[place] = number

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

    def _add_dependencies(self, ready: _Prepared) -> None:
        if not ready.dependencies:
            return
        tasks, keys, found = zip(*ready.dependencies, strict=True)
        self.unresolved += found.count(INTEGER_NULL)
        self._rows("task_dependency").append(
            len(tasks),
            {
                "task_id": ("INTEGER", integers(tasks)),
                "dependency_key": ("TEXT", texts(keys)),
                "dependency_id": ("INTEGER", integers(found)),
            },
        )

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


_KNOWN_EXTRAS = (FILES, PARENT, PARENT_TRANSFORMATION)


def _all_null(values: Any) -> bool:
    return isinstance(values, list) and all(value is None for value in values)


def _named_tasks(ready: _Prepared) -> tuple[list[list[str]], list[tuple[int | None, str] | None]]:
    """For each record the identities of its dependencies, and transformation and identity of its parent."""
    group = ready.group
    if group.shape.kind != TASK_BEGIN:
        return [], []
    none: list[str] = []
    dependencies = [none] * group.records
    if group.dependency_counts is not None:
        dependencies = [list(dict.fromkeys(clean(str(one)) for one in found)) for found in group.dependencies()]
    parents: list[tuple[int | None, str] | None] = [None] * group.records
    if PARENT in group.extras:
        steps = group.extras.get(PARENT_TRANSFORMATION, [None] * group.records)
        for place, (parent, step) in enumerate(zip(group.extras[PARENT], steps, strict=True)):
            if parent is not None:
                known = ready.flow.transformations.get(str(step).lower())
                parents[place] = known[0] if known else None, clean(str(parent))
    return dependencies, parents
