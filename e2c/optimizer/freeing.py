"""Freeing what a program holds when it ends without having done so: at its last line, or by a signal."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
"""What would otherwise end the process without a word."""


class LastResort:
    """From now on the end of this process frees a scenario, until :meth:`dismiss`.

    A program of its own does it, because an interpreter that ends starts no more threads. Signals that nobody handles
    end the program as ``sys.exit`` does.

    Args:
        unlock: lets go of the scenario, so that the other program can hold it.
    """

    def __init__(self, scenario: Path, unlock: Callable[[], None]) -> None:
        self._scenario = scenario
        self._unlock = unlock
        self._pid = os.getpid()
        atexit.register(self._free)
        self._taken: list[signal.Signals] = []
        if threading.current_thread() is threading.main_thread():
            self._taken = [number for number in SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
            for number in self._taken:
                signal.signal(number, _leave)

    def dismiss(self) -> None:
        """There is nothing left to free."""
        atexit.unregister(self._free)
        if threading.current_thread() is threading.main_thread():
            for number in self._taken:
                if signal.getsignal(number) is _leave:
                    signal.signal(number, signal.SIG_DFL)

    def _free(self) -> None:
        if os.getpid() != self._pid:  # a fork: the hosts are its parent's
            return
        self._unlock()
        command = [sys.executable, "-m", "e2c.optimizer", str(self._scenario)]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=False)


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
