"""Reads samples in the CSV form of dstat, which keeps to it since its first versions.

Two lines name the columns: the groups (``"epoch","total usage",,,,,"memory usage",...``), each once for all its
columns, then the columns themselves. Whenever sampling begins anew, so do these lines.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from e2c.errors import ProvenanceError
from e2c.provenance.columns import EARLIEST_US, LATEST_US

BLOCK = 8192
"""Most samples in one piece."""

TIME = "epoch"

COLUMNS = {
    "cpu_user": ("cpu", "usr"),
    "cpu_system": ("cpu", "sys"),
    "cpu_idle": ("cpu", "idl"),
    "cpu_wait": ("cpu", "wai"),
    "cpu_stolen": ("cpu", "stl"),
    "memory_used": ("memory", "used"),
    "memory_free": ("memory", "free"),
    "memory_cached": ("memory", "cach"),
    "memory_available": ("memory", "avai"),
    "disk_read": ("dsk", "read"),
    "disk_written": ("dsk", "writ"),
    "net_received": ("net", "recv"),
    "net_sent": ("net", "send"),
}
"""Columns of the table of samples: the group and the name that each has in the CSV."""

SIZES = frozenset(name for name, (group, _) in COLUMNS.items() if group == "memory")
"""Columns of whole bytes; the others are means over the time."""

Places = dict[str, list[int]]
"""For each column of the table the fields whose sum it is."""


@dataclass(frozen=True)
class Samples:
    """Samples of one host.

    Attributes:
        host: its service key.
        hostname: what ``hostname`` answers there.
        seconds: time over which each was taken.
        times_us: when each was taken, in microseconds since the epoch, UTC.
        values: of each column that there is.
    """

    host: str
    hostname: str | None
    seconds: float
    times_us: list[int]
    values: dict[str, array[float]]

    def without(self, times_us: set[int]) -> Samples:
        """Those that were taken at other times."""
        kept = [place for place, time_us in enumerate(self.times_us) if time_us not in times_us]
        if len(kept) == len(self.times_us):
            return self
        values = {name: array("d", [column[place] for place in kept]) for name, column in self.values.items()}
        return Samples(self.host, self.hostname, self.seconds, [self.times_us[place] for place in kept], values)


@dataclass
class _Head:
    """What is known of the lines that follow."""

    host: str = ""
    hostname: str | None = None
    seconds: float = 1.0
    groups: list[str] = field(default_factory=list)
    places: Places = field(default_factory=dict)
    width: int = 0


class Reader:
    """Reads files of several hosts, one after the other.

    Before each stands a line with a JSON object: ``{"host": SERVICE_KEY, "hostname": NAME, "seconds": PERIOD}``.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.malformed = 0
        """Lines that are no samples, as of a host whose disk was full."""

    def blocks(self) -> Iterator[Samples]:
        """The samples.

        Raises:
            ProvenanceError: what is read is something else.
        """
        head = _Head()
        anonymous = False
        pending: list[str] = []
        for line in self._lines:
            if line[:1].isdigit():
                pending.append(line)
                if len(pending) >= BLOCK:
                    yield from self._block(head, pending)
                    pending = []
                continue
            if pending:
                yield from self._block(head, pending)
                pending = []
            if line.startswith("{"):
                head = _host(line)
            elif line.startswith(f'"{TIME}"'):
                _name(head, [name.strip().strip('"') for name in line.split(",")])
            else:
                head.groups, head.places = [], {}
                anonymous = anonymous or (not head.host and bool(line.strip()))
        if pending:
            yield from self._block(head, pending)
        elif anonymous and not head.host:  # a file of something else
            raise _of_nobody()

    def _block(self, head: _Head, lines: Sequence[str]) -> Iterator[Samples]:
        if not head.host:
            raise _of_nobody()
        rows = [line for line in lines if line.count(",") == head.width - 1]
        try:
            made = _made(head, rows)
        except (ValueError, TypeError, OverflowError):
            rows = [line for line in rows if _fits(head, line)]
            made = _made(head, rows)
        self.malformed += len(lines) - len(rows)
        if made.times_us:
            yield made


def _of_nobody() -> ProvenanceError:
    return ProvenanceError(
        "these are no samples of hosts",
        why="no line before them says of which host they are",
        hint='Put a line {"host": "SERVICE_KEY"} before the CSV of dstat',
    )


def _host(line: str) -> _Head:
    try:
        said = json.loads(line)
        hostname = said.get("hostname")
        return _Head(str(said["host"]), None if hostname is None else str(hostname), float(said.get("seconds", 1)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProvenanceError("these are no samples of hosts", why=f"{line.strip()[:80]!r} names no host") from error


def _name(head: _Head, names: list[str]) -> None:
    """Take up one of the two lines of names."""
    if not head.groups:
        group = ""
        for name in names:
            group = name or group
            head.groups.append(group)
        head.places = {}
        return
    found: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for place, (group, name) in enumerate(zip(head.groups, names, strict=False)):
        totals, others = found.setdefault((_kind(group), name.rpartition(":")[2]), ([], []))
        (totals if _is_total(group) else others).append(place)
    head.width = len(names)
    # of a total that stands twice one counts; without one, it is what the devices make together
    chosen = {column: found.get(names) for column, names in COLUMNS.items()}
    head.places = {column: both[0][:1] or both[1] for column, both in chosen.items() if both is not None}
    for column in [column for column in head.places if column.startswith("cpu") and not found[COLUMNS[column]][0]]:
        del head.places[column]  # shares of single processors have no sum
    head.groups = []


def _kind(group: str) -> str:
    if group.endswith("usage"):
        return "memory" if group == "memory usage" else "cpu"
    return group.partition("/")[0]


def _is_total(group: str) -> bool:
    return group.startswith("total") or group.endswith("/total") or group == "memory usage"


def _made(head: _Head, lines: Sequence[str]) -> Samples:
    columns = _columns(head, lines)
    values = {}
    for name, places in head.places.items():
        first, *others = [columns[place] for place in places]
        values[name] = array("d", map(sum, zip(first, *others, strict=True))) if others else first
    if not all(math.isfinite(sum(column)) for column in values.values()):
        raise ValueError("a number that is infinite or none")
    # thousandths of a second are all that dstat writes
    times = [round(time * 1000) * 1000 for time in columns[0]]
    if times and not (min(times) >= EARLIEST_US and max(times) <= LATEST_US):
        raise ValueError("a time that no calendar has")
    return Samples(head.host, head.hostname, head.seconds, times, values)


def _columns(head: _Head, lines: Sequence[str]) -> dict[int, array[float]]:
    """The columns that count, by their places."""
    wanted = sorted({0}.union(*head.places.values()))
    if not lines:
        return {place: array("d") for place in wanted}
    try:
        numbers = json.loads(f"[{','.join(lines)}]")  # the fastest way through many numbers
        return {place: array("d", numbers[place :: head.width]) for place in wanted}
    except (ValueError, TypeError):  # some column, maybe another one, holds words
        columns = list(zip(*(line.split(",") for line in lines), strict=True))
        return {place: array("d", map(float, columns[place])) for place in wanted}


def _fits(head: _Head, line: str) -> bool:
    try:
        _made(head, [line])
    except (ValueError, TypeError, OverflowError):
        return False
    return True
