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

MAX_DELAY_MS = 3_600_000.0
MAX_RATE_KBIT = 1e9
MIN_RATE_KBIT = 0.008
"""One byte per second: the least that ``tc`` can be told."""

_NUMBER = r"(\d+(?:\.\d+)?|\.\d+)"
_DELAY = re.compile(rf"{_NUMBER} *([A-Za-z]*)", re.ASCII)
_LOSS = re.compile(rf"{_NUMBER} *%", re.ASCII)
_WALLTIME = re.compile(r"(\d{1,6}):([0-5]\d):([0-5]\d)", re.ASCII)


def parse_delay(text: str) -> float:
    """Milliseconds of ``28ms``, ``500us``, ``1.5s``; of a bare number, which means milliseconds.

    Raises:
        ValueError: it is none of these, or longer than an hour; the text is a clause for the user.
    """
    number, unit = _split(text, "a delay such as 28ms", DELAY_UNITS)
    value = number * DELAY_UNITS[unit or "ms"]
    if value > MAX_DELAY_MS:
        raise ValueError("must not be longer than an hour")
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


def parse_loss(text: str) -> float:
    """Percent of ``0.1%``.

    Raises:
        ValueError: it is not 0% to 100%; the text is a clause for the user.
    """
    match = _LOSS.fullmatch(text.strip(" "))
    if not match:
        raise ValueError("must be a percentage such as 0.1%")
    value = float(match.group(1))
    if value > 100:
        raise ValueError("must lie between 0% and 100%")
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


def _from_text(parse: Any, what: str) -> BeforeValidator:
    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            raise PydanticCustomError("type", "must be text, {what}", {"what": what})
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
Rate = Annotated[
    float,
    _from_text(parse_rate, "a rate in quotes such as '100mbit'"),
    _schema(rf"^ *{_JSON_NUMBER} *({_any_case(RATE_UNITS)})? *$", "1gbit", "100mbit", "64kbit"),
]
"""Rate in kilobit per second."""
Loss = Annotated[
    float,
    _from_text(parse_loss, "a percentage in quotes such as '0.1%'"),
    _schema(r"^ *(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?|\.[0-9]+) *% *$", "0.1%", "5%"),
]
"""Probability of loss in percent, 0 to 100."""
Walltime = Annotated[
    str,
    _from_text(_keep_walltime, "a duration in quotes such as '01:30:00'"),
    _schema(r"^(?!0+:00:00$)[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$", "01:00:00", "48:00:00"),
]
"""Duration ``HH:MM:SS``, kept as written; :func:`parse_walltime` gives its seconds."""
