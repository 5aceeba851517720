"""Traffic that no rule shapes: the controller's own ssh, and captures on their way, as network.yaml says.

Hosts answer the controller at its own address, and only what goes to addresses of hosts is shaped. So ssh needs an
exemption only where the controller is one of the hosts, as with ``static``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from e2c.emulation.constraint import Exempt, Exemption
from e2c.model.host import Host
from e2c.model.plan import Plan

BROKER_PORTS = (1883, 8883)
"""Ports of the provenance service's broker: MQTT, and MQTT over TLS."""

_DISCARD = 9


def exemptions(plan: Plan, hosts: Iterable[Host]) -> Exempt:
    """What is exempt between hosts of a plan, for :func:`e2c.emulation.constraint.constraints`."""
    known = {host.key: host for host in hosts}
    controllers = {key for key, host in known.items() if is_here(host)} if "control" in plan.untouched else set()
    broker = plan.provenance.host if plan.provenance and "provenance" in plan.untouched else None

    def exempt(source: str, destination: str) -> tuple[Exemption, ...]:
        found: list[Exemption] = []
        if source in controllers and destination in known:
            found.append(Exemption(port=known[destination].port, end="dst"))
        if destination in controllers and source in known:
            found.append(Exemption(port=known[source].port, end="src"))
        if broker in (source, destination):
            end = "src" if source == broker else "dst"
            found += [Exemption(port=port, end=end) for port in BROKER_PORTS]
        return tuple(dict.fromkeys(found))

    return exempt


def is_here(host: Host) -> bool:
    """Whether a host is the machine that this runs on: it would be reached from its own address. Nothing is sent."""
    for family, address in ((socket.AF_INET, host.addresses.v4), (socket.AF_INET6, host.addresses.v6)):
        if address:
            try:
                with socket.socket(family, socket.SOCK_DGRAM) as probe:
                    probe.connect((address, _DISCARD))
                    own = probe.getsockname()[0]
            except OSError:  # no way leads there
                continue
            if ip_address(own) == ip_address(address):
                return True
    return False
