"""Values, rows and tables on standard output."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def json_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A JSON list of objects, written as the rows come."""
    separator = "["
    for row in rows:
        pairs = zip(names, map(json_value, row), strict=True)
        print(separator, json.dumps(dict(pairs), ensure_ascii=False), sep="", end="")
        separator = ",\n "
    print("[]" if separator == "[" else "]")


def csv_rows(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a head line, written as the rows come."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([text(value) for value in row] for row in rows)


def json_value(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return text(value)


def text(value: Any) -> str:
    """A value as text that keeps all its digits; NULL is empty."""
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def table(names: Sequence[str], rights: Sequence[bool], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people.

    Args:
        rights: whether each column stands to the right.
    """
    shown = [[text(value).replace("\n", "\\n") for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
    for line in [list(names), ["-" * width for width in widths], *shown]:
        cells = [
            word.rjust(width) if right else word.ljust(width)
            for word, width, right in zip(line, widths, rights, strict=True)
        ]
        print("  ".join(cells).rstrip())
