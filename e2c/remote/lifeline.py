"""Processes that must not outlive the one that started them, however that ends."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl  # found here: after fork, other threads may hold the linker's lock for ever


def die_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends; for a process that was just forked."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
