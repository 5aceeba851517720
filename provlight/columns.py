"""Columns of one batch: packed numbers, constants, and lists of anything.

A column is one of these MessagePack values:

============================  =======================================================================
``FLOATS`` (the integer 0)    the next values of the batch's pool of doubles
``[CONSTANT, value]``         one value for all records
``[1 | 2 | 4 | 8, bytes]``    little-endian signed integers of that many bytes
``[DELTA, first, column]``    integers: ``first``, then each the sum of its predecessor and a difference
``[LIST, values]``            one MessagePack value for each record
============================  =======================================================================

All doubles of a batch lie in one *pool*, column after column. When the batch is compressed the pool is split into its
eight byte planes, because the sign and exponent bytes of neighbours resemble each other and the mantissas do not.
"""

from __future__ import annotations

import operator
import sys
import zlib
from array import array
from itertools import accumulate, chain

from .shapes import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional, Sequence, Tuple, Union

    Column = Union["array[Any]", "memoryview[Any]", List[Any]]
    """A decoded column: ``array('q')``, a memoryview of format ``d``, or a list of values."""

FLOATS = 0
CONSTANT = 3
DELTA = 5
LIST = 6

MAX_CONSTANT_TEXT = 64
"""Longest text sent as a constant. It bounds what a few bytes can expand to."""

_WIDTHS = ((1, "b", 1 << 7), (2, "h", 1 << 15), (4, "i", 1 << 31), (8, "q", 1 << 63))
_TYPECODES = {width: code for width, code, _ in _WIDTHS}
_CONSTANT_TYPES = frozenset((type(None), bool, int, str, bytes))
_BIG_ENDIAN = sys.byteorder == "big"
_SAMPLE = 512


# ---------------------------------------------------------------------------------------------------------- encoding


def encode_column(values: Sequence[Any], pool: List[bytes]) -> Any:
    """The MessagePack value of a column; doubles are appended to ``pool`` instead."""
    kinds = set(map(type, values))
    if len(kinds) == 1:
        kind = kinds.pop()
        if kind is float:
            raw = array("d", values).tobytes()
            if len(values) > 1 and raw == raw[:8] * len(values):
                return [CONSTANT, values[0]]
            pool.append(raw)
            return FLOATS
        if kind in _CONSTANT_TYPES and values.count(values[0]) == len(values):
            first = values[0]
            if kind not in (str, bytes) or len(first) <= MAX_CONSTANT_TEXT:
                return [CONSTANT, first]
        if kind is int:
            return _encode_integers(values)
    return [LIST, list(values)]


def _encode_integers(values: Sequence[int]) -> Any:
    low, high = min(values), max(values)
    packing = _packing(low, high)
    if packing is None:
        return [LIST, list(values)]
    if len(values) > 2:
        steps = list(map(operator.sub, values[1:], values))
        low, high = min(steps), max(steps)
        if low == high:
            return [DELTA, values[0], [CONSTANT, low]]
        narrower = _packing(low, high)
        if narrower is not None and narrower[0] < packing[0]:
            return [DELTA, values[0], [narrower[0], _little(array(narrower[1], steps)).tobytes()]]
    return [packing[0], _little(array(packing[1], values)).tobytes()]


def _packing(low: int, high: int) -> Optional[Tuple[int, str]]:
    for width, code, bound in _WIDTHS:
        if -bound <= low and high < bound:
            return width, code
    return None


def _little(numbers: "array[Any]") -> "array[Any]":
    if _BIG_ENDIAN:
        numbers.byteswap()
    return numbers


def split_pool(pool: List[bytes], compress: bool) -> Tuple[bytes, bytes]:
    """Join the pool. Returns ``(head, tail)``: what goes into the compressed part, and what is not worth it.

    Without ``compress`` the head is the plain pool. With it, the head holds the upper byte planes (sign and exponent
    first), the tail the lowest planes as long as a sample of them does not shrink.
    """
    raw = b"".join(pool)
    if _BIG_ENDIAN:
        raw = _little(array("d", raw)).tobytes()
    if not compress:
        return raw, b""
    planes = [raw[index::8] for index in range(7, -1, -1)]
    kept = len(planes)
    while kept > 2 and not _shrinks(planes[kept - 1]):
        kept -= 1
    return b"".join(planes[:kept]), b"".join(planes[kept:])


