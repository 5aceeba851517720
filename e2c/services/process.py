"""The parent's side of plugins: a child process for each hook, which may print, hang, exit or import EnOSlib."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from e2c.errors import ServiceError
from e2c.remote import child

MODULE = "e2c.services.child"

Tell = Callable[[str], None]


def run(
    request: Mapping[str, Any],
    say: Tell,
    warn: Tell,
    *,
    limit_s: float | None,
    log: Path | None,
    what: str,
    more: str | None = None,
) -> dict[str, Any]:
    """Let a child do what the request asks, and give its answer.

    Args:
        request: JSON values of an ``Asked``.
        say, warn: receive what the plugin tells.
        limit_s: seconds after which the child is stopped; ``None``: never.
        log: file for what the plugin and its libraries print; ``None``: nobody wants it.
        what: what could not be done, if it could not: a clause that names the service.
        more: how to allow it more time, a full clause.

    Raises:
        ServiceError: what the plugin raised, the child died, or time was up.
    """
    with tempfile.TemporaryDirectory(prefix="e2c-service-", ignore_cleanup_errors=True) as folder, _kept(log):
        with child.at_work(
            MODULE, request, Path(folder), log or Path(folder, "words"), {"ANSIBLE_PIPELINING": "True"}
        ) as plugin:
            for event in plugin.events(limit_s):
                if event is None:
                    raise ServiceError(what, why=_late(limit_s or 0, plugin.said()), hint=more)
                kind = event["event"]
                if kind == "result":
                    answer: dict[str, Any] = event["value"]
                    return answer
                if kind == "error":
                    raise ServiceError(event["what"], where=event["where"], why=event["why"], hint=event["hint"])
                (warn if kind == "warn" else say)(event["text"])
        raise ServiceError(what, why=f"the plugin broke off: {plugin.last_words()}")


def _late(limit_s: float, said: str) -> str:
    late = f"the plugin did not finish within {limit_s:g} s"
    return f"{late}; the last that it printed is: {said}" if said else late


@contextlib.contextmanager
def _kept(log: Path | None) -> Iterator[None]:
    """Make the folder of a log, and remove both where nothing was said."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if log.exists() and not log.stat().st_size:
            log.unlink()
        for parent in (log.parent, log.parent.parent):
            with contextlib.suppress(OSError):  # something else is in it
                parent.rmdir()
