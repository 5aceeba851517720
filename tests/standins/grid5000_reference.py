"""The descriptive half of the Grid'5000 stand-in: sites, clusters, nodes, servers, vlans."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from grid5000_park import Park
from standins_http import Answer, Refused, Request, StandInServer

VLANS = {"kavlan-local": ("1", "2", "3"), "kavlan": ("4", "5", "6", "7", "8", "9"), "kavlan-global": ("11", "14")}


def refusal(status: int, title: str, message: str) -> Refused:
    """An error as the API words it."""
    return Refused(Answer(status, {"code": status, "title": title, "message": message}))


def items(found: list[dict[str, Any]], request: Request | None = None) -> Answer:
    """A list, or the page of it that was asked for."""
    start = int(request.query.get("offset", 0)) if request else 0
    limit = int(request.query.get("limit", 100)) if request else len(found)
    return Answer(200, {"total": len(found), "offset": start, "items": found[start : start + limit]})


class Reference(StandInServer):
    """What does not change by reservations."""

    prefix = "/stable"
    unauthorised = Answer(
        401,
        b"<html><head><title>401 Unauthorized</title></head><body><h1>Unauthorized</h1></body></html>",
        "text/html; charset=iso-8859-1",
        {"www-authenticate": 'Basic realm="Grid5000 API"'},
    )
    park: Park

    def route(self, request: Request) -> Answer:
        for method, pattern, serve in self._routes:
            found = re.fullmatch(pattern, request.path.rstrip("/") or "/")
            if found and method == request.method:
                return serve(self, request, *found.groups())
        raise Refused(self.unknown)

    def _site(self, site: str) -> str:
        if site not in self.park.sites:
            raise refusal(404, "Not Found", f"Site {site} does not exist.")
        return site

    def _cluster(self, site: str, cluster: str) -> str:
        if self.park.clusters.get(cluster) != self._site(site):
            raise refusal(404, "Not Found", f"Cluster {cluster} does not exist.")
        return cluster

    def _root(self, request: Request) -> Answer:
        return Answer(200, {"type": "grid", "uid": "grid5000", "release": "stand-in"})

    def _sites(self, request: Request) -> Answer:
        return items([self.park.site(site) for site in self.park.sites])

    def _one_site(self, request: Request, site: str) -> Answer:
        return Answer(200, self.park.site(self._site(site)))

    def _clusters(self, request: Request, site: str) -> Answer:
        self._site(site)
        return items([self.park.cluster(name) for name, home in self.park.clusters.items() if home == site])

    def _one_cluster(self, request: Request, site: str, cluster: str) -> Answer:
        return Answer(200, self.park.cluster(self._cluster(site, cluster)))

    def _nodes(self, request: Request, site: str, cluster: str) -> Answer:
        single = cluster in self.park.single
        nodes = self.park.cluster_nodes(self._cluster(site, cluster))
        return items([node.description(single=single) for node in nodes])

    def _one_node(self, request: Request, site: str, cluster: str, node: str) -> Answer:
        self._cluster(site, cluster)
        found = self.park.nodes.get(f"{node}.{site}.grid5000.fr")
        if found is None:
            raise refusal(404, "Not Found", f"Node {node} does not exist.")
        return Answer(200, found.description(single=cluster in self.park.single))

    def _server(self, request: Request, site: str, server: str) -> Answer:
        self._site(site)
        address = {"ip": self.park.network[1], "interface": "Ethernet"}
        return Answer(200, {"uid": server, "kind": "virtual", "network_adapters": {"default": address}})

    def _vlans(self, request: Request, site: str) -> Answer:
        return items([{"uid": uid, "type": kind} for kind, uids in VLANS.items() for uid in uids])

    def _one_vlan(self, request: Request, site: str, uid: str) -> Answer:
        kinds = [kind for kind, uids in VLANS.items() if uid in uids]
        if not kinds and uid != "DEFAULT":
            raise refusal(404, "Not Found", f"Vlan {uid} does not exist")
        return Answer(200, {"uid": uid, "type": kinds[0] if kinds else "default"})

    _routes: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
        ("GET", "/", _root),
        ("GET", "/sites", _sites),
        ("GET", "/sites/([^/]+)", _one_site),
        ("GET", "/sites/([^/]+)/clusters", _clusters),
        ("GET", "/sites/([^/]+)/clusters/([^/]+)", _one_cluster),
        ("GET", "/sites/([^/]+)/clusters/([^/]+)/nodes", _nodes),
        ("GET", "/sites/([^/]+)/clusters/([^/]+)/nodes/([^/]+)", _one_node),
        ("GET", "/sites/([^/]+)/servers/([^/]+)", _server),
        ("GET", "/sites/([^/]+)/vlans", _vlans),
        ("GET", "/sites/([^/]+)/vlans/([^/]+)", _one_vlan),
    )
