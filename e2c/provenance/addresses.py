"""Addresses: those a user may ask for, those this host has, and how they are written in URLs."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

from e2c.errors import ProvenanceError

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
"""Addresses that mean all of a family, and the one at which such a listener is reached on this host."""

LOOPBACKS = ("127.0.0.1", "::1")


def checked(binds: Sequence[str], option: str = "--bind") -> tuple[str, ...]:
    """Addresses in their usual spelling, each once; one that another covers is left out.

    A host name is refused: it may stand for several addresses, and for others tomorrow.

    Raises:
        ProvenanceError: not an IP address.
    """
    found: dict[str, None] = {}
    for text in binds:
        try:
            found[str(ipaddress.ip_address(text.strip("[]")))] = None
        except ValueError as error:
            raise ProvenanceError(
                f"{option} {text} is not an IP address",
                hint="Give 127.0.0.1, ::1, an address of this host, or 0.0.0.0 or :: for all of a family",
            ) from error
    return tuple(
        one
        for one in found
        if one in WILDCARDS or not any(is_v6(one) == is_v6(all_) for all_ in found if all_ in WILDCARDS)
    )


def is_v6(address: str) -> bool:
    """Whether an address is one of IPv6."""
    return ":" in address


def bracketed(address: str) -> str:
    """An address as it stands before a port."""
    return f"[{address}]" if is_v6(address) else address


def reachable(address: str) -> str:
    """Where this host reaches a listener on an address."""
    return WILDCARDS.get(address, address)


def expanded(binds: Sequence[str]) -> tuple[str, ...]:
    """Addresses at which listeners are reached: a wildcard stands for all addresses that the host has now."""
    found: dict[str, None] = {}
    for address in binds:
        if address in WILDCARDS:
            found.update(dict.fromkeys(one for one in host_addresses() if is_v6(one) == is_v6(address)))
        else:
            found[address] = None
    return tuple(found)


def host_addresses() -> tuple[str, ...]:
    """Addresses of this host without link-local ones, loopback first."""
    found = dict.fromkeys(LOOPBACKS)
    with suppress(OSError):
        lines = Path("/proc/net/fib_trie").read_text().splitlines()
        for before, line in pairwise(lines):
            if "host LOCAL" in line:
                found[before.split()[-1]] = None
    with suppress(OSError):  # a host without IPv6
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            found[socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0]))] = None
    return tuple(one for one in found if not ipaddress.ip_address(one).is_link_local)


def socket_address(address: str, port: int) -> Any:
    """What ``bind`` takes: with the zone of a link-local address as a number."""
    return socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]


def endpoint(text: str, option: str) -> tuple[str, int]:
    """``PORT`` on loopback, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``.

    Raises:
        ProvenanceError: neither of them.
    """
    address, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (":" in address and not address.startswith("[")):
        raise ProvenanceError(f"{option} {text} is not PORT, ADDRESS:PORT or [ADDRESS]:PORT")
    return checked((address,), option)[0] if address else LOOPBACKS[0], int(port)
