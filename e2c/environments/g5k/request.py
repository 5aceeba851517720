"""What is asked of OAR for the planned hosts, and which host each machine becomes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from e2c.errors import TestbedError
from e2c.model.frozen import Frozen
from e2c.model.plan import PlannedHost

_SERVER = re.compile(r"([a-z][a-z0-9]*)-([0-9]+)\.([a-z]+)(\.grid5000\.fr)?")


class Group(Frozen):
    """Machines that are asked for together.

    Attributes:
        cluster: take any of this cluster; ``None``: of ``servers``.
        servers: take any of these, full names; all of one cluster.
        keys: service keys of the hosts, in the order of the plan.
        monitored: they are put into the monitoring network.
    """

    cluster: str | None = None
    servers: tuple[str, ...] = ()
    keys: tuple[str, ...]
    monitored: bool = False

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return self.cluster or self.servers[0].partition("-")[0]

    @property
    def wanted(self) -> str:
        """What is asked for, for messages."""
        number = f"{len(self.keys)} machine{'' if len(self.keys) == 1 else 's'}"
        return f"{number} of {self.cluster or ' or '.join(self.servers)}"


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sorts ``gros-2`` before ``gros-10``."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name))


def groups(hosts: Sequence[PlannedHost]) -> list[Group]:
    """The planned hosts, those with the same cluster or servers and network together, in the order of the plan.

    Raises:
        TestbedError: a host names neither, or servers that cannot be asked for.
    """
    sorts: dict[tuple[str | None, tuple[str, ...], bool], list[PlannedHost]] = {}
    for host in hosts:
        named = host.request.get("servers") or ()
        servers = tuple(sorted({_server(host, name) for name in named}, key=natural))
        cluster = None if servers else host.request.get("cluster")
        if not servers and not cluster:
            raise TestbedError(
                "neither cluster nor servers say which machine to take",
                where=f"layers_services.yaml: {host.service}",
                hint="Add cluster: gros (or another one) to environment.g5k or to the service",
            )
        sorts.setdefault((cluster, servers, bool(host.request.get("monitoring_network"))), []).append(host)
    return [
        group.model_copy(update={"monitored": monitored})
        for (cluster, servers, monitored), members in sorts.items()
        for group in _split(cluster, servers, members)
    ]


def _server(host: PlannedHost, name: str) -> str:
    match = _SERVER.fullmatch(name)
    if match is None:
        raise TestbedError(
            f"{name} is no machine of Grid'5000",
            where=f"layers_services.yaml: {host.service}",
            hint="Write servers with their site: gros-1.nancy.grid5000.fr",
        )
    cluster, number, site, _ = match.groups()
    return f"{cluster}-{number}.{site}.grid5000.fr"


def _split(cluster: str | None, servers: tuple[str, ...], members: Sequence[PlannedHost]) -> Iterable[Group]:
    keys = tuple(host.key for host in members)
    if not servers:
        return [Group(cluster=cluster, keys=keys)]
    where = f"layers_services.yaml: {members[0].service}"
    if len(keys) > len(servers):
        raise TestbedError(
            f"{len(keys)} machines are asked for, but only {len(servers)} named: {', '.join(servers)}",
            where=where,
            hint="Name more servers, or lower the quantity",
        )
    pools: dict[str, list[str]] = {}
    for server in servers:
        pools.setdefault(server.partition("-")[0] + server.partition(".")[2], []).append(server)
    if len(pools) == 1:
        return [Group(servers=servers, keys=keys)]
    if len(keys) < len(servers):
        raise TestbedError(
            f"{len(keys)} of {len(servers)} servers of several clusters are asked for",
            where=where,
            why="Grid'5000 chooses among machines of one cluster only",
            hint="Name as many servers as machines are needed, or servers of one cluster",
        )
    left = list(keys)
    split = []
    for pool in pools.values():
        split.append(Group(servers=tuple(pool), keys=tuple(left[: len(pool)])))
        del left[: len(pool)]
    return split


def deal(groups: Sequence[Group], machines: Mapping[int, Iterable[str]]) -> dict[str, str]:
    """Machine by service key: machines in natural order, dealt out in the order of the plan.

    Args:
        machines: names by position of the group.

    Raises:
        TestbedError: fewer machines came than were asked for.
    """
    dealt: dict[str, str] = {}
    for position, group in enumerate(groups):
        names = sorted(set(machines.get(position, ())), key=natural)
        if len(names) < len(group.keys):
            raise fewer(group, names)
        dealt |= dict(zip(group.keys, names, strict=False))
    return dealt


def fewer(group: Group, names: Sequence[str]) -> TestbedError:
    """The error of a job that holds less than was asked."""
    came = f"{len(names)} came ({', '.join(names)})" if names else "none came"
    return TestbedError(
        f"{group.wanted} were asked for, {came}",
        where="Grid'5000",
        hint="Deploy again: broken machines are left out by then; or ask for fewer, or for another cluster",
    )
