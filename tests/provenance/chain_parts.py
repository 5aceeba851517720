"""A chained dataflow, its records, and what a database says of the links between its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provenance_parts import T0, Asker

from provlight.wire import TASK_BEGIN, TASK_END, TASK_USED, Record, SetShape


def _declared(tag: str, *sets: tuple[str, str, str | None]) -> dict[str, Any]:
    number = [{"name": "v", "type": "NUMERIC"}]
    return {
        "tag": tag,
        "sets": [
            {"tag": one, "type": kind, "attributes": [] if dependency else number, "dependency": dependency}
            for one, kind, dependency in sets
        ],
    }


CHAINED: dict[str, Any] = {
    "tag": "chained",
    "transformations": [
        _declared("make", ("x", "OUTPUT", None)),
        _declared("mix", ("x", "OUTPUT", None)),
        _declared("use", ("x", "INPUT", "make"), ("y", "OUTPUT", None)),
        _declared("other", ("x", "INPUT", "mix")),
        _declared("last", ("y", "INPUT", "use")),
    ],
}
"""``make`` and ``mix`` generate x; ``use`` and ``other`` use it; ``use`` generates y, which ``last`` uses."""

GENERATED = {"make": "x", "mix": "x", "use": "y"}
CONSUMED = {"use": "x", "other": "x", "last": "y"}


def begins(step: str, key: Any, depends: Sequence[Any] = (), *sets: tuple[str, Any], run: str = "run") -> Record:
    """The beginning of a task; a set without values is only named."""
    return Record(TASK_BEGIN, run, step, key, T0, tuple(depends), "", [_set(*one) for one in sets])


def uses(step: str, key: Any, *sets: tuple[str, Any], run: str = "run") -> Record:
    return Record(TASK_USED, run, step, key, T0 + 1, (), "", [_set(*one) for one in sets])


def ends(step: str, key: Any, *sets: tuple[str, Any], run: str = "run", kind: int = TASK_END) -> Record:
    return Record(kind, run, step, key, T0 + 2, (), "", [_set(*one) for one in sets])


def _set(tag: str, values: Any) -> tuple[SetShape, list[Any]]:
    if values is None:
        return SetShape(tag, (), 0), []
    found = list(values)
    return SetShape(tag, ("v",), 1, len(found)), found


def elements(
    ask: Asker, table: str, producers: Sequence[str], consumer: str, run: str = "run", users: Sequence[str] = ()
) -> set[tuple[Any, ...]]:
    """Value, producer's and consumer's identity of each element of the tasks of a run; none may be there twice.

    ``users`` are all transformations that use the set, when there are several.
    """
    made = f"coalesce({', '.join(f's.{one}_task_id' for one in producers)}, CAST(NULL AS INTEGER))"
    tasks = [made, *(f"s.{one}_task_id" for one in (users or (consumer,))), "CAST(NULL AS INTEGER)"]
    rows = ask(
        f"SELECT s.v, p.key, c.key FROM {table} AS s JOIN task AS t ON t.id = coalesce({', '.join(tasks)}) "
        f"LEFT JOIN task AS p ON p.id = {made} LEFT JOIN task AS c ON c.id = s.{consumer}_task_id "
        f"WHERE t.workflow = '{run}'"
    )
    assert len(set(rows)) == len(rows)
    return set(rows)
