"""Releasing must not be cut short by the second Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def held_off(tell: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, interrupts only say that they have to wait; afterwards they work as before.

    Outside the main thread, where signals never arrive, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, lambda *_: tell("releasing, please wait: nothing must be left behind"))
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
