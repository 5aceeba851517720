"""(b) The price of a record as the database grows, its memory, and how soon its parts are back after kill -9."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import Any

from progress import say
from publisher import Traffic
from result import Part, Table, Target
from stand import PARTS, Client, Sent, Stand, send

FLAT = 1.5
"""The price at the last point may be so many times that at the first one."""

MEMORY_MB = 200
BACK_S = 3.0
FILL = 64_000
"""Records of a portion that only makes the database larger."""

LATE = (
    "SELECT count(*) FROM task_dependency WHERE dependency_id IS NULL "
    "AND task_id IN (SELECT id FROM task WHERE client_id = (SELECT id FROM client WHERE client = '{client}'))"
)


@dataclass(frozen=True)
class Size:
    """From how many records on is measured, by windows of how many, and how many of each kind."""

    points: tuple[int, ...]
    window: int
    rounds: int

    def rounds_at(self, point: int) -> int:
        """Fewer where they would make the database much larger."""
        return max(1, min(self.rounds, 8 * point // (len(WAYS) * self.window)))


WAYS = {
    "one message": Traffic(0, 128, 5),
    "one message, dependencies": Traffic(0, 128, 5, dependencies=True),
    "begin and end apart": Traffic(0, 128, 5, apart=True),
    "apart, dependencies": Traffic(0, 128, 5, apart=True, dependencies=True),
}
"""How the records of the windows come: both of a task in one message, or the end in a later transaction."""


def measure(stand: Stand, size: Size) -> Part:
    """All windows of a point, then on to the next point."""
    client = Client(stand, "growth")
    figures: dict[str, Any] = {}
    try:
        send(stand, [client], Traffic(64, 128, 5))
        for point in size.points:
            figures[str(point)] = _point(stand, client, point, size)
            say(f"{point} records")
    finally:
        client.close()
    return _part(figures)


def _point(stand: Stand, client: Client, point: int, size: Size) -> dict[str, Any]:
    _fill(stand, client, point)
    runs: dict[str, list[Sent]] = {way: [] for way in WAYS}
    for _ in range(size.rounds_at(point)):
        for way, traffic in WAYS.items():
            runs[way].append(send(stand, [client], replace(traffic, tasks=size.window // 2)))
    found: dict[str, Any] = {
        "records": _records(stand),
        "us": {way: _price(sent) for way, sent in runs.items()},
        "resident_mb": stand.memory(),
        "peak_mb": stand.memory("VmHWM"),
    }
    found["late"] = _late(stand, client)
    found["back_s"] = {part: stand.kill(part) for part in ("database", "translator", "broker")}
    found["after"] = _price([send(stand, [client], replace(WAYS["begin and end apart"], tasks=size.window // 2))])
    return found


def _fill(stand: Stand, client: Client, wanted: int) -> None:
    while (left := wanted - _records(stand)) > 0:
        send(stand, [client], Traffic(max(1, min(left, FILL) // 2), 256, 5))


def _records(stand: Stand) -> int:
    return sum(int(stand.ask(f"SELECT count(*) FROM {table}")[0][0]) for table in ("used5", "generated5"))


def _late(stand: Stand, client: Client) -> dict[str, float]:
    """Dependencies on tasks so old that no memory of the translator holds them: seconds until they are resolved."""
    before = stand.cpu()["database"]
    send(stand, [client], Traffic(64, 128, 5, old=True))
    late = LATE.format(client=client.name)
    seconds = stand.wait_for(lambda: not stand.ask(late)[0][0], "dependencies are resolved")
    return {"wall_s": seconds, "database_cpu_s": stand.cpu()["database"] - before}


def _price(runs: list[Sent]) -> dict[str, float]:
    """The median of the wall clock, and of the CPU the mean, because the kernel counts it in coarse steps."""
    each = [run.each_us() for run in runs]
    price = {part: statistics.fmean(one[part] for one in each) for part in PARTS}
    return {"wall": statistics.median(one["wall"] for one in each), **price}


def _part(figures: dict[str, Any]) -> Part:
    points = list(figures)
    tables = []
    for what in ("wall", "translator", "database"):
        rows = [[_thousands(point), *(f"{figures[point]['us'][way][what]:.1f}" for way in WAYS)] for point in points]
        title = "Wall clock" if what == "wall" else f"CPU of the {what}"
        tables.append(Table(f"{title} for a record, in us, as the database grows", ["records", *WAYS], rows))
    rows = [
        [
            _thousands(point),
            f"{figures[point]['resident_mb']['translator']:.0f}",
            f"{figures[point]['peak_mb']['translator']:.0f}",
            f"{figures[point]['resident_mb']['database']:.0f}",
            *(f"{figures[point]['back_s'][part]:.2f}" for part in ("database", "translator", "broker")),
            f"{figures[point]['late']['wall_s']:.2f}",
        ]
        for point in points
    ]
    columns = ["records", "translator, MB", "its peak", "database, MB", "database back, s", "translator", "broker"]
    columns.append("64 old tasks named: s until resolved")
    tables.append(Table("Memory; seconds until ready after kill -9; dependencies on old tasks", columns, rows))
    return Part("curve", tables, figures, _targets(figures))


def _targets(figures: dict[str, Any]) -> list[Target]:
    points = list(figures)
    first, last = points[0], points[-1]
    targets = []
    for way in WAYS:
        growth = figures[last]["us"][way]["wall"] / figures[first]["us"][way]["wall"]
        text = f"price of a record, {way}: at {_thousands(last)} beside {_thousands(first)}"
        targets.append(Target.at_most(text, growth, FLAT))
    million = min(points, key=lambda point: abs(int(point) - 1_000_000))
    text = f"translator with {_thousands(million)} records, peak: MB"
    targets.append(Target.below(text, figures[million]["peak_mb"]["translator"], MEMORY_MB))
    back = max(seconds for point in points if int(point) <= 1_000_000 for seconds in figures[point]["back_s"].values())
    targets.append(Target.below("back after kill -9 with up to a million records: s", back, BACK_S))
    return targets


def _thousands(point: str) -> str:
    return f"{int(point):,}"
