"""Dates and durations as Grid'5000 writes them: its own time zone, ``HH:MM:SS`` of any number of hours."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from e2c.config.units import parse_walltime

ZONE = ZoneInfo("Europe/Paris")
FORMAT = "%Y-%m-%d %H:%M:%S"


def seconds(walltime: str | None, otherwise: int) -> int:
    """Seconds of ``HH:MM:SS``, or the other value where there is none."""
    return parse_walltime(walltime) if walltime else otherwise


def duration(total: int) -> str:
    """``HH:MM:SS`` of seconds; more than 99 hours are fine."""
    return f"{total // 3600:02d}:{total % 3600 // 60:02d}:{total % 60:02d}"


def parse(reservation: str | None) -> float | None:
    """Seconds since the epoch of a date in Grid'5000's time."""
    if not reservation:
        return None
    return datetime.strptime(reservation, FORMAT).replace(tzinfo=ZONE).timestamp()


def there(moment: float) -> str:
    """A moment as Grid'5000 writes it."""
    return datetime.fromtimestamp(moment, ZONE).strftime(FORMAT)


def here(moment: float) -> str:
    """A moment in the time of this machine."""
    return datetime.fromtimestamp(moment).strftime(FORMAT)
