"""Moments at which this process is not forked.

The child of a fork has only the thread that forked. A lock that another thread held at that moment, such as that of a
module being imported, is never freed in the child; a file that another thread had just opened is never closed there.
"""

from __future__ import annotations

import contextlib
import os
import threading
from types import TracebackType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Type

_PATIENCE_S = 2.0  # a disk that hangs must not hang the application's fork
_lock = threading.RLock()
_own = threading.local()


class _Undisturbed:
    """``with undisturbed:`` no other thread forks meanwhile. For short work only; may be nested."""

    def __enter__(self) -> None:
        _lock.acquire()

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with contextlib.suppress(RuntimeError):  # this thread forked meanwhile, and this is the child
            _lock.release()


undisturbed = _Undisturbed()


def _before() -> None:
    _own.held = _lock.acquire(timeout=_PATIENCE_S)


def _in_parent() -> None:
    if _own.held:
        _lock.release()


def _in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
