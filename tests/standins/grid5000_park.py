"""What stands at the Grid'5000 that the stand-in plays: sites, clusters, nodes; and how OAR's requests read."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
ENVIRONMENT = re.compile(r"(debian\d+|debiantesting|ubuntu\d{4}|rocky\d|centos\d\w*)(-x64)?-(min|base|nfs|big|std|xen)")
_SITE_INDEX = {"nancy": 4, "lyon": 2, "rennes": 9}
_CRITERION = re.compile(
    r"(?:\{(?P<filter>.*)\})?(?:/(?P<kind>nodes|host|vlan)=(?P<number>\d+)|(?P<subnet>slash_\d\d)=\d+)"
)
_NETWORK_ADAPTERS = [
    {"device": "bmc", "name": "bmc", "mountable": False, "mounted": False, "interface": "Ethernet", "management": True},
    {
        "device": "eth0",
        "name": "eno1",
        "mountable": True,
        "mounted": True,
        "interface": "Ethernet",
        "management": False,
    },
    {
        "device": "eth1",
        "name": "eno2",
        "mountable": True,
        "mounted": False,
        "interface": "Ethernet",
        "management": False,
    },
]


class Impossible(ValueError):
    """The request asks for what no cluster has."""


@dataclass
class Busy:
    """Somebody else's reservation of a node: from, to (seconds since the epoch)."""

    starts: float
    ends: float
    queue: str = "default"


@dataclass
class Node:
    """A node: ``hard`` is ``alive``, ``dead``, ``absent`` or ``suspected``."""

    fqdn: str
    cluster: str
    hard: str = "alive"
    busy: list[Busy] = field(default_factory=list)

    @property
    def uid(self) -> str:
        return self.fqdn.partition(".")[0]

    @property
    def number(self) -> int:
        return int(self.uid.rpartition("-")[2])

    def description(self, *, single: bool) -> dict[str, Any]:
        return {
            "type": "node",
            "uid": self.uid,
            "architecture": {"nb_cores": 18, "nb_procs": 1, "nb_threads": 36, "platform_type": "x86_64"},
            "main_memory": {"ram_size": 103079215104},
            "network_adapters": _NETWORK_ADAPTERS[:2] if single else _NETWORK_ADAPTERS,
            "supported_job_types": {"besteffort": True, "deploy": True, "queues": ["admin", "default"]},
        }


@dataclass(frozen=True)
class Criterion:
    """One term of a request: how many, of which nodes (``None``: any)."""

    kind: str
    number: int
    cluster: str | None = None
    servers: tuple[str, ...] = ()
    vlan: str | None = None


def read_resources(text: str) -> tuple[list[Criterion], int]:
    """The terms of an OAR request and its walltime in seconds.

    Raises:
        ValueError: OAR would not understand it.
    """
    request, _, walltime = text.partition(",walltime=")
    return [_read_criterion(term) for term in request.split("+")], read_walltime(walltime or "1")


def _read_criterion(term: str) -> Criterion:
    found = _CRITERION.fullmatch(term.strip().replace("/nodes", "/nodes"))
    if found is None:
        raise ValueError(f"syntax error in {term}")
    if found["subnet"]:
        return Criterion(found["subnet"], 1)
    told = found["filter"] or ""
    number = int(found["number"])
    if found["kind"] == "vlan":
        kind = re.search(r"type='([\w-]+)'", told)
        return Criterion("vlan", number, vlan=kind[1] if kind else "kavlan")
    cluster = re.search(r"cluster='([\w-]+)'", told)
    listed = re.search(r"network_address in \((.*)\)", told)
    servers = tuple(re.findall(r"'([^']+)'", listed[1])) if listed else ()
    return Criterion("nodes", number, cluster[1] if cluster else None, servers)


def read_walltime(text: str) -> int:
    """``H``, ``H:M`` or ``H:M:S`` in seconds; hours have no limit."""
    parts = [int(part) for part in text.strip().split(":")]
    hours, minutes, seconds = (*parts, 0, 0)[:3]
    return hours * 3600 + minutes * 60 + seconds


