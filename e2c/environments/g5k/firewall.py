"""Openings of the Grid'5000 firewall: from the scenario's rules to the machines they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2c.model.frozen import Frozen
from e2c.model.plan import PlannedHost


class Opening(Frozen):
    """Ports of machines that the Internet may reach.

    Attributes:
        machines: their names.
        ports: ``None``: all.
        proto: in the API's words.
    """

    machines: tuple[str, ...]
    ports: tuple[int, ...] | None
    proto: str


def openings(settings: Mapping[str, Any], hosts: Sequence[PlannedHost], machines: Mapping[str, str]) -> list[Opening]:
    """One opening per rule that is for one machine at least.

    Args:
        settings: the testbed's keys of the scenario.
        hosts: the planned hosts.
        machines: machine by service key.
    """
    found = []
    for rule in settings.get("firewall_rules") or ():
        named = {str(name).lower() for name in rule["services"]}
        chosen = [machines[host.key] for host in hosts if named & _names(host)]
        proto = str(rule.get("proto") or "tcp+udp")
        ports = tuple(rule["ports"]) if rule.get("ports") and proto != "all" else None
        if chosen:
            found.append(Opening(machines=tuple(dict.fromkeys(chosen)), ports=ports, proto=proto))
    return found


def _names(host: PlannedHost) -> set[str]:
    return {str(name).lower() for name in (host.key, host.layer, host.service, host.testbed, *host.roles) if name}


def stands(rules: Sequence[Mapping[str, Any]], addresses: Sequence[str], opening: Opening) -> bool:
    """Whether a job has that opening already."""

    def values(value: Any) -> set[str]:
        return set(map(str, value)) if isinstance(value, (list, tuple)) else {str(value)} - {"None"}

    return any(
        values(rule.get("addr")) == set(addresses)
        and values(rule.get("port")) == set(map(str, opening.ports or ()))
        and rule.get("proto", "tcp+udp") == opening.proto
        for rule in rules
    )


def address(machine: str) -> str:
    """Name of a machine's IPv6 address, as the firewall takes it."""
    name, _, domain = machine.partition(".")
    return f"{name}-ipv6.{domain}"