def _shrinks(plane: bytes) -> bool:
    sample = plane[:_SAMPLE]
    return len(zlib.compress(sample, 1)) < len(sample) * 0.9


# ---------------------------------------------------------------------------------------------------------- decoding


class Pool:
    """The doubles of a batch, handed out column by column in the order they were written."""

    def __init__(self, head: bytes, tail: bytes, shuffled: bool) -> None:
        size = len(head) + len(tail)
        if size % 8:
            raise WireError("the pool of doubles has {} bytes, not a multiple of 8".format(size))
        raw = bytearray(size)
        if shuffled:
            count = size // 8
            planes = memoryview(head + tail)
            for index in range(8):
                raw[7 - index :: 8] = planes[index * count : (index + 1) * count]
        else:
            raw[:] = head + tail
        if _BIG_ENDIAN:
            swapped = array("d", bytes(raw))
            swapped.byteswap()
            raw = bytearray(swapped.tobytes())
        self._doubles: memoryview[Any] = memoryview(raw).cast("d")
        self._at = 0

    def take(self, count: int) -> memoryview[Any]:
        """The next ``count`` doubles."""
        end = self._at + count
        if end > len(self._doubles):
            raise WireError("the pool of doubles is too short")
        column = self._doubles[self._at : end]
        self._at = end
        return column

    def close(self) -> None:
        """Check that every double was taken."""
        if self._at != len(self._doubles):
            raise WireError("{} doubles belong to no column".format(len(self._doubles) - self._at))


def decode_column(column: Any, count: int, pool: Pool) -> Column:
    """The ``count`` values of an encoded column."""
    if column == FLOATS and type(column) is int:
        return pool.take(count)
    if type(column) is not list or not 2 <= len(column) <= 3:
        raise WireError("a column must be 0 or a list of two or three items")
    code, content = column[0], column[1]
    if type(code) is not int:
        raise WireError("the code of a column must be an integer")
    if code == CONSTANT:
        return _repeated(content, count)
    if code in _TYPECODES:
        return _decode_integers(code, content, count)
    if code == LIST:
        if type(content) is not list or len(content) != count:
            raise WireError("a column must list {} values".format(count))
        for value in content:
            if type(value) in (list, dict):
                raise WireError("values of a column must be scalars")
        return content
    if code == DELTA and len(column) == 3:
        return _summed(content, column[2], count)
    raise WireError("unknown column code {}".format(code))


def _repeated(value: Any, count: int) -> Column:
    kind = type(value)
    if kind is float:
        return memoryview(array("d", [value]) * count)
    if kind is int and -(1 << 63) <= value < 1 << 63:
        return array("q", [value]) * count
    if kind in (list, dict):
        raise WireError("values of a column must be scalars")
    if kind in (str, bytes) and len(value) > MAX_CONSTANT_TEXT:
        raise WireError("a constant text of {} characters is too long".format(len(value)))
    return [value] * count


def _evenly(first: int, step: int, count: int) -> "array[Any]":
    try:
        return array("q", range(first, first + step * count, step))
    except OverflowError as error:
        raise WireError("a column of differences leaves 64 bits") from error


def _decode_integers(width: int, content: Any, count: int) -> "array[Any]":
    if type(content) is not bytes or len(content) != count * width:
        raise WireError("a column of {} integers must have {} bytes".format(count, count * width))
    numbers = _little(array(_TYPECODES[width], content))
    return numbers if width == 8 else array("q", numbers)


def _summed(first: Any, steps: Any, count: int) -> "array[Any]":
    if type(first) is not int or count < 1 or type(steps) is not list or not steps:
        raise WireError("a column of differences needs an integer to start from")
    if steps[0] != CONSTANT and steps[0] not in _TYPECODES:
        raise WireError("differences must be packed integers or a constant")
    if len(steps) != 2:
        raise WireError("differences must be a list of two items")
    differences: Any
    if steps[0] == CONSTANT:
        if type(steps[1]) is not int:
            raise WireError("a constant difference must be an integer")
        if steps[1]:
            return _evenly(first, steps[1], count)
        differences = (0,) * (count - 1)
    else:
        differences = _decode_integers(steps[0], steps[1], count - 1)
    try:
        return array("q", accumulate(chain((first,), differences)))
    except OverflowError as error:
        raise WireError("a column of differences leaves 64 bits") from error
