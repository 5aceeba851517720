"""How long the statements of everybody but the administrator may take, however they connect.

MonetDB 11.41 has no limit that belongs to a user: each session sets its own, and none is the default. This one is
written into their sessions, in the memory of the server; a session may set a shorter or longer one itself. The server
looks at it between two steps of a statement, and within some of them.
"""

from __future__ import annotations

import ctypes

DEFAULT_S = 300
"""Time of a statement whose session has set none."""

LONGEST_S = 86_400
"""Longest time that a statement may take: a day."""

_ADMINISTRATOR = 0
_RUNNING = 2
"""``RUNCLIENT`` of mal_client.h."""

_MOST = 65_536


class _Client(ctypes.Structure):
    """``ClientRec`` of mal_client.h: who it is, whether it lives, and its limit in microseconds."""

    _fields_ = [
        ("index", ctypes.c_int),
        ("user", ctypes.c_uint64),
        ("before", ctypes.c_char * 0x168),
        ("limit_us", ctypes.c_int64),
        ("between", ctypes.c_char * 0x88),
        ("mode", ctypes.c_int),
        ("after", ctypes.c_char * 0xE4),
    ]


def limit(library: ctypes.CDLL) -> int:
    """Give sessions that have no limit, or a very long one, theirs.

    Args:
        library: ``monetdb5``, in which the server runs.

    Returns:
        In how many sessions it was set.
    """
    first = ctypes.c_void_p.in_dll(library, "mal_clients").value
    count = ctypes.c_int.in_dll(library, "MAL_MAXCLIENTS").value
    if first is None or not 0 < count < _MOST:
        return 0
    changed = 0
    for client in (_Client * count).from_address(first):
        if client.mode == _RUNNING and client.user != _ADMINISTRATOR:
            if client.limit_us == 0:
                client.limit_us, changed = DEFAULT_S * 1_000_000, changed + 1
            elif client.limit_us > LONGEST_S * 1_000_000:
                client.limit_us, changed = LONGEST_S * 1_000_000, changed + 1
    return changed
