"""What ``tc`` says about an interface: pure parsing of its listings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

from e2c.emulation.commands import (
    COPY_PREFS,
    DISTRIBUTIONS,
    EXEMPT_PREFS,
    FIRST_LEAF,
    MARK,
    NEIGHBOURS,
    PREFS,
    RANGE,
    RECORD,
)
from e2c.emulation.constraint import UNLIMITED_KBIT, Exemption

_TIME_MS = {"ns": 1e-6, "us": 0.001, "ms": 1.0, "s": 1000.0}
_RATE_KBIT = {"bit": 0.001, "Kbit": 1.0, "Mbit": 1e3, "Gbit": 1e6, "Tbit": 1e9}
_TIME = r"([\d.]+(?:e\+?\d+)?)(ns|us|ms|s)\b"
_SHARE = r"([\d.]+(?:e-?\d+)?)%"
_SHARES = ("loss", "reorder", "corrupt")
_HARMLESS = re.compile(r"qdisc (ingress|clsact) |filter parent 1: protocol \S+ pref \d+ u32\b(?!.*flowid)")
"""What concerns arriving packets only, and the tables that filters of one rank share."""
_FILTER = re.compile(
    r"filter parent 1: protocol (\S+) pref (\d+) u32 .*\bfh ([0-9a-f]+:[0-9a-f]*:[0-9a-f]+) .*flowid (\S+)"
)
_WHOLE = 0xFFFFFFFF
_TCP = {"ip": (8, 0x00060000, 0x00FF0000), "ipv6": (4, 0x00000600, 0x0000FF00)}
_PORTS = {"ip": 20, "ipv6": 40}
"""Where an IPv4 and an IPv6 header hold the protocol, and where the TCP header of one without options has its ports."""
_ADDRESS = {"ip": (16,), "ipv6": (24, 28, 32, 36)}
"""Where the destination address lies in an IPv4 and in an IPv6 header, in bytes."""


@dataclass(frozen=True)
class Shape:
    """What happens to packets for one destination.

    Attributes:
        delay_ms, jitter_ms, loss_percent, duplicate_percent, reorder_percent, corrupt_percent, limit_packets,
            rate_kbit: as ``tc`` reports them, times in three digits.
        distribution: the table that spreads the jitter, told by the number of the netem; ``None``: uniform.
        words: its own words; no rate where it is that of a class without a limit.
    """

    delay_ms: float
    loss_percent: float
    rate_kbit: float
    words: str
    jitter_ms: float = 0.0
    distribution: str | None = None
    duplicate_percent: float = 0.0
    reorder_percent: float = 0.0
    corrupt_percent: float = 0.0
    limit_packets: int = 0

    def duplicating(self, share: float) -> Shape:
        """The same with duplicates, in percent, which another interface makes."""
        return replace(self, duplicate_percent=share, words=f"{self.words} duplicate {share:.6g}%")


@dataclass(frozen=True)
class Filter:
    """A filter of an interface.

    Attributes:
        handle: what ``tc`` calls it.
        protocol: ``ip`` or ``ipv6``.
        pref: its rank.
        address: the destination that it concerns.
        number: the class that it leads to; ``None``: to none, for it exempts traffic.
        exempt: the traffic that it exempts.
        copier: the interface that it sends copies to.
    """

    handle: str
    protocol: str
    pref: int
    address: str
    number: int | None = None
    exempt: Exemption | None = None
    copier: str | None = None


@dataclass(frozen=True)
class Layout:
    """How an interface is shaped.

    Attributes:
        bare: nothing shapes it.
        ours: it is shaped as :mod:`e2c.emulation.commands` does, and by nothing else.
        shapes: per class.
        leaves: number of the netem per class.
        filters: all filters but those for neighbours.
        record: what each class and its netem were told, where that was kept.
    """

    bare: bool
    ours: bool = False
    shapes: Mapping[int, Shape] = field(default_factory=dict)
    leaves: Mapping[int, int] = field(default_factory=dict)
    filters: tuple[Filter, ...] = ()
    record: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def targets(self) -> dict[int, frozenset[str]]:
        """The addresses that lead to each class."""
        return {
            number: frozenset(one.address for one in self.filters if one.number == number) for number in self.shapes
        }

    @property
    def by_address(self) -> dict[str, Shape]:
        """What happens to packets by destination; one without netem is not in it, for nothing would delay these."""
        return {
            one.address: self.shapes[one.number]
            for one in self.filters
            if one.number is not None and one.number in self.shapes
        }

    @property
    def copied(self) -> dict[str, str]:
        """The addresses of whose packets copies are made, and the interface that these go to."""
        return {one.address: one.copier for one in self.filters if one.copier is not None}


def layout(text: str) -> Layout:
    """How an interface is shaped, from its listing, with what was kept on the host before it."""
    reading = _Reading()
    for line in text.splitlines():
        reading.read(line)
    return reading.layout()


class _Reading:
    """A listing, line by line."""

    def __init__(self) -> None:
        self.roots: list[str] = []
        self.known = True
        self.netems: dict[int, tuple[int, str]] = {}
        self.rates: dict[int, tuple[float, str]] = {}
        self.filters: list[Filter] = []
        self.neighbours: set[int] = set()
        self.record: dict[int, tuple[str, str]] = {}
        self.open: tuple[str, str, int, str] | None = None
        self.matches: dict[int, tuple[int, int]] = {}
        self.mark: tuple[int, int] | None = None
        self.copier: str | None = None

    def read(self, line: str) -> None:
        if line.startswith(("  ", "\t")):
            self._detail(line)
            return
        self._close()
        if found := re.match(rf"{RECORD}1:([0-9a-f]{{1,4}}) (.*) \| (.*)", line):
            self.record[int(found[1], 16)] = found[2], found[3]
        elif found := re.match(r"qdisc netem ([0-9a-f]{1,4}): parent 1:([0-9a-f]{1,4}) (.*)", line):
            self.netems[int(found[2], 16)] = int(found[1], 16), found[3]
        elif found := re.match(r"qdisc (\S+ [0-9a-f]*:) (?:dev \S+ )?root\b", line):
            self.roots.append(found[1])
            self.known = self.known and (found[1] != "htb 1:" or bool(re.search(r"\bdefault (0x)?0\b", line)))
        elif found := re.match(r"class htb 1:([0-9a-f]{1,4}) root .*?(rate ([\d.]+)([KMGT]?bit))\b", line):
            self.rates[int(found[1], 16)] = float(found[3]) * _RATE_KBIT[found[4]], found[2]
        elif found := _FILTER.match(line):
            self.open = found[1], found[3], int(found[2]), found[4]
        elif line.strip() and not _HARMLESS.match(line):
            self.known = False

    def _detail(self, line: str) -> None:
        """What a filter matches, and the action that it takes."""
        if found := re.match(r"\s+match ([0-9a-f]{8})/([0-9a-f]{8}) at (\d+)", line):
            self.matches[int(found[3])] = int(found[1], 16), int(found[2], 16)
        elif found := re.match(r"\s+mark (0x[0-9a-f]+) (0x[0-9a-f]+)", line):
            self.mark = int(found[1], 16), int(found[2], 16)
        elif found := re.match(r"\s+action order 1: mirred \(Egress Mirror to device (\S+)\) continue", line):
            self.copier = found[1]
        elif not re.match(r"\s+(index \d+ ref|$)", line):
            self.known = False

    def _close(self) -> None:
        """End the filter whose matches were read."""
        if self.open is None:
            return
        protocol, handle, pref, flow = self.open
        matches, self.open, self.matches = self.matches, None, {}
        mark, copier, self.mark, self.copier = self.mark, self.copier, None, None
        kind = matches.get(40, (0, 0))[0] >> 24
        if (protocol, flow) == ("ipv6", "1:") and matches == {4: (0x3A00, 0xFF00), 40: (kind << 24, 0xFF000000)}:
            self.neighbours.add(kind)
            self.known = self.known and pref == EXEMPT_PREFS[protocol]
            return
        address = _address(protocol, matches)
        exempt = _exempt(protocol, matches) if matches else None
        classid = re.fullmatch(r"1:([0-9a-f]{1,4})", flow)
        number = int(classid[1], 16) if classid else 0
        copying = copier is not None and mark == (0, MARK) and not matches and flow == "1:"
        if (mark is not None or copier is not None) and not copying:
            self.known = False
            return
        if address is None or (matches and exempt is None) or (exempt is None and not copying) != bool(number):
            self.known = False
            return
        ranks = COPY_PREFS if copying else PREFS if number else EXEMPT_PREFS
        self.known = self.known and ranks[protocol] == pref
        self.filters.append(Filter(handle, protocol, pref, address, number or None, exempt, copier))

    def layout(self) -> Layout:
        self._close()
        bare = all(root.endswith(" 0:") for root in self.roots) and not self.netems and not self.rates
        classes = {number: self._shape(number) for number in self.netems if number in self.rates}
        leaves = {number: leaf for number, (leaf, _) in self.netems.items()}
        ours = (
            self.known
            and self.roots == ["htb 1:"]
            and self.neighbours == set(NEIGHBOURS)
            and set(self.netems) == set(self.rates)
            and all(leaf % RANGE == FIRST_LEAF + number - 1 for number, leaf in leaves.items())
            and all(one.number is None or one.number in classes for one in self.filters)
        )
        return Layout(bare, ours, classes, leaves, tuple(self.filters), self.record)

    def _shape(self, number: int) -> Shape:
        (leaf, said), (rate_kbit, rate) = self.netems[number], self.rates[number]
        delay = re.search(rf"delay {_TIME}(?: +{_TIME})?", said)
        share = {name: re.search(rf"\b{name} {_SHARE}", said) for name in _SHARES}
        limit = re.search(r"\blimit (\d+)", said)
        table = DISTRIBUTIONS[leaf // RANGE]
        words = [f"delay {delay[1]}{delay[2]}" if delay else ""]
        jitter = bool(delay and delay[3])
        words += [f"jitter {delay[3]}{delay[4]}" if delay and jitter else "", table or "" if jitter else ""]
        words += [part[0] if part else "" for part in share.values()]
        words += [rate if rate_kbit < UNLIMITED_KBIT else ""]
        return Shape(
            delay_ms=float(delay[1]) * _TIME_MS[delay[2]] if delay else 0.0,
            jitter_ms=float(delay[3]) * _TIME_MS[delay[4]] if delay and jitter else 0.0,
            distribution=table,
            limit_packets=int(limit[1]) if limit else 0,
            rate_kbit=rate_kbit,
            words=" ".join(filter(None, words)) or "delay 0ms",
            **{f"{name}_percent": float(part[1]) if part else 0.0 for name, part in share.items()},
        )


def _address(protocol: str, matches: dict[int, tuple[int, int]]) -> str | None:
    """The destination address that a filter asks for, taken out of its matches."""
    places = _ADDRESS.get(protocol, ())
    found = [matches.pop(place, (0, 0)) for place in places]
    if not found or any(mask != _WHOLE for _, mask in found):
        return None
    number = 0
    for value, _ in found:
        number = number << 32 | value
    return str(IPv4Address(number) if protocol == "ip" else IPv6Address(number))


def _exempt(protocol: str, matches: dict[int, tuple[int, int]]) -> Exemption | None:
    """The TCP port that a filter asks for beside the address."""
    place, value, mask = _TCP[protocol]
    port, ports = matches.get(_PORTS[protocol], (0, 0))
    if len(matches) != 2 or matches.get(place) != (value, mask):
        return None
    if ports == 0xFFFF:
        return Exemption(port=port, end="dst")
    return Exemption(port=port >> 16, end="src") if ports == 0xFFFF0000 else None
