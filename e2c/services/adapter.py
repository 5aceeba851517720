"""Plugins that were written for E2Clab: what they import as ``e2clab``, with EnOSlib's hosts.

Used in a child process only (:mod:`e2c.services.child`). Our module stands in even where E2Clab itself is installed.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import enoslib
from enoslib.errors import EnosFailedHostsError, EnosUnreachableHostsError

from e2c.model.host import Host
from e2c.model.service import Registration
from e2c.services import base, enos
from e2c.services.context import Context, Tell, logger

MOST_LINES = 3
_ELSEWHERE = {
    "Optimizer": "e2c.Optimizer takes its place",
    "Provenance": "ask for it by `provenance:` in layers_services.yaml",
    "Flowcept": "it is not provided; provenance is captured by `provenance:` in layers_services.yaml",
}


class Service(base.Service):
    """E2Clab's class: as ours, but ``hosts`` are EnOSlib's, and ``roles`` and ``service_roles`` its ``Roles``.

    What it does otherwise than E2Clab: numbers of machines go on from call to call, so that no registration replaces
    another; an empty list of hosts registers none; extra entries must be plain values; Docker is installed by our own
    tasks. ``check``, ``backup`` and ``destroy`` are called where a plugin has them.
    """

    def __init__(self, hosts: Sequence[Any], service_metadata: dict[str, Any]) -> None:
        self._enos = {host.alias: host for host in hosts}
        super().__init__(hosts, service_metadata)
        self.roles = enoslib.Roles({"all": self.hosts})
        self.service_roles = enoslib.Roles(self.service_roles)

    @classmethod
    def given(cls, hosts: Sequence[Host]) -> Sequence[Any]:
        """EnOSlib's hosts."""
        return [enos.made(host) for host in hosts]

    def _native(self, host: Any) -> Host:
        return super()._native(host.alias if isinstance(host, enoslib.Host) else host)

    def _show(self, made: Registration) -> None:
        super()._show(made)
        # a copy, because a host may be registered more than once
        host = copy.deepcopy(self._enos[made.host])
        host.set_extra(_self=self.service_extra_info[made.key])
        self.service_roles[made.key] = [host]


class Default(Service):
    """Registers all hosts."""

    def deploy(self) -> Any:
        """Register all hosts."""
        return self.register_service()


@contextmanager
def stood_in(say: Tell, warn: Tell, folder: Path) -> Iterator[None]:
    """While the block runs, ``import e2clab`` gives what plugins of E2Clab need, and no other module.

    Args:
        say, warn: receive what ``e2clab.log.get_logger`` is told.
        folder: where plugins find each other as ``e2clab.services.plugins.NAME``.
    """

    def get_logger(name: str, tags: object = None) -> logging.Logger:  # noqa: ARG001 - E2Clab's signature
        return logger(name, Context(say=say, warn=warn))

    errors = {
        name: type(name, (Exception,), {"__doc__": "An error of E2Clab."})
        for name in ("E2clabError", "E2clabServiceError", "E2clabConfigError")
    }
    content: dict[str, dict[str, Any]] = {
        "e2clab": {"Service": Service},
        "e2clab.services": {"Service": Service},
        "e2clab.services.service": {"Service": Service},
        "e2clab.services.plugins": {},
        "e2clab.services.plugins.Default": {"Default": Default},
        "e2clab.log": {"get_logger": get_logger},
        "e2clab.errors": errors,
    }
    earlier = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "e2clab"}
    sys.modules.update({name: _module(name, values) for name, values in content.items()})
    for name in content:
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
    sys.modules["e2clab.services.plugins"].__path__ = [str(folder)]
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "e2clab"]:
            del sys.modules[name]
        sys.modules.update(earlier)


def _module(name: str, values: dict[str, Any]) -> ModuleType:
    module = ModuleType(name, "What plugins of E2Clab need of it.")
    module.__path__ = []
    module.__dict__.update(values)

    def absent(attribute: str) -> Any:
        if attribute in _ELSEWHERE:
            raise ImportError(f"{name}.{attribute} is not there for plugins: {_ELSEWHERE[attribute]}")
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    module.__dict__["__getattr__"] = absent
    return module


def explained(error: BaseException) -> str:
    """One clause of what a plugin raised; of EnOSlib's failures the hosts, the task, its exit code and last words."""
    if isinstance(error, (EnosFailedHostsError, EnosUnreachableHostsError)):
        unreachable = isinstance(error, EnosUnreachableHostsError)
        return "; ".join(_failed(one, unreachable=unreachable) for one in error.hosts[:MOST_LINES])
    return f"{type(error).__name__}: {error}".rstrip(": .")


def _failed(record: Any, *, unreachable: bool) -> str:
    payload = getattr(record, "payload", None) or {}
    text = f"{record.host}: task {getattr(record, 'task', '')!r} "
    text += "could not reach the host" if unreachable else "failed"
    if payload.get("rc") is not None:
        text += f" (rc {payload['rc']})"
    said = str(payload.get("stderr") or payload.get("stdout") or payload.get("msg") or "").strip().splitlines()
    return f"{text}: {said[-1]}" if said else text
