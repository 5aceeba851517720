"""Records that cannot be stored as they are: kept whole, with the reason, in the table ``rejected``."""

from __future__ import annotations

import datetime
import json
from array import array
from collections.abc import Container, Mapping
from typing import Any

from e2c.provenance.columns import INTEGER_NULL, Rows, bigints, integers, texts, timestamps
from e2c.provenance.names import qualified
from provlight.wire import Group, SetColumns


class Rejected:
    """Rejected records of one transaction."""

    def __init__(self) -> None:
        self._rows: list[tuple[int | None, int, int, str | None, str | None, str | None, str, str]] = []

    def records(self, client: int, seq: int, group: Group, reasons: Mapping[int, str]) -> None:
        """Reject some records of a group.

        Args:
            reasons: why, by place in the group.
        """
        for place, reason in sorted(reasons.items()):
            task = group.tasks[place]
            self._rows.append(
                (
                    client,
                    seq,
                    group.positions[place],
                    _clean(group.shape.workflow),
                    _clean(group.shape.transformation),
                    None if task is None else _clean(str(task)),
                    _clean(reason),
                    json.dumps(record(group, place), default=_plain),
                )
            )

    def message(self, client: int | None, seq: int, reason: str, payload: bytes) -> None:
        """Reject a message that cannot be decoded."""
        text = json.dumps({"message": payload.hex()})
        self._rows.append((client, seq, INTEGER_NULL, None, None, None, _clean(reason), text))

    def rows(self, now_us: int) -> Rows:
        """Rows of the table ``rejected``."""
        rows = Rows(qualified("rejected"))
        if self._rows:
            clients, seqs, places, workflows, steps, tasks, reasons, payloads = zip(*self._rows, strict=True)
            rows.append(
                len(self._rows),
                {
                    "client_id": ("INTEGER", integers(INTEGER_NULL if item is None else item for item in clients)),
                    "seq": ("BIGINT", bigints(seqs)),
                    "ordinal": ("INTEGER", integers(places)),
                    "workflow": ("TEXT", texts(workflows)),
                    "transformation": ("TEXT", texts(steps)),
                    "task": ("TEXT", texts(tasks)),
                    "reason": ("TEXT", texts(reasons)),
                    "payload": ("TEXT", texts(payloads)),
                    "noticed": ("TIMESTAMP", timestamps([now_us] * len(self._rows))),
                },
            )
        return rows


def record(group: Group, place: int) -> dict[str, Any]:
    """One record of a group, for people to read."""
    shape = group.shape
    found: dict[str, Any] = {
        "kind": shape.kind,
        "workflow": shape.workflow,
        "transformation": shape.transformation,
        "task": group.tasks[place],
        "time_us": group.times_us[place],
    }
    if group.dependency_counts is not None:
        first = sum(group.dependency_counts[:place])
        found["dependencies"] = list(group.dependency_ids[first : first + group.dependency_counts[place]])
    if group.errors is not None:
        found["error"] = group.errors[place]
    for item in group.sets:
        rows = range(place * item.shape.rows, (place + 1) * item.shape.rows)
        entry: dict[str, Any] = {"tag": item.shape.tag, "attributes": item.shape.names}
        entry["derivations"] = item.shape.derivations
        entry["rows"] = [[column[row] for column in item.columns] for row in rows]
        found.setdefault("sets", []).append(entry)
    if group.extras:
        found["extras"] = {name: column[place] for name, column in group.extras.items()}
    return found


def without(group: Group, places: Container[int]) -> Group:
    """A group without some of its records."""
    kept = [place for place in range(group.records) if place not in places]
    counts, ids = group.dependency_counts, group.dependency_ids
    if counts is not None:
        dependencies = group.dependencies()
        counts = array("q", [counts[place] for place in kept])
        ids = [item for place in kept for item in dependencies[place]]
    sets = []
    for item in group.sets:
        rows = [row for place in kept for row in range(place * item.shape.rows, (place + 1) * item.shape.rows)]
        sets.append(SetColumns(item.shape, [_chosen(column, rows) for column in item.columns]))
    return Group(
        group.shape,
        len(kept),
        [group.positions[place] for place in kept],
        _chosen(group.tasks, kept),
        array("q", [group.times_us[place] for place in kept]),
        counts,
        ids,
        None if group.errors is None else [group.errors[place] for place in kept],
        sets,
        {name: _chosen(column, kept) for name, column in group.extras.items()},
    )


def _chosen(column: Any, places: list[int]) -> Any:
    values = [column[place] for place in places]
    if isinstance(column, memoryview):
        return memoryview(array("d", values))
    return array("q", values) if isinstance(column, array) else values


def _clean(text: str) -> str:
    return text.replace("\0", "\\0")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return {"bytes": bytes(value).hex()}
