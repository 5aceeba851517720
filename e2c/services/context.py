"""What a plugin is given beside its hosts and metadata."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from e2c.model.host import Host
from e2c.model.service import Registration

Tell = Callable[[str], None]
"""Receives one clause."""


@dataclass(frozen=True)
class Context:
    """What a plugin is given beside its hosts and metadata.

    Attributes:
        hosts: the hosts of the service.
        known: entries of ``_self`` of each host, by service key.
        scenario_dir, artifacts_dir: the user's folders.
        folder: output folder of the experiment.
        say, warn: receive what the plugin tells.
        kept: what the plugin kept when it deployed the service.
        registered: what it registered then.
    """

    hosts: Sequence[Host] = ()
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scenario_dir: Path = Path()
    artifacts_dir: Path = Path()
    folder: Path = Path(gettempdir())
    say: Tell = lambda _: None
    warn: Tell = lambda _: None
    kept: Mapping[str, Any] = field(default_factory=dict)
    registered: Sequence[Registration] = ()


CONTEXT: ContextVar[Context] = ContextVar("context", default=Context())  # noqa: B039 - it cannot be changed
"""What the plugin that is being made is given: no argument, because plugins may have an ``__init__`` of their own."""


class _Teller(logging.Handler):
    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        tell = self._context.warn if record.levelno >= logging.WARNING else self._context.say
        tell(" ".join(record.getMessage().split()))


def logger(name: str, context: Context) -> logging.Logger:
    """A logger of its own, which no other code in this process can configure."""
    logger = logging.Logger(name, logging.INFO)
    logger.addHandler(_Teller(context))
    return logger
