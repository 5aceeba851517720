"""Quantities with units: text of the scenario to numbers and back.

Everything that later becomes an argument of ``tc`` passes here, so nothing but a number in a known unit can get there.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

DELAY_UNITS = {
    "us": 0.001,
    "usec": 0.001,
    "usecs": 0.001,
    "ms": 1.0,
    "msec": 1.0,
    "msecs": 1.0,
    "s": 1e3,
    "sec": 1e3,
    "secs": 1e3,
}
"""Units of a delay, in milliseconds; the spellings of ``tc``."""
RATE_UNITS = {"bit": 0.001, "kbit": 1.0, "mbit": 1e3, "gbit": 1e6, "tbit": 1e9}
"""Units of a rate, in kilobit per second; the decimal bit units of ``tc``."""

MOMENT_UNITS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
"""Units of a moment of the launch, in seconds."""

MAX_DELAY_MS = 274_000.0
"""Longest delay: `tc` counts 64 ns in 32 bits."""
MAX_JITTER_MS = 2147.0
"""Largest jitter: the kernel counts nanoseconds in 31 bits, and takes more for as much."""
MAX_MOMENT_S = 604_800.0
MAX_RATE_KBIT = 1e9
MIN_RATE_KBIT = 0.008
"""One byte per second: the least that ``tc`` can be told."""

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_DELAY = re.compile(rf"{_NUMBER} *([A-Za-z]*)", re.ASCII)
_SHARE = re.compile(rf"{_NUMBER} *%", re.ASCII)
_WALLTIME = re.compile(r"(\d{1,6}):([0-5]\d):([0-5]\d)", re.ASCII)


def parse_delay(text: str) -> float:
    """Milliseconds of ``28ms``, ``500us``, ``1.5s``; of a bare number, which means milliseconds.

    Raises:
        ValueError: it is none of these, or longer than ``tc`` can delay; the text is a clause for the user.
    """
    number, unit = _split(text, "a delay such as 28ms", DELAY_UNITS)
    value = number * DELAY_UNITS[unit or "ms"]
    if value > MAX_DELAY_MS:
        raise ValueError(f"must not be longer than {MAX_DELAY_MS / 1000:g}s, the most that tc takes")
    return value


def parse_jitter(text: str) -> float:
    """Milliseconds, as :func:`parse_delay` reads them.

    Raises:
        ValueError: it cannot be read, or is more than the kernel can vary a delay; the text is a clause for the user.
    """
    value = parse_delay(text)
    if value > MAX_JITTER_MS:
        raise ValueError(f"must not be longer than {MAX_JITTER_MS:g}ms, the most that the kernel takes")
    return value


def parse_rate(text: str) -> float:
    """Kilobit per second of ``1gbit``, ``100 Mbit``, ``64kbit``; a bare number means bit per second, as for ``tc``.

    Raises:
        ValueError: it is none of these, or out of range; the text is a clause for the user.
    """
    number, unit = _split(text, "a rate such as 100mbit", RATE_UNITS)
    value = number * RATE_UNITS[unit or "bit"]
    if not MIN_RATE_KBIT <= value <= MAX_RATE_KBIT:
        raise ValueError("must lie between 8bit and 1tbit")
    return value


def parse_share(text: str) -> float:
    """Percent of ``0.1%``.

    Raises:
        ValueError: it is not 0% to 100%; the text is a clause for the user.
    """
    match = _SHARE.fullmatch(text.strip(" "))
    if not match:
        raise ValueError("must be a percentage such as 0.1%")
    value = float(match.group(1))
    if value > 100:
        raise ValueError("must lie between 0% and 100%")
    return value


def parse_moment(text: str) -> float:
    """Seconds of ``30s``, ``500ms``, ``1.5min``, ``2h``.

    Raises:
        ValueError: it is none of these, negative, or later than a week; the text is a clause for the user.
    """
    if text.strip(" ").startswith("-"):
        raise ValueError("must not lie before the launch begins")
    number, unit = _split(text, "a time such as 30s", MOMENT_UNITS)
    if not unit:
        raise ValueError("must have a unit, such as 30s")
    value = number * MOMENT_UNITS[unit]
    if value > MAX_MOMENT_S:
        raise ValueError("must not be later than a week")
    return value


def parse_walltime(text: str) -> int:
    """Seconds of ``HH:MM:SS``; any number of hours.

    Raises:
        ValueError: it is not of that form, or zero; the text is a clause for the user.
    """
    match = _WALLTIME.fullmatch(text)
    if not match:
        raise ValueError("must be a duration HH:MM:SS such as 01:30:00")
    hours, minutes, seconds = (int(part) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not total:
        raise ValueError("must be longer than zero")
    return total


def has_unit(text: str) -> bool:
    """Whether a delay or rate names its unit."""
    return text.strip(" ")[-1:].isalpha()


def _split(text: str, example: str, units: dict[str, float]) -> tuple[float, str]:
    match = _DELAY.fullmatch(text.strip(" "))
    if not match:
        raise ValueError(f"must be {example}")
    unit = match.group(2).lower()
    if unit and unit not in units:
        raise ValueError(f"has the unit {match.group(2)!r}, which is none of {', '.join(units)}")
    return float(match.group(1)), unit


def _from_text(parse: Any, what: str, unit: str = "") -> BeforeValidator:
    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            number = unit and isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e6
            hint = f"Write {value}{unit}" if number else ""
            raise PydanticCustomError("type", "must be text, {what}", {"what": what, "hint": hint})
        try:
            return parse(value)
        except ValueError as error:
            raise PydanticCustomError("unit", "{why}", {"why": str(error)}) from None

    return BeforeValidator(validate)


def _keep_walltime(text: str) -> str:
    parse_walltime(text)
    return text


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": list(examples)})


def _any_case(units: dict[str, float]) -> str:
    return "|".join("".join(f"[{letter}{letter.upper()}]" for letter in unit) for unit in units)


_JSON_NUMBER = r"([0-9]+(\.[0-9]+)?|\.[0-9]+)"

Delay = Annotated[
    float,
    _from_text(parse_delay, "a delay in quotes such as '28ms'"),
    _schema(rf"^ *{_JSON_NUMBER} *({_any_case(DELAY_UNITS)})? *$", "28ms", "500us", "1.5s"),
]
"""One-way delay in milliseconds."""
Jitter = Annotated[
    float,
    _from_text(parse_jitter, "a time in quotes such as '2ms'"),
    _schema(rf"^ *{_JSON_NUMBER} *({_any_case(DELAY_UNITS)})? *$", "2ms", "500us"),
]
"""By how much a delay varies, in milliseconds."""
Rate = Annotated[
    float,
    _from_text(parse_rate, "a rate in quotes such as '100mbit'"),
    _schema(rf"^ *{_JSON_NUMBER} *({_any_case(RATE_UNITS)})? *$", "1gbit", "100mbit", "64kbit"),
]
"""Rate in kilobit per second."""
Share = Annotated[
    float,
    _from_text(parse_share, "a percentage in quotes such as '0.1%'"),
    _schema(r"^ *(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?|\.[0-9]+) *% *$", "0.1%", "5%"),
]
"""Share of packets in percent, 0 to 100."""
Moment = Annotated[
    float,
    _from_text(parse_moment, "a time such as '30s'", "s"),
    _schema(rf"^ *{_JSON_NUMBER} *({_any_case(MOMENT_UNITS)}) *$", "30s", "1.5min"),
]
"""Moment in seconds after a beginning."""
Walltime = Annotated[
    str,
    _from_text(_keep_walltime, "a duration in quotes such as '01:30:00'"),
    _schema(r"^(?!0+:00:00$)[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$", "01:00:00", "48:00:00"),
]
"""Duration ``HH:MM:SS``, kept as written; :func:`parse_walltime` gives its seconds."""
