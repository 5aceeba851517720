"""Nodes of Grid'5000 once they are booked: how they are reached, named, and given IPv6 and netem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from e2c.environments import discovery
from e2c.environments.base import Acquisition, Claim, Watch
from e2c.environments.g5k import kavlan
from e2c.environments.limits import Limits
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.remote import shell, sockets

LEASE_S = 60
IPV6_LIMIT_S = 90
# dhclient leaves a process behind that renews the address: it must not hold the connection open
IPV6 = """\
export PATH=$PATH:/usr/sbin:/sbin
ip -6 addr show dev {device} scope global | grep -q inet6 && exit 0
command -v dhclient >/dev/null || {{ echo 'there is no dhclient on it' >&2; exit 1; }}
timeout {lease} dhclient -6 {device} </dev/null >/dev/null 2>&1
ip -6 addr show dev {device} scope global | grep -q inet6 || {{ echo 'no DHCPv6 answer on {device}' >&2; exit 1; }}
"""
NETEM = """\
export PATH=$PATH:/usr/sbin:/sbin
modprobe sch_netem 2>/dev/null
command -v tc >/dev/null || { echo 'there is no tc on it' >&2; exit 1; }
"""


def connect(claim: Claim, given: Any, families: Mapping[str, int], bounds: Limits, watch: Watch) -> tuple[Host, ...]:
    """Wait until the booked nodes answer to ssh and give them back filled in.

    Args:
        given: the acquisition as the child process told it.
        families: as :func:`e2c.environments.g5k.kavlan.families` gives them.

    Raises:
        TestbedError: a node does not answer, or gets no address that was asked for: of IPv6, or in the monitoring
            network.
    """
    folder = sockets.folder(f"{claim.provider} {claim.job_name}")
    sockets.make(folder)
    hosts = [host.model_copy(update={"control_dir": folder}) for host in Acquisition.model_validate(given).hosts]
    found = discovery.discover(hosts, bounds.ssh_timeout, watch.waiting)
    without6 = [host for host in found if host.addresses.v6 is None] if wants_ipv6(claim) else []
    if without6:
        watch(f"asking for IPv6 addresses on {len(without6)} machines")
        enable_ipv6(without6)
    apart = kavlan.lacking(found, families)
    if apart:
        watch(f"asking for addresses in the monitoring network on {len(apart)} machines")
        kavlan.enable(apart, families)
    if without6 or apart:
        found = discovery.discover(hosts, bounds.ssh_timeout, watch.waiting)
    return tuple(kavlan.ordered(host, families) for host in found)


def wants_ipv6(claim: Claim) -> bool:
    """Whether nodes need global IPv6 addresses: asked for, or the firewall, which only knows those, is opened."""
    return bool(claim.settings.get("ipv6") or claim.settings.get("firewall_rules"))


def enable_ipv6(hosts: Sequence[Host]) -> None:
    """Give the nodes the global IPv6 address that DHCPv6 has for each.

    Raises:
        TestbedError: a node gets none.
    """
    commands = {
        host: IPV6.format(device=host.interfaces[0].device if host.interfaces else "br0", lease=LEASE_S)
        for host in hosts
    }
    answers = shell.run_each(commands, timeout_s=IPV6_LIMIT_S)
    failed = [host for host in hosts if not answers[host.key].ok]
    if failed:
        raise TestbedError(
            f"no global IPv6 address on {shell.some([host.address for host in failed], ', ')}",
            where="Grid'5000",
            why=shell.explain(answers[failed[0].key]),
            hint="Deploy an image with dhclient (env_name: debian11-big), or leave out ipv6 and firewall_rules",
        )


def enable_netem(hosts: Sequence[Host]) -> None:
    """Load the kernel module where it is one and make sure that ``tc`` is there.

    Raises:
        RemoteError: a node has no ``tc``.
    """
    shell.require(
        shell.run_all(hosts, NETEM, timeout_s=60),
        "shaping links",
        hint="Deploy an image with iproute2 (env_name: debian11-big)",
    )


def close(claim: Claim) -> None:
    """End the shared connections to the nodes of a claim."""
    sockets.remove(sockets.folder(f"{claim.provider} {claim.job_name}"))
