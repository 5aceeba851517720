"""Runs EnOSlib's NetemHTB in a process of its own: ``python -m e2c.emulation.enforce``, told by standard input.

Of its own, because EnOSlib runs Ansible inside its caller, whose settings are those of whatever was imported first, and
writes a playbook into the current folder.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
from typing import Any, TypedDict

_PR_SET_PDEATHSIG = 1
_SHOWN = 200  # characters of what one host said
_MOST_HOSTS = 5


class Node(TypedDict):
    """A host as EnOSlib needs it; ``devices`` maps interfaces to addresses with prefix length."""

    key: str
    address: str
    user: str
    port: int
    keyfile: str | None
    extra: dict[str, Any]
    devices: dict[str, list[str]]


class Rule(TypedDict):
    """Between two hosts, one way, in EnOSlib's notation."""

    source: str
    destination: str
    delay: str
    rate: str
    loss: str | None


class Order(TypedDict):
    """What to enforce."""

    nodes: list[Node]
    rules: list[Rule]
    forks: int


def main() -> int:
    """Apply all rules at once; what EnOSlib complains about goes to standard error."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    import enoslib
    from enoslib.errors import EnosError
    from enoslib.objects import DefaultNetwork, IPAddress, NetDevice

    order: Order = json.load(sys.stdin)
    enoslib.set_config(ansible_stdout="noop", ansible_forks=order["forks"])
    hosts = {}
    for node in order["nodes"]:
        devices = {
            NetDevice(name, {IPAddress(address, DefaultNetwork(address)) for address in addresses})
            for name, addresses in node["devices"].items()
        }
        hosts[node["key"]] = enoslib.Host(
            node["address"],
            alias=node["key"],
            user=node["user"],
            port=node["port"],
            keyfile=node["keyfile"],
            extra=node["extra"],
            net_devices=devices,
        )
    service = enoslib.NetemHTB()
    for rule in order["rules"]:
        ends = [hosts[rule["source"]]], [hosts[rule["destination"]]]
        service.add_constraints(*ends, delay=rule["delay"], rate=rule["rate"], loss=rule["loss"])
    try:
        service.deploy()
    except EnosError as error:
        sys.stderr.write(f"{explain(error)}\n")
        return 1
    return 0


def explain(error: Exception) -> str:
    """One line: each host that failed with the last line it said; EnOSlib's own text repeats every command."""
    said = []
    for record in getattr(error, "hosts", []):
        items = record.payload.get("results") or [record.payload]
        lines = [line for item in items for line in str(item.get("stdout") or item.get("msg") or "").splitlines()]
        last = next((line.strip() for line in reversed(lines) if line.strip()), record.status)
        said.append(f"{record.host}: {last[:_SHOWN]}")
    shown = "; ".join(said[:_MOST_HOSTS]) or " ".join(str(error).split())[:_SHOWN]
    return shown + (f"; and {len(said) - _MOST_HOSTS} more hosts" if len(said) > _MOST_HOSTS else "")


if __name__ == "__main__":
    sys.exit(main())
