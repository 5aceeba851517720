"""Jump hosts: machines that ssh goes through.

``ssh -J`` does not pass the key on to the jump host, so the way through is a ``ProxyCommand`` of our own. Hosts that
share a jump host, a key and a folder for sockets share one connection to it.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence

from e2c.model.host import Host


def parse(jump: str) -> tuple[str | None, str, int]:
    """User (``None``: whoever ssh would take), host and port of ``[user@]host[:port]``; ``[address]`` for IPv6."""
    user, _, place = jump.rpartition("@")
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    elif place.count(":") > 1:
        host, port = place, ""
    else:
        host, _, port = place.partition(":")
    return user or None, host, int(port or 22)


def mark(host: Host) -> str:
    """What tells the sockets of hosts behind a jump host from those of others: empty without one."""
    return f"-{_digest(host)[:6]}" if host.jump else ""


def socket(host: Host) -> str | None:
    """Socket of the shared connection to a host's jump host; ``None`` where it has none, or where nothing is shared."""
    return f"{host.control_dir}/jump-{_digest(host)[:12]}" if host.jump and host.control_dir else None


def proxy_command(host: Host, options: Sequence[str]) -> str:
    """The ``ProxyCommand`` that goes through a host's jump host.

    Args:
        host: a host with a jump host.
        options: options of its own connection that hold for that to the jump host too, its key among them.
    """
    words = [*_reach(host, options), "-W", "[%h]:%p", _place(host)]
    # ssh expands what follows a percent sign: only the target is meant to be
    return " ".join(word if word == "[%h]:%p" else shlex.quote(word).replace("%", "%%") for word in words)


def master_command(host: Host, options: Sequence[str]) -> list[str]:
    """The command that opens the shared connection to a host's jump host and leaves it in the background."""
    return [*_reach(host, options), "-fN", _place(host)]


def _reach(host: Host, options: Sequence[str]) -> list[str]:
    user, _, port = parse(host.jump or "")
    words = ["ssh", "-o", "BatchMode=yes", *options, "-p", str(port)]
    if user:
        words += ["-l", user]
    path = socket(host)
    if path:
        words += ["-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", f"ControlPath={path}"]
    return words


def _place(host: Host) -> str:
    return parse(host.jump or "")[1]


def _digest(host: Host) -> str:
    return hashlib.sha256(f"{host.jump}\0{host.keyfile}".encode()).hexdigest()
