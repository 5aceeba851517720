"""When tasks ran, one lane for each host and client, so that no lane has tasks of two runs."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

from e2c.provenance.queries.tasks import Filters, listed

if TYPE_CHECKING:
    from e2c.provenance.queries.provenance import Provenance, Row

MOST_TASKS = 100_000
"""Tasks of a timeline, the newest."""

BLOCKS = " ▁▂▃▄▅▆▇█"


def lanes(provenance: Provenance, **filters: Any) -> list[Row]:
    """The lanes by host and client: ``host``, ``client``, ``run``, and ``tasks`` in the order of their beginning.

    A task without a beginning has no place in time and is left out.
    """
    filters.setdefault("limit", MOST_TASKS)
    found: dict[tuple[str, str], list[Row]] = {}
    for task in listed(provenance, Filters(**filters)):
        if task["started"] is not None:
            found.setdefault((str(task["host"] or ""), str(task["client"] or "")), []).append(task)
    names = ("id", "key", "transformation", "workflow", "status", "started", "ended")
    return [
        {
            "host": host,
            "client": client,
            "run": tasks[0]["run"],
            "tasks": [
                {name: task[name] for name in names}
                for task in sorted(tasks, key=lambda one: (one["started"], one["id"]))
            ],
        }
        for (host, client), tasks in sorted(found.items())
    ]


def span(found: list[Row]) -> tuple[datetime.datetime, datetime.datetime]:
    """The first beginning and the last end or beginning."""
    times = [time for lane in found for task in lane["tasks"] for time in (task["started"], task["ended"]) if time]
    return min(times), max(times)


def bars(found: list[Row], width: int) -> list[str]:
    """Each lane as ``width`` characters: the higher a block, the more tasks ran at once.

    The highest block of a picture is the most tasks at once in any of its lanes. Unfinished tasks reach to the end.
    """
    begin, end = span(found)
    scale = max((end - begin) / width, datetime.timedelta(microseconds=1))
    counts = []
    for lane in found:
        changes = [0] * (width + 1)
        for task in lane["tasks"]:
            low = min(int((task["started"] - begin) / scale), width - 1)
            high = min(int(((task["ended"] or end) - begin) / scale), width - 1)
            changes[low] += 1
            changes[max(low, high) + 1] -= 1
        running = 0
        lane_counts = []
        for change in changes[:width]:
            running += change
            lane_counts.append(running)
        counts.append(lane_counts)
    most = max(max(lane_counts) for lane_counts in counts)
    return ["".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // most)] for count in lane_counts) for lane_counts in counts]
