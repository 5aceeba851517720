"""Nodes and experiments of the IoT-LAB stand-in: records, and how they read in JSON."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
from dataclasses import dataclass, field
from typing import Any

from grid5000_park import Busy
from standins_http import Request

LIVING = ("Waiting", "toLaunch", "Launching", "Running", "Finishing")
_NEVER = "1970-01-01T00:00:00Z"
ARCHIS = {"a8": "a8:at86rf231", "m3": "m3:at86rf231", "rpi3": "rpi3:at86rf233"}


def stamp(seconds: float | None) -> str:
    """A date as IoT-LAB writes it."""
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else _NEVER


@dataclass
class Node:
    """A node: ``state`` is ``Alive``, ``Busy``, ``Dead``, ``Suspected`` or ``Absent``."""

    network_address: str
    archi: str
    site: str
    uid: str
    state: str = "Alive"
    busy: list[Busy] = field(default_factory=list)
    firmware: str | None = None
    commands: list[str] = field(default_factory=list)

    @property
    def number(self) -> int:
        return int(self.network_address.partition(".")[0].rpartition("-")[2])

    def description(self, state: str) -> dict[str, Any]:
        return {
            "site": self.site,
            "archi": self.archi,
            "uid": self.uid,
            "state": state,
            "network_address": self.network_address,
            "production": "YES",
            "x": "20.33",
            "y": "25.28",
            "z": "2.63",
            "mobile": "0",
            "mobility_type": " ",
            "camera": None,
        }


@dataclass
class Experiment:
    """A reservation; times in seconds since the epoch, ``duration`` in minutes."""

    id: int
    user: str
    name: str | None
    duration: int
    asked: dict[str, Any]
    files: dict[str, bytes]
    submitted: float
    starts: float
    begins: float
    nodes: list[str]
    state: str = "Waiting"
    started: float | None = None
    stopped: float | None = None
    looks: int = 0
    error_after: int | None = None

    @property
    def living(self) -> bool:
        """Whether it holds, or will hold, nodes."""
        return self.state in LIVING

    def summary(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "user": self.user,
            "state": self.state,
            "submission_date": stamp(self.submitted),
            "start_date": stamp(self.started or self.starts),
            "stop_date": stamp(self.stopped),
            "effective_duration": int((self.stopped - self.started) / 60) if self.stopped and self.started else 0,
            "submitted_duration": self.duration,
            "nb_nodes": len(self.nodes),
            "scheduled_date": stamp(self.starts),
        }

    def details(self) -> dict[str, Any]:
        shown = ("type", "firmwareassociations", "profileassociations", "associations", "siteassociations")
        return {**self.summary(), "nodes": self.nodes, **{key: self.asked.get(key) for key in shown}}


def read_form(request: Request) -> dict[str, bytes]:
    """The parts of a form by their names."""
    boundary = request.body.partition(b"\r\n")[0].removeprefix(b"--").decode()
    head = f"content-type: multipart/form-data; boundary={boundary}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    return {str(part.get_param("name", header="content-disposition")): _payload(part) for part in message.iter_parts()}


def _payload(part: Any) -> bytes:
    return part.get_payload(decode=True) or b""
