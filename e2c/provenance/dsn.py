"""Where an existing MonetDB server is: ``--dsn``."""

from __future__ import annotations

import json
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from e2c.errors import ProvenanceError
from e2c.provenance.addresses import bracketed
from e2c.provenance.folder import DataFolder, read_json, write_private

VARIABLE = "E2C_PROVENANCE_DSN"
DEFAULT_PORT = 50000
SCHEME = "monetdb"
FORM = "monetdb://user:password@host:port/database"


@dataclass(frozen=True)
class Server:
    """A MonetDB server and the user by which the service works on it."""

    host: str
    port: int
    database: str
    user: str
    password: str

    def url(self) -> str:
        """Where it is, without user and password."""
        return f"{SCHEME}://{bracketed(self.host)}:{self.port}/{self.database}"


def keep(folder: DataFolder, server: Server | None) -> None:
    """Write a server into the data folder, mode 0600: translator and queries find it there. None forgets it."""
    if server is None:
        folder.external.unlink(missing_ok=True)
    else:
        write_private(folder.external, json.dumps(asdict(server)), durable=True)


def kept(folder: DataFolder) -> Server | None:
    """The server that a data folder works on; None when its database is its own.

    Raises:
        ProvenanceError: the file cannot be read.
    """
    return Server(**read_json(folder.external)) if folder.external.exists() else None


def asked(option: str | None, environment: MutableMapping[str, str]) -> Server | None:
    """The server that ``--dsn`` or the environment names; the variable is removed, so that no child inherits it.

    Args:
        option: path of a file (mode 0600) that holds the URL, or a URL without a password.

    Raises:
        ProvenanceError: not such a URL, a password on the command line, or a file that others can read.
    """
    text = environment.pop(VARIABLE, None)
    if option is None:
        return _parse(text, f"${VARIABLE}") if text else None
    if "://" in option:
        if urlsplit(option).password is not None:
            raise ProvenanceError(
                "--dsn holds a password, and everybody on this machine can read a command line",
                hint=f"Write the URL into a file of mode 0600 and give its path, or set ${VARIABLE} instead",
            )
        return _parse(option, "--dsn")
    path = Path(option)
    try:
        others = path.stat().st_mode & 0o077
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ProvenanceError(
            "--dsn is neither a URL nor a file that can be read", where=option, why=why, hint=f"Its form is {FORM}"
        ) from error
    if others:
        raise ProvenanceError("--dsn holds a password but others can read it", where=option, hint=f"chmod 600 {option}")
    return _parse(text.strip(), option)


def _parse(text: str, where: str) -> Server:
    """The text itself is never shown: it may hold a password."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise ProvenanceError("not the URL of a MonetDB server", where=where, hint=f"Its form is {FORM}") from error
    database = unquote(parts.path.strip("/"))
    if parts.scheme != SCHEME or not host or not database or "/" in database or parts.query or parts.fragment:
        raise ProvenanceError("not the URL of a MonetDB server", where=where, hint=f"Its form is {FORM}")
    if not parts.username or parts.password is None:
        raise ProvenanceError(
            f"the URL names no {'password' if parts.username else 'user'}",
            where=where,
            hint=f"Write {FORM} into a file of mode 0600 and give its path, or set ${VARIABLE}",
        )
    return Server(host, port, database, unquote(parts.username), unquote(parts.password))
