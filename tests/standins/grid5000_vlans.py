"""KaVLAN at the Grid'5000 that the stand-in plays: VLANs that jobs hold, and interfaces of nodes put into them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from grid5000_jobs import Job
from grid5000_reference import VLANS, Reference, refusal
from standins_http import Answer, Request

GLOBAL = VLANS["kavlan-global"]
"""These are the same on all sites."""


class Vlans(Reference):
    """VLANs belong to jobs; whoever holds one may put interfaces of his deployed nodes into it.

    Attributes:
        taken_vlans: VLANs that others hold.
        refused_in_vlans: nodes that the service refuses.
        vlan_nodes: VLAN by address of an interface (``gros-1-eth1.nancy.grid5000.fr``).
    """

    def __init__(self, users: dict[str, str]) -> None:
        super().__init__(users)
        self.jobs: dict[int, Job] = {}
        self.vlan_nodes: dict[str, str] = {}
        self.taken_vlans: set[str] = set()
        self.refused_in_vlans: set[str] = set()

    def free_vlans(self, site: str, kinds: Iterable[str]) -> list[str] | None:
        """One VLAN of each kind; ``None`` where too few are free."""
        used = self.taken_vlans | {
            vlan for job in self.jobs.values() if job.living for vlan in job.vlans if job.site == site or vlan in GLOBAL
        }
        chosen: list[str] = []
        for kind in kinds:
            free = [vlan for vlan in VLANS[kind] if vlan not in used and vlan not in chosen]
            if not free:
                return None
            chosen.append(free[0])
        return chosen

    def leave_vlans(self, nodes: Iterable[str]) -> None:
        """The nodes' interfaces are in the default VLAN again."""
        gone = set(nodes)
        self.vlan_nodes = {at: to for at, to in self.vlan_nodes.items() if _interface(at)[0] not in gone}

    def tell(self, what: str, subject: Any) -> None:
        """Tell whoever listens."""
        raise NotImplementedError

    def _join_vlan(self, request: Request, site: str, uid: str) -> Answer:
        held = [job for job in self.jobs.values() if job.state == "running" and job.user == request.user]
        if not any(uid in job.vlans and (job.site == site or uid in GLOBAL) for job in held):
            raise refusal(403, "Forbidden", f"You have no rights on vlan {uid}")
        mine = {node for job in held if job.deploys for node in job.nodes} - self.refused_in_vlans
        result = {}
        for name in request.json:
            node, device = _interface(name)
            if node not in mine:
                result[name] = {"status": "failure", "message": f"You have no rights on {name}", "vlan": uid}
                continue
            same = self.vlan_nodes.get(name) == uid
            self.vlan_nodes[name] = uid
            result[name] = {"status": "unchanged" if same else "success", "message": "", "vlan": uid}
            if not same:
                self.tell("vlan", (node, device, uid))
        return Answer(200, result)

    _routes = (*Reference._routes, ("POST", "/sites/([^/]+)/vlans/([^/]+)/nodes", _join_vlan))


def _interface(address: str) -> tuple[str, str]:
    """Node and interface of an address such as ``gros-1-eth1.nancy.grid5000.fr``."""
    first, _, rest = address.partition(".")
    uid, _, device = first.rpartition("-")
    return f"{uid}.{rest}", device
