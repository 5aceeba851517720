"""MessagePack with the two extensions of this protocol: integers beyond 64 bits, and dates with times."""

from __future__ import annotations

import datetime

try:
    import msgpack

    if msgpack.version < (1, 0):
        raise ImportError("msgpack {} is too old".format(msgpack.version))
except ImportError:  # on a device: the bundle carries a pure-Python copy that no application sees
    from provlight.vendor import msgpack  # type: ignore[import-not-found]

from .shapes import MAX_COLUMN, WireError
from .values import MAX_TEXT, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

_EXT_INT = 1
_EXT_DATETIME = 2
_MAX_EXT = 2048


def pack(value: Any) -> bytes:
    """Serialise; lone surrogates in texts become backslash escapes."""
    packed: bytes = msgpack.packb(value, use_bin_type=True, default=_extended, unicode_errors="backslashreplace")
    return packed


def unpack(data: Union[bytes, memoryview]) -> Any:
    """Inverse of :func:`pack`.

    Raises:
        WireError: malformed, or a length in it is out of bounds.
    """
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            use_list=True,
            strict_map_key=True,
            ext_hook=_restored,
            max_str_len=MAX_TEXT * 6,  # the longest form of a character
            max_array_len=MAX_COLUMN,
            max_map_len=256,
            max_ext_len=_MAX_EXT,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise WireError("not valid MessagePack: {}".format(error)) from error


def _extended(value: Any) -> Any:
    if isinstance(value, int):
        return msgpack.ExtType(_EXT_INT, str(value).encode("ascii"))
    if isinstance(value, datetime.datetime):
        return msgpack.ExtType(_EXT_DATETIME, value.isoformat().encode("ascii"))
    return plain(value)


def _restored(code: int, data: bytes) -> Any:
    if code == _EXT_INT:
        return int(data.decode("ascii"))
    if code == _EXT_DATETIME:
        return datetime.datetime.fromisoformat(data.decode("ascii"))
    raise WireError("unknown extension type {}".format(code))
