"""What keeps a reading user from stopping others, and the database from taking the whole memory of its host."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

OTHERS = (
    "REVOKE EXECUTE ON PROCEDURE sys.stop(BIGINT) FROM PUBLIC",
    "REVOKE EXECUTE ON PROCEDURE sys.pause(BIGINT) FROM PUBLIC",
    "REVOKE EXECUTE ON PROCEDURE sys.resume(BIGINT) FROM PUBLIC",
)
"""With these every user could act on the statements of others."""

CRASHING = (
    "REVOKE EXECUTE ON FUNCTION sys.ms_trunc(DOUBLE, INTEGER) FROM PUBLIC",
    "REVOKE EXECUTE ON FUNCTION sys.ms_round(DOUBLE, INTEGER, INTEGER) FROM PUBLIC",
)
"""These end the server for some arguments. Those of them that are in no schema: see :mod:`forbidden`."""

LEAST_MEMORY = 2 << 30
"""Bytes that the database may always have."""


def limit_memory() -> None:
    """Let this process have half of the host's memory for data that is in no file.

    A statement that wants more is refused; tables are in files and do not count.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = max(LEAST_MEMORY, total // 2)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    with suppress(OSError, ValueError):  # a host that does not allow it has limits of its own
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
