"""What the service consists of: the programs that the supervisor runs, for what ``serve`` was asked."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import e2c
from e2c.errors import ProvenanceError
from e2c.provenance.dsn import Server
from e2c.provenance.folder import DataFolder, read_json
from e2c.provenance.serving import libmonetdb, tls
from e2c.provenance.serving.broker import RUNNING, Listeners
from e2c.provenance.serving.children import Child


@dataclass(frozen=True)
class Request:
    """What ``serve`` was asked for.

    Args:
        dataflows: evaluated dataflows; they are added to those the database knows.
        clients: broker users for devices; None: one account is generated.
        binds: addresses on which the broker listens; none mean loopback.
        mqtt_port: 0 means a free one.
        tls: True for an own authority, or given files; None: plain text.
        server: an existing MonetDB server instead of our own.
        metrics: address and port of the figures for Prometheus.
    """

    dataflows: Sequence[Mapping[str, Any]] = ()
    clients: Mapping[str, str] | None = None
    binds: Sequence[str] = ()
    mqtt_port: int = 1883
    partitions: int = 1
    database_port: int = 0
    tls: tls.Given | bool = False
    server: Server | None = None
    metrics: tuple[str, int] | None = None


def check_kind(folder: DataFolder, request: Request) -> None:
    """A data folder keeps its kind of database.

    Raises:
        ProvenanceError: it has a database of its own, and another was asked for.
    """
    if request.server is not None and folder.farm.exists():
        raise ProvenanceError(
            "this data folder has a database of its own",
            where=str(folder.root),
            hint="Leave out --dsn, or choose another --data",
        )


def children(
    folder: DataFolder, request: Request, listeners: Listeners, mosquitto: Sequence[str], libraries: Path | None
) -> list[Child]:
    """The parts, in the order in which they are started.

    Args:
        libraries: folder of the MonetDB libraries; None: the database is an existing server.
    """
    root = str(Path(e2c.__file__).resolve().parents[1])
    search = os.pathsep.join(item for item in (root, os.environ.get("PYTHONPATH", "")) if item)
    environment = {"PYTHONPATH": search, "PYTHONUNBUFFERED": "1"}
    here = [sys.executable, "-m"]
    data = str(folder.root)
    if libraries is None:
        database = [*here, "e2c.provenance.serving.external", data]
    else:
        environment[libmonetdb.VARIABLE] = str(libraries)
        database = [*here, "e2c.provenance.serving.database", data, str(request.database_port or _earlier_port(folder))]
    address, port = listeners.local()
    translator = [*here, "e2c.provenance.storing.translator", data, address, str(port), str(request.partitions)]
    ready = re.compile(r"^ready( \d+)?$")
    made = [
        Child("database", database, ready, folder.log("database"), environment, stop_s=60.0),
        Child("broker", mosquitto, RUNNING, folder.log("broker")),
        Child("translator", translator, ready, folder.log("translator"), environment, stop_s=30.0),
    ]
    if request.metrics is not None:
        metrics = [*here, "e2c.provenance.reporting.metrics", data, request.metrics[0], str(request.metrics[1])]
        made.append(Child("metrics", metrics, ready, folder.log("metrics"), environment))
    return made


def _earlier_port(folder: DataFolder) -> int:
    """The database's port in an earlier life, so that clients find it again; 0 when none is known."""
    try:
        return int(read_json(folder.database_endpoint)["port"])
    except ProvenanceError:  # a first start, or one that a power cut left without its state
        return 0
