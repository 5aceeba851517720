"""The data folder of a provenance service: which file lies where, and how small files are written."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2c.errors import ProvenanceError

DATABASE_NAME = "dataflow_analyzer"


@dataclass(frozen=True)
class DataFolder:
    """Paths inside ``DIR`` of ``serve --data DIR``. The folder has mode 0700."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held locked by the supervisor as long as it lives."""
        return self.root / "lock"

    @property
    def service(self) -> Path:
        """Endpoints, pid and versions; exists while the service is ready. No secrets."""
        return self.root / "service.json"

    @property
    def supervisor(self) -> Path:
        """State of each child, as the supervisor sees it."""
        return self.root / "run" / "supervisor.json"

    @property
    def database_endpoint(self) -> Path:
        """Where the database listens now, written by the database itself."""
        return self.root / "run" / "database.json"

    @property
    def translator(self) -> Path:
        """Heartbeat and figures of the translator."""
        return self.root / "run" / "translator.json"

    @property
    def metrics(self) -> Path:
        """Where the figures for Prometheus are served, written by their server."""
        return self.root / "run" / "metrics.json"

    @property
    def dataflows(self) -> Path:
        """The declared dataflows, as given to ``serve``."""
        return self.root / "run" / "dataflows.json"

    @property
    def secrets(self) -> Path:
        """Generated passwords, mode 0600."""
        return self.root / "secrets.json"

    @property
    def credentials(self) -> Path:
        """Broker user and password for devices when no ``--clients`` were given, mode 0600."""
        return self.root / "credentials"

    @property
    def external(self) -> Path:
        """The MonetDB server of ``--dsn`` with its password, mode 0600; absent where the database is our own."""
        return self.root / "external.json"

    @property
    def tls(self) -> Path:
        """The experiment's certificate authority and the broker's certificate."""
        return self.root / "tls"

    @property
    def broker(self) -> Path:
        """Configuration of the broker."""
        return self.root / "broker"

    @property
    def unfinished(self) -> Path:
        """Exists while the database is made for the first time: one that was interrupted may never open."""
        return self.root / "database" / "unfinished"

    @property
    def farm(self) -> Path:
        """The database proper; the folder's name is the database's name."""
        return self.root / "database" / DATABASE_NAME

    @property
    def prepared(self) -> Path:
        """Which version of the schema the database is known to have."""
        return self.root / "run" / "schema"

    def log(self, child: str) -> Path:
        """Log file of a child."""
        return self.root / "log" / f"{child}.log"

    def make(self) -> None:
        """Create the folders.

        Raises:
            ProvenanceError: they cannot be made.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
            for name in ("run", "log", "broker", "database"):
                (self.root / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ProvenanceError(
                "the data folder cannot be made", where=str(self.root), why=error.strerror, hint="Choose another --data"
            ) from error

    def passwords(self) -> dict[str, str]:
        """Internal passwords by user, generated once.

        Raises:
            ProvenanceError: the file cannot be read.
        """
        if not self.secrets.exists():
            names = (ADMIN, READER, BROKER_USER)
            made = {name: secrets.token_urlsafe(24) for name in names}
            write_private(self.secrets, json.dumps(made), durable=True)
        found: dict[str, str] = read_json(self.secrets)
        return found


ADMIN = "monetdb"
"""Database user of translator, dump and schema changes."""

READER = "reader"
"""Database user of queries: it can only read."""

BROKER_USER = "e2c-service"
"""Broker user of the translator and the health check."""


def write_private(path: Path, text: str, *, durable: bool = False) -> None:
    """Write a file whole or not at all, mode 0600 from the first byte.

    Args:
        durable: it outlives a power cut from now on.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(descriptor)
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document whole or not at all."""
    write_private(path, json.dumps(value))


def read_json(path: Path) -> Any:
    """Read a JSON document.

    Raises:
        ProvenanceError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ProvenanceError(
            "no provenance service has run here", where=str(path), hint="Start one: python -m e2c.provenance serve"
        ) from error
    except (OSError, ValueError) as error:
        raise ProvenanceError("the file cannot be read", where=str(path), why=str(error)) from error
