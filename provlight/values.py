"""Which values can be captured, and how the others are brought into one of these forms.

Carried: None, bool, int, float (NaN and infinities too), str, bytes and datetime. Scalars of numpy, torch and the like
become the Python value that their ``item()`` gives, without importing those libraries; paths become text.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, FrozenSet

PLAIN: FrozenSet[type] = frozenset((type(None), bool, int, float, str, bytes))
"""Types whose values are carried as they are. So are datetimes, but importing their module costs half a megabyte."""

SIZED = frozenset((str, bytes))
"""Plain types whose values have no natural bound."""

MAX_TEXT = 1 << 18
"""Longest text or byte string, in characters or bytes."""

MAX_INT_BITS = 4096
"""Widest integer; what a 64-bit column cannot hold travels as decimal text."""


def plain(value: Any) -> Any:
    """Return ``value`` as one of the :data:`PLAIN` types or a datetime, exactly that type and never a subclass.

    Raises:
        TypeError: a value of this kind cannot be captured.
        ValueError: a text or integer is longer than what is carried.
    """
    kind = type(value)
    if kind not in PLAIN:
        value = _converted(value)
        kind = type(value)
    if kind in SIZED:
        if len(value) > MAX_TEXT:
            raise ValueError(
                "a {} of length {} is longer than the {} that can be captured: store it in a file and capture "
                "its path".format(kind.__name__, len(value), MAX_TEXT)
            )
    elif kind is int and value.bit_length() > MAX_INT_BITS:
        raise ValueError("an integer of {} bits is wider than {} bits".format(value.bit_length(), MAX_INT_BITS))
    return value


def _converted(value: Any) -> Any:
    # The order matters: numpy.float64 is a float, and an enumeration of str or int is a str or int.
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    datetime = sys.modules.get("datetime")  # where it was never imported there are no such values
    if datetime is not None and isinstance(value, datetime.datetime):
        exact = type(value) is datetime.datetime
        return value if exact else datetime.datetime.fromisoformat(datetime.datetime.isoformat(value))
    if hasattr(value, "dtype") and hasattr(value, "item"):
        try:
            scalar = value.item()
        except (ValueError, RuntimeError):  # numpy and torch, for more than one element
            scalar = value
        if type(scalar) in PLAIN:
            return scalar
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value))
    raise TypeError(
        "a value of type {} cannot be captured: give None, bool, int, float, str, bytes, datetime, a path, "
        "or a numpy scalar".format(type(value).__name__)
    )
