"""Names and addresses of a local testbed: pure, from the experiment's identity and the hosts' service keys."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import count

from e2c.errors import TestbedError
from e2c.model.frozen import Frozen

Subnet = IPv4Network | IPv6Network

DEVICE = "eth0"
"""Name of the hosts' interface. Without a dash: Ansible's facts hide interfaces whose name has one."""

_POOLS = tuple(IPv4Network(text) for text in ("10.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"))
"""Where testbeds' subnets come from: private ranges (RFC 1918), then the range for benchmarks (RFC 2544)."""

_FIRST_HOST = 11
_MOST_HOSTS = 1000
_SHORTEST = {4: 8, 6: 17}
"""Routes with a shorter prefix stand for "everything else" (a default route, its two halves, all of fc00::/7): ours,
being longer, wins over them and takes nothing from them."""


class HostLayout(Frozen):
    """One host.

    Attributes:
        index: from 1, in the order of the plan; names its folder and its port in the hub.
        key: its service key.
        hostname: the key with dashes, as a host name (RFC 1123).
        v4, v6: its addresses, without prefix length.
    """

    index: int
    key: str
    hostname: str
    v4: str
    v6: str | None

    @property
    def port(self) -> str:
        """The hub's end of the host's cable."""
        return f"h{self.index}"


class Layout(Frozen):
    """A testbed.

    Attributes:
        testbed: its id, also the name of the controller's interface.
        net4, net6: its subnets; ``net6`` is ``None`` where the kernel has no IPv6.
        controller4, controller6: the controller's addresses there, without prefix length.
    """

    testbed: str
    net4: str
    net6: str | None
    controller4: str
    controller6: str | None
    hosts: tuple[HostLayout, ...]

    @property
    def prefix4(self) -> int:
        return IPv4Network(self.net4).prefixlen

    @property
    def prefix6(self) -> int | None:
        return IPv6Network(self.net6).prefixlen if self.net6 else None

    def etc_hosts(self) -> str:
        """``/etc/hosts`` of every host: all hosts by host name and by service key, and the controller."""
        lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
        named = [(self.controller4, self.controller6, "controller")]
        named += [(host.v4, host.v6, f"{host.hostname} {host.key}") for host in self.hosts]
        for v4, v6, names in named:
            lines.append(f"{v4} {names}")
            if v6:
                lines.append(f"{v6} {names}")
        return "\n".join(lines) + "\n"


def short_id(experiment: str) -> str:
    """Short id of an experiment's testbed: ``e2c-`` and six hexadecimal digits (interface names have 15 characters)."""
    return f"e2c-{hashlib.sha256(experiment.encode()).hexdigest()[:6]}"


def hostnames(keys: Sequence[str]) -> list[str]:
    """A distinct host name (RFC 1123 label, at most 63 characters) for each service key, in order."""
    taken = {"localhost", "controller"}
    names = []
    for key in keys:
        plain = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:63].rstrip("-") or "host"
        name = plain
        for number in count(2):
            if name not in taken:
                break
            name = f"{plain[: 62 - len(str(number))]}-{number}"
        taken.add(name)
        names.append(name)
    return names


def draw(testbed: str, keys: Sequence[str], *, taken: Iterable[Subnet], ipv6: bool) -> Layout:
    """Choose names and addresses that collide with nothing in ``taken``.

    The same testbed, keys and surroundings give the same layout.

    Raises:
        TestbedError: too many hosts, or no free subnet.
    """
    if len(keys) > _MOST_HOSTS:
        raise TestbedError(
            f"{len(keys)} hosts are asked of the local testbed, which has room for {_MOST_HOSTS}",
            hint="Lower the quantities in layers_services.yaml",
        )
    taken = tuple(taken)
    net4 = _first_free(_candidates4(testbed, 24 if len(keys) <= 200 else 21), taken)
    net6 = _first_free(_candidates6(testbed), taken) if ipv6 else None
    hosts = tuple(
        HostLayout(
            index=index,
            key=key,
            hostname=name,
            v4=str(net4[_FIRST_HOST + index - 1]),
            v6=str(net6[_FIRST_HOST + index - 1]) if net6 else None,
        )
        for index, (key, name) in enumerate(zip(keys, hostnames(keys), strict=True), start=1)
    )
    return Layout(
        testbed=testbed,
        net4=str(net4),
        net6=str(net6) if net6 else None,
        controller4=str(net4[1]),
        controller6=str(net6[1]) if net6 else None,
        hosts=hosts,
    )


def _number(testbed: str, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{testbed} {what}".encode()).digest()[:8], "big")


def _candidates4(testbed: str, prefix: int) -> Iterator[Subnet]:
    for pool in _POOLS:
        room = 1 << (prefix - pool.prefixlen)
        start = _number(testbed, str(pool))
        for step in range(room):
            base = int(pool.network_address) + ((start + step) % room << (32 - prefix))
            yield IPv4Network((base, prefix))


def _candidates6(testbed: str) -> Iterator[Subnet]:
    """Unique local prefixes (RFC 4193): fd, 40 hashed bits, subnet 0."""
    for attempt in range(64):
        yield IPv6Network(((0xFD << 120) | ((_number(testbed, f"v6 {attempt}") & ((1 << 40) - 1)) << 80), 64))


def _first_free(candidates: Iterator[Subnet], taken: Sequence[Subnet]) -> Subnet:
    for candidate in candidates:
        if not any(_overlap(candidate, other) for other in taken):
            return candidate
    raise TestbedError(
        "no private subnet is free for the local testbed",
        why="the machine's routes cover them all",
        hint="Look at `ip route show table all`; close a VPN that takes all private addresses",
    )


def _overlap(one: Subnet, other: Subnet) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def subnets(texts: Iterable[str]) -> list[Subnet]:
    """Parse addresses or routes as ``ip -json`` prints them; words and default-like routes are left out."""
    found: list[Subnet] = []
    for text in texts:
        try:
            found.append(ip_network(text, strict=False))
        except ValueError:
            continue
    return [net for net in found if net.prefixlen >= _SHORTEST[net.version]]
