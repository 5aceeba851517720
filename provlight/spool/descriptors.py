"""Open files of the spool. The child of a fork keeps none: a lock that lives on in a child would never be free."""

from __future__ import annotations

import contextlib
import os

from provlight.forking import undisturbed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Set

_open: Set[int] = set()


def open_file(name: str, flags: int, folder: int = -1) -> int:
    """Open a file (mode 0600 when it is made), relative to an open folder if one is given. Symbolic links are refused.

    Raises:
        OSError: it cannot be opened.
    """
    flags |= getattr(os, "O_NOFOLLOW", 0)
    with undisturbed:
        number = os.open(name, flags, 0o600, dir_fd=folder) if folder >= 0 else os.open(name, flags, 0o600)
        _open.add(number)
    return number


def close_file(number: int) -> None:
    """Close what :func:`open_file` opened. Does not raise."""
    with undisturbed:
        if number in _open:
            _open.discard(number)
            with contextlib.suppress(OSError):
                os.close(number)


def _in_child() -> None:
    for number in _open:
        with contextlib.suppress(OSError):
            os.close(number)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
