"""From decoded columns to columns of the database, with every value exact or refused."""

from __future__ import annotations

import datetime
import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from e2c.provenance.columns import doubles, texts
from e2c.provenance.dataflows.dataflow import NUMERIC, TEXT

_EXACT_INT = 1 << 53
"""Integers up to here are doubles without loss."""


class WrongValuesError(Exception):
    """Values that their column cannot hold.

    Args:
        reasons: why, by place in the column.
    """

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(f"{len(reasons)} values")
        self.reasons = reasons


class Converted(NamedTuple):
    """A column for ``COPY``."""

    data: bytes
    exact: Sequence[tuple[int, str]]  # place and text of each value that the column holds only roughly


def storage_of(values: Any) -> str:
    """The storage type to infer for an attribute that was not declared, from its first values."""
    if isinstance(values, (array, memoryview)):
        return NUMERIC
    kinds = set(map(type, values)) - {type(None)}
    return NUMERIC if kinds and kinds <= {int, float, bool} else TEXT


def convert(values: Any, storage: str) -> Converted:
    """Bring a decoded column into the form of the database.

    NUMERIC takes numbers, booleans, and texts that are numbers (the reference sends all values as texts). TEXT takes
    everything. None is NULL.

    Raises:
        WrongValuesError: some values fit not.
    """
    return _numeric(values) if storage == NUMERIC else _text(values)


def _numeric(values: Any) -> Converted:
    if isinstance(values, memoryview):
        exact: list[tuple[int, str]] = []
        if math.isnan(sum(values)):  # also inf - inf: then the list stays empty
            exact = [(place, "NaN") for place, value in enumerate(values) if value != value]
        return Converted(doubles(values), exact)
    if isinstance(values, array):
        exact = []
        if values and (max(values) > _EXACT_INT or min(values) < -_EXACT_INT):
            exact = [(place, str(value)) for place, value in enumerate(values) if int(float(value)) != value]
        return Converted(doubles(values), exact)
    return _mixed_numeric(values)


def _mixed_numeric(values: Sequence[Any]) -> Converted:
    out = array("d", bytes(8 * len(values)))
    exact: list[tuple[int, str]] = []
    wrong: dict[int, str] = {}
    for place, value in enumerate(values):
        try:
            number = _number(value)
        except ValueError as error:
            wrong[place] = str(error)
            continue
        out[place] = number
        if number != number and value is not None:
            exact.append((place, str(value) if isinstance(value, int) else "NaN"))
        elif isinstance(value, int) and (math.isinf(number) or int(number) != value):
            exact.append((place, str(value)))
    if wrong:
        raise WrongValuesError(wrong)
    return Converted(doubles(out), exact)


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, (bool, int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.nan  # kept exactly beside the column
    if isinstance(value, str):
        try:
            return float(value.replace("_", "?"))  # 1_000 is a number in Python only
        except ValueError:
            shown = value if len(value) <= 40 else value[:40] + "..."
            raise ValueError(f"{shown!r} is not a number") from None
    raise ValueError(f"a value of type {type(value).__name__} is not a number")


def _text(values: Any) -> Converted:
    if isinstance(values, list) and set(map(type, values)) <= {str, type(None)}:
        shown: list[str | None] = values
    else:
        shown = [_shown(value) for value in values]
    with_nul = [isinstance(value, str) and "\0" in value for value in shown]
    if any(with_nul):
        reason = "a text with a NUL character cannot be stored"
        raise WrongValuesError(dict.fromkeys(compress(range(len(shown)), with_nul), reason))
    return Converted(texts(shown), ())


def _shown(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return "\\x" + value.hex()
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    return str(value)
