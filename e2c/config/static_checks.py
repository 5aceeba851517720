"""Whether the machines of ``static`` suffice for the services that take them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from e2c.config.document import Document
from e2c.config.layers import LayersServices, Service
from e2c.config.problems import Path, Problem, shown
from e2c.config.testbeds import StaticHost

STATIC = "static"


class _Taker(NamedTuple):
    """Who takes machines: a service, or the provenance service."""

    path: Path
    what: str
    machines: int
    servers: tuple[str, ...] | None


def check_static(
    layers: LayersServices, services: Iterable[tuple[Path, Service]], document: Document
) -> Iterator[Problem]:
    """Machines that stand twice in the inventory, and services that take more than there are."""
    static = layers.environment.static
    hosts = static.hosts if static else ()
    yield from _twice(hosts, document)
    takers = _takers(layers, services)
    there = Counter(host.address.lower() for host in hosts)
    named = {name.lower() for taker in takers for name in taker.servers or ()}
    left = Counter({name: there[name] or 1 for name in named})
    for taker in takers:
        if taker.servers is None:
            continue
        names = list(dict.fromkeys(name.lower() for name in taker.servers))
        given = [name for name in names if left[name] > 0][: taker.machines]
        left.subtract(given)
        if len(given) < taker.machines <= len(names):
            taken = next(name for name in names if name not in given)
            message = f"{taker.what} and another one take the machine {shown(taken)}"
            hint = "Name other servers: every machine plays one part"
            yield document.problem((*taker.path, "servers"), "static-shared", message, hint, key=True)
    free = sum(there.values()) - sum(there[name] for name in named)
    for taker in takers:
        if taker.servers is not None:
            continue
        if taker.machines > free:
            rest = f"{max(free, 0)} of its hosts {'is' if free == 1 else 'are'} left" if hosts else "it has no hosts"
            number = f"{taker.machines} machine{'' if taker.machines == 1 else 's'}"
            message = f"{taker.what} takes {number} of static, but {rest}"
            hint = "Add hosts: under environment.static, or servers: to the service"
            key = "provider" if taker.path == ("provenance",) else "quantity"
            yield document.problem((*taker.path, key), "static-hosts", message, hint)
        free -= taker.machines


def _takers(layers: LayersServices, services: Iterable[tuple[Path, Service]]) -> list[_Taker]:
    default = layers.environment.default
    takers = [
        _Taker(path, f"the service {shown(service.name)}", service.quantity * (service.repeat + 1), service.servers)
        for path, service in services
        if (service.environment or default) == STATIC
    ]
    if layers.provenance and layers.provenance.provider == STATIC:
        takers.append(_Taker(("provenance",), "the provenance service", 1, layers.provenance.servers))
    return takers


def _twice(hosts: Iterable[StaticHost], document: Document) -> Iterator[Problem]:
    """Hosts with the same address; those behind different ports or jump hosts may be different machines, if all say."""
    seen: dict[str, set[tuple[int | None, str | None]]] = {}
    for place, host in enumerate(hosts):
        known = seen.setdefault(host.address.lower(), set())
        if any(_same(one, (host.port, host.jump)) for one in known):
            where = ("environment", STATIC, "hosts", place, "address")
            message = f"the host {shown(host.address)} stands twice in hosts"
            hint = "Remove one of them, or give each its own port"
            yield document.problem(where, "host-twice", message, hint)
        known.add((host.port, host.jump))


def _same(one: tuple[int | None, str | None], other: tuple[int | None, str | None]) -> bool:
    (port, jump), (other_port, other_jump) = one, other
    return jump == other_jump and (port is None or other_port is None or port == other_port)
