"""The broker: a mosquitto with passwords, access rules and one listener for each address."""

from __future__ import annotations

import errno
import json
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from e2c.errors import MissingToolError, ProvenanceError
from e2c.provenance import addresses
from e2c.provenance.folder import BROKER_USER, DataFolder, write_private
from e2c.provenance.serving.tls import Identity

DEVICE_USER = "device"
"""Broker user for devices when no ``--clients`` are given."""

RUNNING = re.compile(r"mosquitto version \S+ running")
"""What the broker says once all its listeners are open."""

MAX_QUEUED_BYTES = 256 << 20
"""What the broker keeps while the database is away; what is dropped beyond that, the clients send again."""

TAKEN = "Address already in use"
"""What the broker says when somebody else was faster."""

_SERVER_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
_USER = re.compile(r"[^\s:/+#\x00-\x1f\x7f]{1,256}")


@dataclass(frozen=True)
class Listeners:
    """Where the broker accepts connections.

    Args:
        tls: what it shows its clients; None: they connect in plain text.
        local_port: with TLS, the port on loopback that the service itself uses.
    """

    binds: tuple[str, ...]
    port: int
    tls: Identity | None = None
    local_port: int = 0

    def urls(self) -> list[str]:
        """One ``mqtt://address:port`` for each address; ``mqtts`` with TLS, and its name if it is for no address."""
        if self.tls is None:
            return [f"mqtt://{addresses.bracketed(bind)}:{self.port}" for bind in self.binds]
        if self.tls.name is not None:
            return [f"mqtts://{self.tls.name}:{self.port}"]
        return [f"mqtts://{addresses.bracketed(bind)}:{self.port}" for bind in self.binds]

    def local(self) -> tuple[str, int]:
        """Address and port at which the service itself reaches the broker, without TLS."""
        if self.tls is not None:
            return addresses.LOOPBACKS[0], self.local_port
        return addresses.reachable(self.binds[0]), self.port


