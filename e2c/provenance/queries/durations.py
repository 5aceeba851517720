"""Durations as people read them."""

from __future__ import annotations

import datetime


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
