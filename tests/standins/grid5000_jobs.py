"""Jobs and deployments of the Grid'5000 stand-in: records, and how they read in JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LIVING = ("waiting", "toLaunch", "launching", "running", "finishing")


@dataclass
class Job:
    """A reservation.

    Attributes:
        starts: when it is scheduled to start (seconds since the epoch).
        begins: when it really starts here, see ``Grid5000Api.start_after_s``.
        events: what OAR says happened to it.
        error_after: after how many looks at it its state becomes ``error``.
    """

    uid: int
    site: str
    user: str
    name: str | None
    types: list[str]
    queue: str
    project: str
    command: str
    resources: str
    submitted: float
    starts: float
    begins: float
    walltime: int
    nodes: list[str]
    vlans: list[str] = field(default_factory=list)
    subnets: list[str] = field(default_factory=list)
    state: str = "waiting"
    started: float | None = None
    stopped: float | None = None
    events: list[str] = field(default_factory=list)
    looks: int = 0
    error_after: int | None = None
    firewall: list[dict[str, Any]] = field(default_factory=list)

    @property
    def living(self) -> bool:
        """Whether it holds, or will hold, machines."""
        return self.state in LIVING

    @property
    def deploys(self) -> bool:
        return "deploy" in self.types

    def summary(self) -> dict[str, Any]:
        """As in a list of jobs: without the machines."""
        base = f"/stable/sites/{self.site}"
        return {
            "uid": self.uid,
            "user_uid": self.user,
            "user": self.user,
            "walltime": self.walltime,
            "queue": self.queue,
            "state": self.state,
            "project": self.project,
            "name": self.name,
            "types": self.types,
            "mode": "PASSIVE",
            "command": self.command,
            "submitted_at": int(self.submitted),
            "scheduled_at": int(self.starts),
            **({"started_at": int(self.started)} if self.started else {}),
            **({"stopped_at": int(self.stopped)} if self.stopped else {}),
            "message": f"R={len(self.nodes)},W={self.walltime // 3600}:{self.walltime % 3600 // 60}:0,J=R,T=deploy",
            "properties": "maintenance = 'NO'",
            "directory": f"/home/{self.user}",
            "events": [{"uid": self.uid, "created_at": 0, "description": text} for text in self.events],
            "links": [
                {"rel": "self", "href": f"{base}/jobs/{self.uid}"},
                {"rel": "parent", "href": base},
            ],
        }

    def details(self) -> dict[str, Any]:
        """As when asked for by its number."""
        running = self.state in ("running", "launching", "finishing", "terminated") or self.started is not None
        nodes = self.nodes if running else []
        by_type: dict[str, list[str]] = {"cores": [node for node in nodes for _ in range(2)]} if nodes else {}
        if running and self.vlans:
            by_type["vlans"] = self.vlans
        if running and self.subnets:
            by_type["subnets"] = self.subnets
        return {**self.summary(), "resources_by_type": by_type, "assigned_nodes": nodes}


@dataclass
class Deployment:
    """A kadeploy of some nodes."""

    uid: str
    site: str
    user: str
    nodes: list[str]
    environment: str
    version: int | None
    key: str
    vlan: str | None
    ends: float
    failing: list[str]
    whole_fails: bool = False
    status: str = "processing"

    def details(self) -> dict[str, Any]:
        result = {}
        if self.status == "terminated":
            result = {
                node: {"macro": None, "micro": None, "state": "KO" if node in self.failing else "OK"}
                for node in self.nodes
            }
        return {
            "uid": self.uid,
            "user_uid": self.user,
            "site_uid": self.site,
            "environment": self.environment,
            "nodes": self.nodes,
            "status": self.status,
            "created_at": 0,
            "updated_at": 0,
            **({"result": result} if result else {}),
            **({"output": "Deployment failed: no node could be rebooted"} if self.status == "error" else {}),
        }
