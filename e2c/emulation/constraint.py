"""What one interface of a host must do for a link: pure, from planned links and acquired hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from e2c.errors import EmulationError
from e2c.model.frozen import Frozen
from e2c.model.host import Host
from e2c.model.link import LEAST_MS, LinkValues, PlannedChange, PlannedLink

UNLIMITED_KBIT = 100_000_000
"""What a class without a rate limit gets: more than any interface here has."""


Way = Literal["there", "back"]
Direction = tuple[str, str]
"""Service keys of the host that sends and of the one that receives."""


class Exemption(Frozen):
    """TCP traffic that passes a link without being shaped.

    Attributes:
        port: TCP port.
        end: whose port it is, that of the host which sends (``src``) or of the one which receives (``dst``).
    """

    port: int
    end: Literal["src", "dst"]


Exempt = Callable[[str, str], tuple[Exemption, ...]]
"""What is exempt on the way from one host to another, by their service keys."""


def nothing_exempt(*_: str) -> tuple[Exemption, ...]:
    """Everything is shaped."""
    return ()


class Constraint(LinkValues):
    """Traffic that one interface sends to one host; the values of :class:`LinkValues`, and these.

    Attributes:
        source, destination: service keys.
        device: interface of the source.
        v4, v6: the destination's addresses, without prefix length; traffic to either is shaped.
        exempt: traffic that is not.
        rule: position of the rule it comes from, from 0; -1 where only a change names the pair.
        src, dst, symmetric: the rule as written.
        way: whether the pair goes the way that the rule names, or ``back``.
    """

    source: str
    destination: str
    device: str
    v4: str | None
    v6: str | None
    exempt: tuple[Exemption, ...] = ()
    rule: int
    src: str
    dst: str
    symmetric: bool
    way: Way = "there"

    @property
    def targets(self) -> tuple[str, ...]:
        """The destination's addresses."""
        return tuple(address for address in (self.v4, self.v6) if address)

    @property
    def delay(self) -> str:
        """For netem, always in milliseconds: ``28ms``."""
        return f"{_number(self.delay_ms or 0)}ms"

    @property
    def jitter(self) -> str | None:
        """For netem: ``2ms``, or ``None``."""
        jitter_ms = self.jitter_ms or 0
        return f"{_number(jitter_ms)}ms" if jitter_ms >= LEAST_MS else None

    @property
    def spread(self) -> str | None:
        """The table of ``tc`` that spreads the jitter; ``None`` without jitter, and where it is uniform."""
        return self.distribution if self.jitter and self.distribution != "uniform" else None

    @property
    def rate(self) -> str:
        """For htb: ``1gbit``; without a limit, more than any interface here has."""
        rate_kbit = UNLIMITED_KBIT if self.rate_kbit is None else self.rate_kbit
        for unit, size in (("gbit", 1_000_000), ("mbit", 1_000)):
            if rate_kbit >= size and rate_kbit % size == 0:
                return f"{_number(rate_kbit / size)}{unit}"
        return f"{_number(rate_kbit)}kbit"

    @property
    def lost_percent(self) -> float:
        """Share of packets that do not arrive: all where the link is down."""
        return 100.0 if self.down else self.loss_percent or 0.0

    @property
    def loss(self) -> str | None:
        """For netem: ``0.1%``, or ``None``."""
        return f"{_number(self.lost_percent)}%" if self.lost_percent else None


def percent(value: float | None) -> str:
    """For netem: ``0.1%``; nothing is ``0%``."""
    return f"{_number(value or 0)}%"


