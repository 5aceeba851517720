"""Durations, and how people read them."""

from __future__ import annotations

import datetime
from typing import Any


def between(started: datetime.datetime | None, ended: datetime.datetime | None) -> datetime.timedelta | None:
    """How long it took, to the microsecond, as the difference of MonetDB is not; None where an end is missing."""
    return ended - started if started is not None and ended is not None else None


def timed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that have a beginning and an end with the ``duration`` after them; others as they are."""
    return [_timed(row) if "ended" in row else row for row in rows]


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in row.items():
        fields[name] = value
        if name == "ended":
            fields["duration"] = between(row["started"], value)
    return fields


def shown(duration: datetime.timedelta) -> str:
    """Three digits in the unit that suits: us, ms, s, min or h; the latter two with what is left over."""
    seconds = duration.total_seconds()
    size = abs(seconds)
    if size == 0:
        return "0 s"
    if size < 0.0009995:
        return f"{seconds * 1e6:.0f} us"
    if size < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if size < 99.95:
        return f"{seconds:.3g} s"
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(round(size), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours} h {minutes:02d} min"
