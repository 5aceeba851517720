"""Tasks with all that belongs to them, in blocks of bounded size."""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

import uuid
from array import array
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from e2c.provenance.export.facts import (
    AttributeInfo,
    Client,
    Element,
    File,
    Flow,
    Run,
    SetInfo,
    Task,
    Version,
)
from e2c.provenance.export.selection import Selection
from e2c.provenance.export.snapshot import Fields, Snapshot
from e2c.provenance.names import qualified, quoted
from e2c.provenance.progress import Progress

BLOCK_TASKS = 1000
"""Most tasks that are read at once."""


class Records:
    """What a snapshot holds, for one selection.

    ``id`` names this database wherever its records turn up, also after a restore from a dump.
    """

    def __init__(self, found: Snapshot, selection: Selection) -> None:
        self._found = found
        self._selection = selection
        selection.apply(found)
        self.flows = {row[0]: Flow(*row) for row in found.rows('SELECT id, tag, declared FROM "public".dataflow')}
        self.versions = {
            row[0]: Version(row[0], row[1], row[2], row[3], _utc(row[4]))
            for row in found.rows(
                'SELECT version, df_id, digest, definition, created FROM "public".dataflow_version ORDER BY version'
            )
        }
        self.steps: dict[int, tuple[int, str]] = {
            number: (flow, tag)
            for number, flow, tag in found.rows('SELECT id, df_id, tag FROM "public".data_transformation')
        }
        self.programs: dict[int, list[tuple[int, str, str]]] = {}
        for step, number, name, path in found.rows(
            'SELECT u.dt_id, p.id, p.name, p.path FROM "public".use_program AS u '
            'JOIN "public".program AS p ON p.id = u.program_id ORDER BY p.id'
        ):
            self.programs.setdefault(step, []).append((number, name, path))
        self.sets = self._sets()
        first = next(iter(self.versions.values()), None)
        name = f"e2c:{first.created.isoformat()}:{self.flows[first.flow].tag}:{first.digest}" if first else "e2c:empty"
        self.id = uuid.uuid5(uuid.NAMESPACE_URL, name)
        self.tasks: array[int] = selection.tasks(found)

    def blocks(self, progress: Progress) -> Iterator[list[Task]]:
        """The selected tasks, in the order of their ids."""
        progress.start(len(self.tasks), "tasks")
        for start in range(0, len(self.tasks), BLOCK_TASKS):
            ids = self.tasks[start : start + BLOCK_TASKS]
            yield self._block(ids[0], ids[-1])
            progress.step(len(ids))

    def clients(self, ids: set[int]) -> dict[int, Client]:
        """Clients by id."""
        if not ids:
            return {}
        return {
            row[0]: Client(*row)
            for row in self._found.rows(
                f'SELECT id, user_name, client, host FROM "public".client WHERE id IN ({_numbers(ids)})'
            )
        }

    def runs(self, ids: set[int]) -> list[Run]:
        """Rows of ``workflow``."""
        if not ids:
            return []
        return [
            Run(row[0], row[1], row[2], row[3], row[4], row[5], _time(row[6]), _time(row[7]))
            for row in self._found.rows(
                'SELECT id, df_version, client_id, tag, status, error_msg, started, ended FROM "public".workflow '
                f"WHERE id IN ({_numbers(ids)}) ORDER BY id"
            )
        ]

    def other_runs(self, known: set[int]) -> Iterator[set[int]]:
        """Ids of executions without tasks, in portions; none where a selection leaves something out."""
        if self._selection.any:
            return
        left: list[int] = []

        def run(fields: Fields) -> None:
            if (number := int(fields[0])) not in known:
                left.append(number)

        self._found.stream('SELECT id FROM "public".workflow', run)
        left.sort()
        for start in range(0, len(left), BLOCK_TASKS):
            yield set(left[start : start + BLOCK_TASKS])

    # ---------------------------------------------------------------------------------------------------- inside

    def _sets(self) -> dict[int, SetInfo]:
        found = self._found
        sets = {row[0]: SetInfo(*row) for row in found.rows('SELECT id, df_id, tag, table_name FROM "public".data_set')}
        for table, previous, following, made, used in found.rows(
            "SELECT ds_id, previous_dt_id, next_dt_id, previous_column, next_column "
            'FROM "public".data_dependency ORDER BY id'
        ):
            links = [(previous, made, True), (following, used, False)]
            sets[table].links += [link for link in links if link[1] is not None and link not in sets[table].links]
        names: dict[int, set[str]] = {}
        for number, table, name, kind, _, column in found.rows(
            'SELECT id, ds_id, name, type, ordinal, column_name FROM "public".attribute '
            "ORDER BY CASE WHEN ordinal IS NULL THEN 1 ELSE 0 END, ordinal, id"
        ):
            taken = names.setdefault(table, set())
            shown = name if name not in taken else column
            taken.add(shown)
            sets[table].attributes.append(AttributeInfo(number, shown, kind, column, kind == "NUMERIC"))
        return sets

    def _block(self, first: int, last: int) -> list[Task]:
        tasks: dict[int, Task] = {}

        def task(row: list[Any]) -> None:
            row[10:12] = map(_time, row[10:12])
            tasks[row[0]] = Task(*row)

        self._found.values(
            "SELECT id, df_version, dt_id, status, computing_resource, error_msg, client_id, key, workflow, parent_id, "
            f'started, ended, run FROM "public".task WHERE {self._within("id", first, last)}',
            _TASK_TYPES,
            task,
        )
        flows = {self.steps[one.step][0] for one in tasks.values()}
        steps = {one.step for one in tasks.values()}
        for info in self.sets.values():
            if info.flow in flows:
                self._elements(info, steps, first, last, tasks)
        self._facts(first, last, tasks)
        self._find_runs(tasks)
        self._find_parents(first, last, tasks)
        return [tasks[number] for number in sorted(tasks)]

    def _elements(self, info: SetInfo, steps: set[int], first: int, last: int, tasks: dict[int, Task]) -> None:
        """Elements of a set that tasks of a block made or used."""
        producers = [column for _, column, made in info.links if made]
        for step, column, made in info.links:
            if step not in steps or (not made and column in producers):
                continue
            if made:
                for number, element in self._rows(info, column, f"x.{quoted(column)}", "", first, last):
                    tasks[number].made.append(element)
            else:
                self._used(info, column, producers, first, last, tasks)

    def _used(
        self, info: SetInfo, column: str, producers: list[str], first: int, last: int, tasks: dict[int, Task]
    ) -> None:
        """What tasks used of a set.

        An element that other tasks made names only the first task that used it; who depends on its producer used it
        as well, unless it gave values of the set itself.
        """
        used: dict[int, dict[int, Element]] = {}
        for number, element in self._rows(info, column, f"x.{quoted(column)}", "", first, last):
            used.setdefault(number, {})[element.id] = element
        if producers and used.keys() != tasks.keys():
            own = " AND ".join(f"x.{quoted(name)} IS NULL" for name in producers)
            givers = {
                number
                for (number,) in self._found.rows(
                    f"SELECT DISTINCT x.{quoted(column)} FROM {qualified(info.table)} AS x "
                    f"WHERE {self._within(f'x.{quoted(column)}', first, last)} AND {own}"
                )
            }
            step = next(step for step, name, made in info.links if name == column and not made)
            for name in producers:
                join = f' JOIN "public".task_dependency AS d ON d.dependency_id = x.{quoted(name)}'
                for number, element in self._rows(info, name, "d.task_id", join, first, last):
                    if tasks[number].step == step and number not in givers:
                        used.setdefault(number, {})[element.id] = element
        for number, elements in used.items():
            tasks[number].used += [elements[key] for key in sorted(elements)]

    def _rows(
        self, info: SetInfo, column: str, task: str, join: str, first: int, last: int
    ) -> list[tuple[int, Element]]:
        names = "".join(f", x.{quoted(attribute.column)}" for attribute in info.attributes)
        kinds = ["INTEGER", "INTEGER", *("DOUBLE" if one.numeric else "TEXT" for one in info.attributes)]
        rows: list[list[Any]] = []
        self._found.values(
            f"SELECT {task}, x.id{names} FROM {qualified(info.table)} AS x{join} "
            f"WHERE {self._within(task, first, last)} AND x.{quoted(column)} IS NOT NULL",
            kinds,
            rows.append,
        )
        rows.sort(key=lambda one: int(one[1]))
        exact = self._exact(info, rows)
        out = []
        for row in rows:
            known = exact.get(row[1], {})
            values = [
                (one, known.get(one.id, value))
                for one, value in zip(info.attributes, row[2:], strict=True)
                if value is not None or one.id in known
            ]
            out.append((row[0], Element(info, row[1], values)))
        return out

    def _exact(self, info: SetInfo, rows: list[list[Any]]) -> dict[int, dict[int, Any]]:
        exact: dict[int, dict[int, Any]] = {}
        if rows and any(one.numeric for one in info.attributes):
            elements = [row[1] for row in rows]

            def value(row: list[Any]) -> None:
                element, attribute, text = row
                exact.setdefault(element, {})[attribute] = float(text) if text == "NaN" else int(text)

            self._found.values(
                'SELECT element_id, attribute_id, value FROM "public".exact_value '
                f"WHERE ds_id = {info.id} AND element_id BETWEEN {min(elements)} AND {max(elements)}",
                ("INTEGER", "INTEGER", "TEXT"),
                value,
            )
        return exact

    def _facts(self, first: int, last: int, tasks: dict[int, Task]) -> None:
        within = self._within("task_id", first, last)

        def dependency(row: list[Any]) -> None:
            tasks[row[0]].dependencies.append((row[1], row[2]))

        self._found.values(
            f'SELECT task_id, dependency_key, dependency_id FROM "public".task_dependency WHERE {within}',
            ("INTEGER", "TEXT", "INTEGER"),
            dependency,
        )

        def derivation(row: list[Any]) -> None:
            pair = row[1], row[2]
            if pair not in tasks[row[0]].derivations:
                tasks[row[0]].derivations.append(pair)

        self._found.values(
            f'SELECT task_id, ds_id, derived_from FROM "public".derivation WHERE {within}',
            ("INTEGER", "INTEGER", "TEXT"),
            derivation,
        )

        def extra(row: list[Any]) -> None:
            if row[2] is not None:
                tasks[row[0]].extras.append((row[1], row[2]))

        self._found.values(
            f'SELECT task_id, name, value FROM "public".task_extra WHERE {within}', ("INTEGER", "TEXT", "TEXT"), extra
        )

        def file(row: list[Any]) -> None:
            task = tasks[row[0]]
            info = self.sets.get(row[7])
            made = info is not None and (task.step, True) in {(step, made) for step, _, made in info.links}
            task.files.append(File(row[1], row[2], row[3], row[4], row[5], row[6], info, row[8], made))

        self._found.values(
            "SELECT task_id, id, name, path, size, digest, problem, ds_id, attribute "
            f'FROM "public".file WHERE {within}',
            ("INTEGER", "INTEGER", "TEXT", "TEXT", "BIGINT", "TEXT", "TEXT", "INTEGER", "TEXT"),
            file,
        )

    def _find_runs(self, tasks: dict[int, Task]) -> None:
        """The execution of which a task is a part: the last of its client and workflow that began before it."""
        clients = {task.client for task in tasks.values() if task.client is not None}
        if not clients:
            return
        runs: dict[tuple[int, str], list[tuple[datetime | None, int]]] = {}

        def run(row: list[Any]) -> None:
            runs.setdefault((row[1], row[2]), []).append((_time(row[3]), row[0]))

        self._found.values(
            f'SELECT id, client_id, tag, started FROM "public".workflow WHERE client_id IN ({_numbers(clients)})',
            ("INTEGER", "INTEGER", "TEXT", "TIMESTAMP"),
            run,
        )
        for task in tasks.values():
            candidates = runs.get((task.client or 0, task.workflow or ""), ())
            begun = task.started or task.ended
            before = [one for one in candidates if one[0] is None or begun is None or one[0] <= begun]
            if chosen := before or candidates:
                task.run = max(chosen, key=lambda one: one[1])[1]

    def _find_parents(self, first: int, last: int, tasks: dict[int, Task]) -> None:
        if all(task.parent is None for task in tasks.values()):
            return

        def parent(row: list[Any]) -> None:
            tasks[row[0]].parent_step = row[1]

        self._found.values(
            'SELECT me.id, p.dt_id FROM "public".task AS me JOIN "public".task AS p ON p.id = me.parent_id '
            f"WHERE {self._within('me.id', first, last)}",
            ("INTEGER", "INTEGER"),
            parent,
        )

    def _within(self, column: str, first: int, last: int) -> str:
        condition = self._selection.condition(column)
        return f"{column} BETWEEN {first} AND {last}" + (f" AND {condition}" if condition else "")


_TASK_TYPES = (
    ("INTEGER",) * 3 + ("TEXT",) * 3 + ("INTEGER", "TEXT", "TEXT", "INTEGER", "TIMESTAMP", "TIMESTAMP", "TEXT")
)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=timezone.utc)


def _time(value: datetime | None) -> datetime | None:
    return None if value is None else _utc(value)


def _numbers(ids: set[int]) -> str:
    return ", ".join(map(str, sorted(ids)))