def _number(value: float) -> str:
    """A plain decimal, never with an exponent, which ``tc`` would not read."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def constraints(
    links: Iterable[PlannedLink], hosts: Iterable[Host], exempt: Exempt = nothing_exempt
) -> tuple[Constraint, ...]:
    """All constraints, in the order of their rules.

    All rules apply, also several from one source. Where two rules shape the same pair of hosts in the same direction,
    the later one in the file wins, whole. ``symmetric`` rules shape the way back too, and ``back`` says how. A host is
    never shaped towards itself.

    Raises:
        EmulationError: a rule names a host that has no interface or no address in the experiment's network.
    """
    known = {host.key: host for host in hosts}
    won: dict[Direction, list[Constraint]] = {}
    for number, link in enumerate(links):
        for way, direction in _directions(link):
            values = link.back if way == "back" and link.back is not None else link
            ends = _ends(known, direction, link)
            won.pop(direction, None)
            won[direction] = _between(number, link, way, values, ends, exempt)
    return tuple(constraint for made in won.values() for constraint in made)


def changed(
    asked: Sequence[Constraint], change: PlannedChange, hosts: Iterable[Host], exempt: Exempt = nothing_exempt
) -> tuple[Constraint, ...]:
    """The constraints after a change, each pair in its place; pairs that no rule shapes come last.

    Raises:
        EmulationError: the change names a host that cannot be shaped, or values that do not go with those of a link.
    """
    known = {host.key: host for host in hosts}
    after: dict[Direction, list[Constraint]] = {}
    for constraint in asked:
        after.setdefault((constraint.source, constraint.destination), []).append(constraint)
    for way, direction in _directions(change):
        before = after.get(direction)
        values = change.over(before[0] if before else LinkValues())
        if values.fault is not None:
            raise EmulationError(
                f"the link from {direction[0]} to {direction[1]} cannot be changed",
                why=values.fault[1],
                hint="Give both values in the change",
            )
        if before:
            after[direction] = [one.model_copy(update=values.named) for one in before]
        else:
            after[direction] = _between(-1, change, way, values, _ends(known, direction, change), exempt)
    return tuple(constraint for made in after.values() for constraint in made)


def concerned(asked: Iterable[Constraint], change: PlannedChange) -> tuple[Constraint, ...]:
    """Those of the constraints that a change names."""
    named = {direction for _, direction in _directions(change)}
    return tuple(one for one in asked if (one.source, one.destination) in named)


def _directions(link: PlannedLink | PlannedChange) -> Iterator[tuple[Way, Direction]]:
    """Every pair that a link names, once, with the way that it goes."""
    both = link.symmetric or (isinstance(link, PlannedLink) and link.back is not None)
    ways: tuple[Way, ...] = ("there", "back") if both else ("there",)
    seen = set()
    for source in link.sources:
        for destination in link.destinations:
            for way in ways:
                pair = (source, destination) if way == "there" else (destination, source)
                if source != destination and pair not in seen:
                    seen.add(pair)
                    yield way, pair


def _ends(known: Mapping[str, Host], direction: Direction, link: PlannedLink | PlannedChange) -> tuple[Host, Host]:
    source, destination = (_shapeable(known, key, link) for key in direction)
    return source, destination


def _shapeable(known: Mapping[str, Host], key: str, link: PlannedLink | PlannedChange) -> Host:
    host = known.get(key)
    if host is None or not host.interfaces or not (host.addresses.v4 or host.addresses.v6):
        raise EmulationError(
            f"the link from {link.src} to {link.dst} cannot be shaped",
            where=key,
            why="that host is not acquired" if host is None else "its network interface is not known",
            hint="Name hosts with an address in the experiment's network in network.yaml",
        )
    return host


def _between(
    number: int,
    link: PlannedLink | PlannedChange,
    way: Way,
    values: LinkValues,
    ends: tuple[Host, Host],
    exempt: Exempt,
) -> list[Constraint]:
    source, destination = ends
    return [
        Constraint(
            source=source.key,
            destination=destination.key,
            device=interface.device,
            v4=destination.addresses.v4,
            v6=destination.addresses.v6,
            exempt=exempt(source.key, destination.key),
            rule=number,
            src=link.src,
            dst=link.dst,
            symmetric=link.symmetric,
            way=way,
            **values.named,
        )
        for interface in source.interfaces
    ]
