"""Services of a plan with their hosts, and the names that plugins give to these. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.plan.selectors import select
from e2c.plan.variables import Extras, self_variables

AnyHost = TypeVar("AnyHost", Host, PlannedHost)


@dataclass(frozen=True)
class PlannedService:
    """A service of a layer.

    Attributes:
        key: ``layer.service.id``.
        layer, name: as the scenario spells them.
        numbers: of its layer, and of the service within the layer, each from 1.
        hosts: its planned hosts.
    """

    key: str
    layer: str
    name: str
    numbers: tuple[int, int]
    hosts: tuple[PlannedHost, ...]

    def metadata(self) -> dict[str, Any]:
        """What the plugin of the service is told of it: the keys of the file, and which service it is."""
        first = self.hosts[0]
        layer, service = self.numbers
        own = {self.layer, self.name, f"{layer}_{service}", first.testbed}
        return {
            **first.request,
            **first.metadata,
            "env": first.metadata.get("env", {}),
            "name": self.name,
            "quantity": len(self.hosts),
            "environment": first.testbed,
            "roles": [role for role in first.roles if role not in own],
            "layer_name": self.layer,
            "layer_id": layer,
            "service_id": service,
            "_id": f"{layer}_{service}",
        }


def services(hosts: Sequence[PlannedHost]) -> Iterator[PlannedService]:
    """The services of the layers, in the order of the file; copies by ``repeat`` at the end of their layer."""
    of_layers = [host for host in hosts if host.numbers is not None]
    for numbers, group in groupby(of_layers, key=lambda host: (host.numbers or (0, 0, 0))[:2]):
        machines = tuple(group)
        first = machines[0]
        yield PlannedService(
            first.key.rpartition(".")[0], first.layer or "", first.service, (numbers[0], numbers[1]), machines
        )


def expected(hosts: Sequence[PlannedHost], sub_services: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Names that hosts may get when their services are deployed, by service key: any host of a service may become one
    of a sub-service.

    Args:
        sub_services: names of sub-services by name of the service.
    """
    names = {}
    for service in services(hosts):
        parts = ["_".join(part.lower().split()) for part in sub_services.get(service.name, ())]
        if parts:
            for host in service.hosts:
                number = host.key.rpartition(".")[2]
                names[host.key] = tuple(f"{service.key}.{part}.{number}" for part in parts)
    return names


def named(hosts: Sequence[AnyHost], names: Mapping[str, Sequence[str]]) -> Sequence[AnyHost]:
    """The hosts, planned or acquired, with more names for selectors to choose them by.

    Args:
        names: more names by service key.
    """
    if not names:
        return hosts
    return [_with(host, names.get(host.key, ())) for host in hosts]


def _with(host: AnyHost, names: Sequence[str]) -> AnyHost:
    return host.model_copy(update={"roles": tuple(dict.fromkeys((*host.roles, *names)))})


def parts(selector: str, hosts: Sequence[Host], extras: Extras) -> dict[str, dict[str, Any]]:
    """``_self`` of the hosts that a selector chooses only by names that plugins gave them, by service key.

    On such a host several parts of a service may run, each with its port: only those that the selector names tell.

    Args:
        extras: what plugins registered.
    """
    told = {}
    for host in hosts:
        named = [role for role in chosen_parts(selector, host) if role in extras]
        if named:
            entries: dict[str, Any] = {}
            for role in named:
                entries = {**extras[role], **entries}
            told[host.key] = self_variables(host, entries)
    return told


def chosen_parts(selector: str, host: Host) -> list[str]:
    """Names of sub-services on a host by which a selector chooses it, unless it chooses the service key as well."""
    begin = f"{host.key.rpartition('.')[0]}."
    named = [role for role in host.roles if role.startswith(begin) and _chosen(selector, role)]
    return [] if named and _chosen(selector, host.key) else named


def _chosen(selector: str, name: str) -> bool:
    return bool(select(selector, [PlannedHost(key=name, layer=None, service=name, testbed="", provider="")]))
