"""The users and roles of the server stay as they were when it began to listen, whoever connects.

MonetDB 11.41 lets every user drop every other one that owns no schema, and itself, at once and for good, even when the
transaction is not committed, and also every role, that of the administrators included. Every user may change its own
password too, which others here share. The server reaches what does this to users by a table of functions, and refuses
without them. It reaches what drops roles by its address, where it gets what drops users.
"""

from __future__ import annotations

import ctypes

from e2c.provenance.serving.linkage import slot


class _Functions(ctypes.Structure):
    """``backend_functions`` of sql_backend.h, as far as users are concerned."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("freecode", "create", "drop", "find", "privileges", "has_user", "alter", "rename")
    ]


def keep(library: ctypes.CDLL) -> bool:
    """Refuse to drop, alter and rename users, and to drop roles, until this process ends.

    Args:
        library: ``monetdbsql``, in which the database is open.

    Returns:
        Whether it was done.
    """
    place = slot(library, b"sql_drop_role")
    if place is None:
        return False
    ctypes.c_void_p.from_address(place).value = ctypes.cast(library.sql_drop_user, ctypes.c_void_p).value
    functions = _Functions.in_dll(library, "be_funcs")
    known = bool(functions.drop and functions.alter and functions.rename)
    functions.drop = functions.alter = functions.rename = None
    return known
