"""The child's side of :mod:`e2c.remote.child`: what its module does when it is run."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

Send = Callable[[Mapping[str, Any]], None]
"""Sends an event; may be called from any thread."""


def answer(perform: Callable[[dict[str, Any], Send], None]) -> None:
    """Read the request, perform it, leave at once: threads of libraries must not hold us back."""
    gc.set_threshold(100_000, 50, 50)  # EnOSlib and Ansible make many objects that stay
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)  # programs that are started must not keep the pipe open
    lock = threading.Lock()
    with open(descriptor, "w", encoding="utf-8", buffering=1) as events:

        def send(event: Mapping[str, Any]) -> None:
            with lock:
                events.write(json.dumps(event) + "\n")

        perform(json.load(sys.stdin), send)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
