"""The monitoring network of Grid'5000's hosts: a KaVLAN that their second interfaces are in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from e2c.environments.base import Claim, Watch
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.remote import shell

NETWORK = "monitoring"
"""Its name in EnOSlib's configuration."""
LEASE_S = 60
LIMIT_S = 90
# As EnOSlib asks, but within a limit, and again when a deployment that was cut off is gone on with.
# dhclient leaves a process behind that renews the address: it must not hold the connection open.
SCRIPT = """\
export PATH=$PATH:/usr/sbin:/sbin
ip link set dev {device} up || exit 1
ip -{family} addr show dev {device} scope global | grep -q inet && exit 0
command -v dhclient >/dev/null || {{ echo 'there is no dhclient on it' >&2; exit 1; }}
timeout {lease} dhclient -{family} {device} </dev/null >/dev/null 2>&1
ip -{family} addr show dev {device} scope global | grep -q inet || {{ echo 'no DHCP answer on {device}' >&2; exit 1; }}
"""


def families(hosts: Iterable[PlannedHost]) -> dict[str, int]:
    """Address family, 4 or 6, by service key of the hosts that are put into a monitoring network."""
    return {host.key: int(host.request["monitoring_network"]) for host in hosts if "monitoring_network" in host.request}


def devices(machines: Iterable[Any]) -> dict[str, str]:
    """The interface that is in the monitoring network, by name of EnOSlib's machines that have one there."""
    # each of its interfaces is a pair: the name in the API, and the one that systems give it
    return {machine.ssh_address: machine.secondary_nics[0][1] for machine in machines if machine.secondary_networks}


def tell(networks: Iterable[Any], watch: Watch) -> None:
    """Tell which KaVLAN is the monitoring network, if one of EnOSlib's networks is."""
    for network in networks:
        if network.id == NETWORK:
            watch(f"KaVLAN {network.vlan_id} of {network.site} is the monitoring network")


def missing(claim: Claim) -> TestbedError:
    """The error of a job that holds no KaVLAN though one is asked for."""
    return TestbedError(
        f"job {claim.job_name} holds no KaVLAN for the monitoring network",
        where="Grid'5000",
        why="it was booked without one",
        hint=f"Free it, then deploy again: e2clab destroy {claim.scenario}",
    )


def refused(error: Exception) -> TestbedError:
    """The error of interfaces that could not be put into a KaVLAN; EnOSlib's text lists their names."""
    names = re.findall(r"'([^']+)'", str(error))
    return TestbedError(
        f"{shell.some(names, ', ')} could not be put into the monitoring network",
        where="Grid'5000",
        why="its KaVLAN service refused",
        hint="Deploy again, for other machines, or write network: shared under monitoring",
    )


def lacking(hosts: Iterable[Host], families: Mapping[str, int]) -> list[Host]:
    """Hosts without an address in the monitoring network that they should be in."""
    return [host for host in hosts if host.key in families and not _of(host, families[host.key])]


def enable(hosts: Sequence[Host], families: Mapping[str, int]) -> None:
    """Let the hosts ask for their addresses in the monitoring network.

    Raises:
        TestbedError: a host gets none.
    """
    commands = {
        host: SCRIPT.format(device=host.monitoring.device, family=families[host.key], lease=LEASE_S)
        for host in hosts
        if host.monitoring
    }
    answers = shell.run_each(commands, timeout_s=LIMIT_S)
    silent = [host for host in commands if not answers[host.key].ok]
    if silent:
        raise TestbedError(
            f"no address in the monitoring network on {shell.some([host.address for host in silent], ', ')}",
            where="Grid'5000",
            why=shell.explain(answers[silent[0].key]),
            hint="Deploy an image with dhclient (env_name: debian12-big), or write network: shared under monitoring",
        )


def ordered(host: Host, families: Mapping[str, int]) -> Host:
    """The host with the addresses of the family asked for first."""
    if host.monitoring is None or host.key not in families:
        return host
    mine = _of(host, families[host.key])
    others = tuple(address for address in host.monitoring.addresses if address not in mine)
    return host.model_copy(update={"monitoring": host.monitoring.model_copy(update={"addresses": (*mine, *others)})})


def _of(host: Host, family: int) -> tuple[str, ...]:
    addresses = host.monitoring.addresses if host.monitoring else ()
    return tuple(address for address in addresses if (":" in address) == (family == 6))
