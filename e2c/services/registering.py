"""Names of the hosts that a service plugin registers. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from e2c.model.host import Host
from e2c.model.service import Registration

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ -]*", re.ASCII)


class Registry:
    """What a plugin registered so far; no name is ever given twice, and none is taken away.

    A host that is registered without a sub-service keeps its own service key; once more, it gets the next number that
    no machine of the service has. Hosts of a sub-service are numbered in the order in which they are registered.

    Args:
        service: ``layer.service.id``, lower case.
        hosts: all hosts of the service.
        registered: what was registered before.
    """

    def __init__(self, service: str, hosts: Sequence[Host], registered: Sequence[Registration] = ()) -> None:
        self.service = service
        self.all: list[Registration] = list(registered)
        self._hosts = [host.key for host in hosts]

    def add(
        self, host: Host, port: int | str | None, sub_service: str | None, extra: Mapping[str, Any]
    ) -> Registration:
        """Register a host.

        Raises:
            ValueError: the sub-service cannot be a part of a service key, or the extra entries are no JSON values.
        """
        part = None if sub_service is None else self._part(sub_service)
        made = Registration(
            key=self._own(host) if part is None else f"{self.service}.{part}.{self._next(part)}",
            host=host.key,
            sub_service=sub_service,
            port=port,
            extra=plain(extra, "extra entries of a host"),
        )
        self.all.append(made)
        return made

    def _own(self, host: Host) -> str:
        if all(one.key != host.key for one in self.all):
            return host.key
        taken = {*self._hosts, *(one.key for one in self.all if one.sub_service is None)}
        return f"{self.service}.{max(int(key.rpartition('.')[2]) for key in taken) + 1}"

    def _next(self, part: str) -> int:
        return 1 + sum(one.sub_service is not None and self._part(one.sub_service) == part for one in self.all)

    @staticmethod
    def _part(sub_service: str) -> str:
        name = sub_service.strip() if isinstance(sub_service, str) else ""
        if not _NAME.fullmatch(name) or name.isdigit():
            raise ValueError(f"a sub-service may not be called {sub_service!r}: letters, digits, '-' and '_' name it")
        return "_".join(name.lower().split())


def plain(given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """A mapping as JSON has it.

    Raises:
        ValueError: it is none, or holds something else; ``what`` is what the message calls it.
    """
    try:
        values: dict[str, Any] = json.loads(json.dumps(dict(given)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{what} must be plain values, as text, numbers and lists: {error}") from None
    return values
