"""A set in the database: its table, the columns of it, and the views that show it."""

# ruff: noqa: S608 - statements are made of names that names.py has quoted
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, count

from e2c.provenance.dataflows.dataflow import NUMERIC, TEXT
from e2c.provenance.names import free, identifier, literal, qualified, quoted

SQL_TYPES = {NUMERIC: "DOUBLE", TEXT: "TEXT"}
"""SQL type of each storage type."""


@dataclass
class Column:
    """An attribute and the column that holds it."""

    id: int
    name: str
    storage: str  # NUMERIC or TEXT
    column: str
    extractor: int | None = None


@dataclass
class ExtractorColumn:
    """An extractor of a set: the column with the path of its file, and the view of what it drew."""

    id: int
    tag: str
    column: str
    view: str

    @property
    def base(self) -> str:
        """What the names of its columns in the views begin with."""
        return self.column.removesuffix("_path")


@dataclass
class SetTable:
    """A set and its table."""

    id: int
    tag: str
    table: str
    view: str | None
    declared: bool
    columns: list[Column] = field(default_factory=list)  # in the declared order
    retired: list[Column] = field(default_factory=list)  # declared by earlier versions only
    task_columns: dict[str, str] = field(default_factory=dict)  # by transformation; producers first
    producers: set[str] = field(default_factory=set)  # those of task_columns that produce it
    consumers: set[str] = field(default_factory=set)  # those of task_columns that use it
    extractors: dict[str, ExtractorColumn] = field(default_factory=dict)
    taken: set[str] = field(default_factory=lambda: {"id"})

    def find(self, name: str) -> Column | None:
        """The attribute of this name, whatever its case; an extractor's name stands for the path of its file."""
        exact = next((column for column in self.columns if column.name == name), None)
        lower = name.lower()
        found = exact or next((column for column in self.columns if column.name.lower() == lower), None)
        if found is None and lower in self.extractors:
            extractor = self.extractors[lower]
            return Column(-extractor.id, extractor.tag, TEXT, extractor.column)
        return found

    def add_task_column(self, transformation: str, column: str, produces: bool) -> None:
        """Note the column of a transformation: those of producers come first."""
        self.taken.add(column)
        (self.producers if produces else self.consumers).add(transformation)
        known = {**self.task_columns, transformation: self.task_columns.get(transformation, column)}
        self.task_columns = dict(sorted(known.items(), key=lambda item: item[0] not in self.producers))

    def free_extractor_column(self, tag: str) -> str:
        """A name for the path's column of an extractor, such that the names its views use are free as well."""
        wanted = identifier(tag)
        bases = chain([wanted], (f"{wanted}_{number}" for number in count(2)))
        return next(f"{base}_path" for base in bases if not self.taken.intersection(_extractor_names(base)))

    def add_extractor(self, extractor: ExtractorColumn) -> None:
        """Note an extractor and the names that belong to it."""
        self.extractors[extractor.tag] = extractor
        self.taken |= set(_extractor_names(extractor.base))

    def query(self) -> str:
        """What the view of the set shows."""
        task_columns = list(self.task_columns.values())
        shown = [f"s.{quoted(name)}" for name in ("id", *task_columns)]
        for place, extractor in enumerate(self.extractors.values()):
            shown += _file_columns(extractor, place)
        shown += [f"s.{quoted(column.column)}" for column in self.columns]
        return f"SELECT {', '.join(shown)} FROM {qualified(self.table)} AS s{self._files(self.extractors.values())}"

    def extractor_query(self, extractor: ExtractorColumn) -> str:
        """What the view of an extractor shows: a row for each element of which it drew attributes."""
        file, number, name = _file_columns(extractor, 0)
        name = f"{name.rpartition(' AS ')[0]} AS filename"
        drawn = [column for column in self.columns if column.extractor == extractor.id]
        shown = [number, file, name, *(f"s.{quoted(column.column)}" for column in drawn)]
        some = [extractor.column, *(column.column for column in drawn)]
        return (
            f"SELECT {', '.join(shown)} FROM {qualified(self.table)} AS s{self._files([extractor])} "
            f"WHERE {' OR '.join(f's.{quoted(column)} IS NOT NULL' for column in some)}"
        )

    def _files(self, extractors: Iterable[ExtractorColumn]) -> str:
        """Joins with the files of the extractors: the captured one of this path, of the element's task."""
        joins = ""
        tasks = [f"s.{quoted(name)}" for name in self.task_columns.values()]
        task = f"coalesce({', '.join(tasks)}, NULL)" if tasks else "NULL"
        for place, extractor in enumerate(extractors):
            joins += (
                f" LEFT JOIN (SELECT task_id, path, min(id) AS id, min(name) AS name FROM {qualified('file')} "
                f"WHERE ds_id = {self.id} AND lower(attribute) = {literal(extractor.tag)} GROUP BY task_id, path) "
                f"AS f{place} ON f{place}.path = s.{quoted(extractor.column)} AND f{place}.task_id = {task}"
            )
        return joins


@dataclass
class Flow:
    """A dataflow in its present version."""

    id: int
    tag: str
    version: int
    declared: bool
    schema: str | None
    digest: str | None = None
    definition: str | None = None
    transformations: dict[str, tuple[int, bool]] = field(default_factory=dict)  # tag -> id, declared
    sets: dict[str, SetTable] = field(default_factory=dict)

    def view_names(self) -> dict[str, str]:
        """Name of each set's view in the dataflow's own schema, by tag. The order of their making decides."""
        names: dict[str, str] = {}
        taken: set[str] = set()
        for table in self.sets.values():  # in the order of their ids
            name = free(identifier(table.tag), taken)
            names[table.tag] = name
            taken.add(name)
        return names


def _extractor_names(base: str) -> tuple[str, ...]:
    return tuple(f"{base}_{end}" for end in ("path", "file_id", "id", "filename"))


def _file_columns(extractor: ExtractorColumn, place: int) -> list[str]:
    """The columns of the views: number of the file, of the extracted row, and the file's name."""
    _, file, number, name = map(quoted, _extractor_names(extractor.base))
    path = f"s.{quoted(extractor.column)}"
    return [f"f{place}.id AS {file}", f"s.id AS {number}", f"coalesce(f{place}.name, {path}) AS {name}"]