def find(name: str = "mosquitto") -> str:
    """Path of mosquitto or mosquitto_passwd.

    Raises:
        MissingToolError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        # Debian keeps servers in sbin, which the PATH of an ordinary user lacks.
        elsewhere = shutil.which(name, path=_SERVER_FOLDERS)
        raise MissingToolError(
            f"{name} is not {'on PATH' if elsewhere else 'installed'}",
            why=f"it is {elsewhere}" if elsewhere else "the provenance service needs it",
            hint="Add its folder to PATH" if elsewhere else "Install it: apt-get install mosquitto",
        )
    return path


def choose(binds: Sequence[str], port: int) -> Listeners:
    """Check that the broker can listen where it is asked to; port 0 means a free one, no addresses mean loopback.

    Raises:
        ProvenanceError: an address is not one of this host, or the port is taken.
    """
    chosen = addresses.checked(binds) or addresses.LOOPBACKS[: 2 if _has_v6() else 1]
    for address in chosen:
        refusal = _refusal(address, port)
        if refusal is not None:
            raise refusal
    if port:
        return Listeners(chosen, port)
    for _ in range(20):
        free = _free_port(chosen[0])
        if not any(_refusal(address, free) for address in chosen):
            return Listeners(chosen, free)
    raise ProvenanceError("no port is free on all addresses", where=", ".join(chosen))


def secured(listeners: Listeners, identity: Identity) -> Listeners:
    """The same addresses with TLS, and a plain port on loopback for the service itself."""
    while (local_port := _free_port(addresses.LOOPBACKS[0])) == listeners.port:
        continue
    return replace(listeners, tls=identity, local_port=local_port)


def configure(folder: DataFolder, listeners: Listeners, clients: Mapping[str, str]) -> list[str]:
    """Write configuration, passwords and access rules.

    Args:
        clients: password of each broker user for devices.

    Returns:
        The command that starts the broker in the foreground.

    Raises:
        MissingToolError: mosquitto is not installed.
        ProvenanceError: a user name cannot be one.
    """
    program = find()
    root = folder.broker
    for user, password in clients.items():
        _check_account(user, password)
    accounts = {**clients, BROKER_USER: folder.passwords()[BROKER_USER]}
    _write_passwords(root / "passwords", accounts)
    rules = [
        f"user {BROKER_USER}",
        "topic read provlight/#",
        "topic write provlight-ack/#",
        "",
        "pattern write provlight/+/%u/#",
        "pattern read provlight-ack/%u/#",
    ]
    write_private(root / "access", "\n".join(rules) + "\n")
    lines = [
        "per_listener_settings false",
        "allow_anonymous false",
        f"password_file {root / 'passwords'}",
        f"acl_file {root / 'access'}",
        "user root",  # only as root: the files above are readable by their owner alone
        # What is not in the database is sent again by the client: nothing has to survive here.
        "persistence false",
        "max_queued_messages 0",
        f"max_queued_bytes {MAX_QUEUED_BYTES}",
        "max_inflight_messages 200",
        "set_tcp_nodelay true",  # else an acknowledgement waits 40 ms for company
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",  # holds the line that says it is ready
        "connection_messages false",
        "sys_interval 0",
    ]
    for bind in listeners.binds:
        lines.append(f"listener {listeners.port} {bind}")
        if listeners.tls is not None:
            lines += [f"certfile {listeners.tls.certificate}", f"keyfile {listeners.tls.key}"]
    if listeners.tls is not None:
        lines.append("listener {1} {0}".format(*listeners.local()))
    write_private(root / "mosquitto.conf", "\n".join(lines) + "\n")
    return [program, "-c", str(root / "mosquitto.conf")]


def read_clients(path: Path) -> dict[str, str]:
    """Broker users for devices: JSON ``{user: password}``, mode 0600.

    Raises:
        ProvenanceError: unreadable, readable by others, or not such a file.
    """
    try:
        mode = path.stat().st_mode & 0o077
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProvenanceError("--clients cannot be read", where=str(path), why=str(error)) from error
    if mode:
        raise ProvenanceError("--clients holds passwords but others can read it", where=str(path), hint="chmod 600 it")
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ProvenanceError("--clients must be a JSON object of user names and passwords", where=str(path))
    for user, password in value.items():
        _check_account(user, password)
    return value


def device_account(folder: DataFolder) -> dict[str, str]:
    """The one account for devices when none are given, generated once; ProvLight reads the file."""
    if not folder.credentials.exists():
        write_private(folder.credentials, f"{DEVICE_USER}\n{secrets.token_urlsafe(24)}\n", durable=True)
    user, password = folder.credentials.read_text(encoding="utf-8").splitlines()[:2]
    return {user: password}


def _check_account(user: str, password: str) -> None:
    if not _USER.fullmatch(user) or user == BROKER_USER:
        raise ProvenanceError(
            f"{user!r} cannot be a broker user",
            why="blanks and the characters : / + # have a meaning there, and the service's own name is taken",
        )
    if not password or any(character in password for character in "\n\r\0"):
        raise ProvenanceError(f"the password of broker user {user!r} is empty or has several lines")


def _write_passwords(path: Path, accounts: Mapping[str, str]) -> None:
    """Plain text first, hashed in place: passwords are never on a command line."""
    write_private(path, "".join(f"{user}:{password}\n" for user, password in accounts.items()))
    done = subprocess.run(
        [find("mosquitto_passwd"), "-U", str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode != 0:
        path.unlink()
        raise ProvenanceError("mosquitto_passwd failed", why=done.stderr.strip() or f"exit code {done.returncode}")
    path.chmod(0o600)


def _has_v6() -> bool:
    return _refusal("::1", 0) is None


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if addresses.is_v6(address) else socket.AF_INET


def _probe(address: str) -> socket.socket:
    probe = socket.socket(_family(address), socket.SOCK_STREAM)
    # As mosquitto does it, so that connections of an earlier life do not count.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return probe


def _free_port(address: str) -> int:
    with _probe(address) as probe:
        probe.bind(addresses.socket_address(address, 0))
        port: int = probe.getsockname()[1]
        return port


def _refusal(address: str, port: int) -> ProvenanceError | None:
    try:
        with _probe(address) as probe:
            probe.bind(addresses.socket_address(address, port))
            probe.listen(1)
    except OSError as error:
        shown = addresses.bracketed(address)
        if error.errno == errno.EADDRINUSE:
            return ProvenanceError(
                f"port {port} is taken",
                where=shown,
                why="another program listens there, perhaps a broker",
                hint="Stop it, or choose another port with --mqtt-port",
            )
        return ProvenanceError(
            f"the broker cannot listen on {shown}:{port}", why=error.strerror, hint="Check --bind and --mqtt-port"
        )
    return None
