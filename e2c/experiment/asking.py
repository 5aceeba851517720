"""Questions asked at the same time, none of which holds up the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any


def ask(questions: Mapping[str, Callable[[], Any]], limit_s: float | None) -> dict[str, Any]:
    """Answers by name, in the order of the questions: what was returned, what was raised, ``None`` when time was up.

    A question whose time is up, or that Ctrl-C cut off, goes on in a thread that ends with the process, and so do the
    processes that it started.

    Args:
        limit_s: seconds for all; ``None``: questions bound themselves.
    """
    answers: dict[str, Any] = {}

    def answer(name: str, question: Callable[[], Any]) -> None:
        try:
            answers[name] = question()
        except BaseException as error:  # noqa: BLE001 - whoever asked judges it
            answers[name] = error

    threads = [
        threading.Thread(target=answer, args=(name, question), name=f"ask-{name}", daemon=True)
        for name, question in questions.items()
    ]
    end = None if limit_s is None else time.monotonic() + limit_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(None if end is None else max(0.0, end - time.monotonic()))
    return {name: answers.get(name) for name in questions}