def read_date(value: Any) -> int:
    """A reservation's date: local time of France as text, or seconds since the epoch."""
    if isinstance(value, int) or str(value).isdigit():
        return int(value)
    return int(dt.datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=PARIS).timestamp())


def write_date(seconds: float) -> str:
    """The date as OAR writes it."""
    return dt.datetime.fromtimestamp(seconds, PARIS).strftime("%Y-%m-%d %H:%M:%S")


class Park:
    """Sites, clusters and nodes.

    Args:
        clusters: site and number of nodes by cluster.
        network: the nodes' network and its gateway.

    Attributes:
        single: clusters whose nodes have one interface only.
    """

    def __init__(self, clusters: dict[str, tuple[str, int]], network: tuple[str, str]) -> None:
        self.network = network
        self.single: set[str] = set()
        self.clusters = {cluster: site for cluster, (site, _) in clusters.items()}
        self.nodes = {
            fqdn: Node(fqdn, cluster)
            for cluster, (site, number) in clusters.items()
            for fqdn in (f"{cluster}-{count}.{site}.grid5000.fr" for count in range(1, number + 1))
        }

    @property
    def sites(self) -> list[str]:
        return list(dict.fromkeys(self.clusters.values()))

    def cluster_nodes(self, cluster: str) -> list[Node]:
        return [node for node in self.nodes.values() if node.cluster == cluster]

    def site(self, name: str) -> dict[str, Any]:
        network, gateway = self.network
        vlan = {"network": network, "gateway": gateway}
        return {
            "type": "site",
            "uid": name,
            "name": name.capitalize(),
            "kavlans": {
                "default": vlan,
                **{
                    str(number): {"network": f"10.{number}.0.0/18", "gateway": f"10.{number}.63.254"}
                    for number in range(1, 22)
                },
            },
            "ipv6": {"prefix": "2001:0660:4406", "site_index": _SITE_INDEX.get(name, 15)},
            "g5ksubnet": {"network": "10.144.0.0/14", "gateway": "10.147.255.254"},
        }

    def cluster(self, name: str) -> dict[str, Any]:
        return {
            "type": "cluster",
            "uid": name,
            "exotic": False,
            "model": "Dell PowerEdge R640",
            "queues": ["admin", "default"],
            "metrics": [],
        }

    def offer(self, fqdn: str, vlan: str) -> dict[int, str]:
        """What a node's second interface is offered by DHCP in a VLAN, by address family."""
        index, number = _SITE_INDEX.get(fqdn.split(".")[1], 15), self.nodes[fqdn].number
        return {4: f"10.{vlan}.{index}.{number}/18", 6: f"2001:660:4406:{vlan}::{index:x}:{number:x}/64"}

    def choose(self, site: str, criteria: list[Criterion], is_free: Any) -> list[str] | None:
        """Nodes that fulfil the request and of which ``is_free(fqdn)`` is true; ``None`` where too few are free.

        Raises:
            Impossible: not even all nodes that are alive would do.
        """
        alive = [node for node in self.nodes.values() if node.hard == "alive" and node.fqdn.split(".")[1] == site]
        self._pick(criteria, sorted(alive, key=lambda node: (node.cluster, node.number)))  # may raise
        try:
            return self._pick(criteria, [node for node in alive if is_free(node.fqdn)])
        except Impossible:
            return None

    @staticmethod
    def _pick(criteria: list[Criterion], nodes: list[Node]) -> list[str]:
        left = list(nodes)
        chosen = []
        for criterion in criteria:
            if criterion.kind != "nodes":
                continue
            fitting = [
                node
                for node in left
                if (criterion.cluster is None or node.cluster == criterion.cluster)
                and (not criterion.servers or node.fqdn in criterion.servers)
            ]
            if len(fitting) < criterion.number:
                raise Impossible
            for node in fitting[: criterion.number]:
                left.remove(node)
                chosen.append(node.fqdn)
        return chosen
