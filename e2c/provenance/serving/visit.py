"""The database of a data folder in which no service runs, started for the time of one command."""

from __future__ import annotations

import os
import re
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import e2c
from e2c.errors import BusyError, ProvenanceError
from e2c.provenance.folder import DataFolder, read_json
from e2c.provenance.serving import libmonetdb
from e2c.provenance.serving.children import Child, start_time
from e2c.provenance.serving.ownership import Ownership, wait_for_orphans

READY_LIMIT_S = 120.0
BUSY_LIMIT_S = 30.0
"""How long another command on the same folder is waited for."""


@contextmanager
def running(folder: DataFolder) -> Iterator[None]:
    """The database answers: the one of the service, or one that is started for this time and owns the folder.

    Raises:
        BusyError: another command has the folder.
        ProvenanceError: nothing was ever stored there, or the database does not start.
    """
    if folder.external.exists() or is_served(folder):
        yield
        return
    if not folder.farm.exists():
        read_json(folder.database_endpoint)  # says that no service has run here
    with ExitStack() as cleanup:
        if _owned(folder, cleanup):
            wait_for_orphans(folder)
            if not _listens(folder):
                start(folder, cleanup)
        yield


def is_served(folder: DataFolder) -> bool:
    """Whether a supervisor lives here."""
    if not folder.supervisor.exists():
        return False
    state = read_json(folder.supervisor)
    return state["pid"] is not None and start_time(state["pid"]) == state["started"]


def start(folder: DataFolder, cleanup: ExitStack) -> None:
    """Start the database of a folder that the caller owns; ``cleanup`` ends it.

    Raises:
        ProvenanceError: it does not start.
    """
    root = str(Path(e2c.__file__).resolve().parents[1])
    search = os.pathsep.join(item for item in (root, os.environ.get("PYTHONPATH", "")) if item)
    child = Child(
        "database",
        [sys.executable, "-m", "e2c.provenance.serving.database", str(folder.root), "0"],
        re.compile(r"^ready \d+$"),
        folder.log("database"),
        {"PYTHONPATH": search, "PYTHONUNBUFFERED": "1", libmonetdb.VARIABLE: str(libmonetdb.locate())},
        stop_s=60.0,
    )
    child.start()
    cleanup.callback(child.close_log)
    cleanup.callback(child.stop)
    deadline = time.monotonic() + READY_LIMIT_S
    while not child.is_ready:
        ready, _, _ = select.select([child.output], [], [], max(0.0, deadline - time.monotonic()))
        if not ready or not child.read():
            lines = list(child.last_lines)
            raise ProvenanceError(
                "the database did not start", why=lines[-1] if lines else None, hint=f"See {folder.log('database')}"
            )


def _owned(folder: DataFolder, cleanup: ExitStack) -> bool:
    """Own the folder. Returns False when a service has come up meanwhile."""
    deadline = time.monotonic() + BUSY_LIMIT_S
    while True:
        try:
            cleanup.enter_context(Ownership(folder))
        except BusyError:
            if is_served(folder) and _listens(folder):
                return False
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return True


def _listens(folder: DataFolder) -> bool:
    """Whether a database that nobody supervises answers."""
    if not folder.database_endpoint.exists():
        return False
    endpoint = read_json(folder.database_endpoint)
    if start_time(endpoint["pid"]) is None:
        return False
    try:
        socket.create_connection((endpoint["address"], endpoint["port"]), 5).close()
    except OSError:
        return False
    return True
