"""MonetDB's own functions that end the server for some arguments, taken from everybody but the administrator.

No privilege can be revoked for functions that are built into the server: they are in no schema, and what is in none may
be called by all. Here they get one, in the memory of the server, that belongs to the administrators and in which nobody
was granted anything. The server then refuses them by itself, whichever way a user comes; what it uses them for on its
own, as for ``= ANY``, does not ask for the privilege.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

FUNCTIONS = frozenset(
    (
        "editdistance",
        "editdistance2",
        "identity",
        "levenshtein",
        "similarity",
        "sql_anyequal",
        "sql_not_anyequal",
        "star",
        "strings",
        "sys_update_schemas",
        "sys_update_tables",
    )
)

_ADMINISTRATORS = 2
"""The role ``sysadmin``."""


class _Node(ctypes.Structure):
    """``node`` of sql_list.h."""

    _fields_ = [("next", ctypes.c_void_p), ("data", ctypes.c_void_p)]


class _List(ctypes.Structure):
    """``list`` of sql_list.h."""

    _fields_ = [
        ("allocator", ctypes.c_void_p),
        ("hash", ctypes.c_void_p),
        ("lock", ctypes.c_char * 72),
        ("destroy", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("last", ctypes.c_void_p),
        ("count", ctypes.c_int),
    ]


class _Base(ctypes.Structure):
    """``sql_base`` of sql_catalog.h."""

    _fields_ = [("flags", ctypes.c_int), ("id", ctypes.c_int), ("name", ctypes.c_char_p)]


class _Function(ctypes.Structure):
    """``sql_func`` of sql_catalog.h, as far as its schema."""

    _fields_ = [("base", _Base), ("between", ctypes.c_char * 72), ("schema", ctypes.c_void_p)]


class _Schema(ctypes.Structure):
    """``sql_schema`` of sql_catalog.h: what is asked of the schema of a function, and zeros."""

    _fields_ = [("base", _Base), ("owner", ctypes.c_int), ("rest", ctypes.c_char * 1024)]


_OURS = _Schema(_Base(1, 2000, b"sys"), _ADMINISTRATORS)


def forbid(library: ctypes.CDLL) -> bool:
    """Take the functions from everybody but the administrator, until this process ends.

    Args:
        library: ``monetdbsql``, in which the database is open.

    Returns:
        Whether it was done. Otherwise the library is another than the one this is made for, and nothing was changed.
    """
    found = list(_functions(_List.from_address(ctypes.c_void_p.in_dll(library, "funcs").value or 0)))
    ours = [one for one in found if one.base.name.decode() in FUNCTIONS]
    for one in ours:
        one.schema = ctypes.addressof(_OURS)
    return bool(ours)


def _functions(every: _List) -> Iterator[_Function]:
    place, left = every.first, every.count
    while place and left:
        node = _Node.from_address(place)
        yield _Function.from_address(node.data)
        place, left = node.next, left - 1
