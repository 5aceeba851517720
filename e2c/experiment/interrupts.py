"""Releasing must not be cut short by the second Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal sends to all its processes at once, those that we started among them."""


@contextmanager
def held_off(tell: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, interrupts only say that they have to wait; afterwards they work as before.

    Programs started meanwhile are spared as well. Outside the main thread, where signals never arrive, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def answer(*_: object) -> None:
        with contextlib.suppress(Exception):  # it may come in the middle of other output, which refuses a second one
            tell("releasing, please wait: nothing must be left behind")

    earlier = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, answer)
    try:
        with _children_spared():
            yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def _children_spared() -> Iterator[None]:
    """Block in this thread, whose children inherit it, what a terminal sends; another thread takes it for the process.

    Ignoring it would be inherited too, but then nobody could tell the user why nothing happens.
    """
    done = threading.Event()
    taker = threading.Thread(target=done.wait, name="interrupts", daemon=True)
    taker.start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        done.set()
        taker.join()
