"""What one interface of a host must do for a link: pure, from planned links and acquired hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from e2c.errors import EmulationError
from e2c.model.frozen import Frozen
from e2c.model.host import Host
from e2c.model.plan import PlannedLink


class Constraint(Frozen):
    """Traffic that one interface sends to one host.

    Attributes:
        source, destination: service keys.
        device: interface of the source.
        v4, v6: the destination's addresses, without prefix length; traffic to either is shaped.
        delay_ms: delay in milliseconds, one way; ``None``: none.
        rate_kbit: rate limit in kilobit per second; ``None``: none.
        loss_percent: probability of loss, 0 to 100; ``None``: none.
        rule: position of the rule it comes from, from 0.
        src, dst, symmetric: the rule as written.
    """

    source: str
    destination: str
    device: str
    v4: str | None
    v6: str | None
    delay_ms: float | None
    rate_kbit: float | None
    loss_percent: float | None
    rule: int
    src: str
    dst: str
    symmetric: bool

    @property
    def targets(self) -> tuple[str, ...]:
        """The destination's addresses."""
        return tuple(address for address in (self.v4, self.v6) if address)

    @property
    def delay(self) -> str:
        """For netem, always in milliseconds: ``28ms``."""
        return f"{_number(self.delay_ms or 0)}ms"

    @property
    def rate(self) -> str:
        """For htb: ``1gbit``; without a limit, more than any interface here has."""
        if self.rate_kbit is None:
            return "100gbit"
        for unit, size in (("gbit", 1_000_000), ("mbit", 1_000)):
            if self.rate_kbit >= size and self.rate_kbit % size == 0:
                return f"{_number(self.rate_kbit / size)}{unit}"
        return f"{_number(self.rate_kbit)}kbit"

    @property
    def loss(self) -> str | None:
        """For netem: ``0.1%``, or ``None``."""
        return f"{_number(self.loss_percent)}%" if self.loss_percent else None


def _number(value: float) -> str:
    """A plain decimal, never with an exponent, which ``tc`` would not read."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def constraints(links: Iterable[PlannedLink], hosts: Iterable[Host]) -> tuple[Constraint, ...]:
    """All constraints, in the order of their rules.

    All rules apply, also several from one source. Where two rules shape the same pair of hosts in the same direction,
    the later one in the file wins, whole. ``symmetric`` rules shape the way back too. A host is never shaped towards
    itself.

    Raises:
        EmulationError: a rule names a host that has no interface or no address in the experiment's network.
    """
    known = {host.key: host for host in hosts}
    won: dict[tuple[str, str], list[Constraint]] = {}
    for number, link in enumerate(links):
        for source, destination in _pairs(link):
            made = _between(number, link, _shapeable(known, source, link), _shapeable(known, destination, link))
            won.pop((source, destination), None)
            won[source, destination] = made
    return tuple(constraint for made in won.values() for constraint in made)


def _pairs(link: PlannedLink) -> Iterator[tuple[str, str]]:
    seen = set()
    for source in link.sources:
        for destination in link.destinations:
            for pair in ((source, destination), (destination, source))[: 2 if link.symmetric else 1]:
                if source != destination and pair not in seen:
                    seen.add(pair)
                    yield pair


def _shapeable(known: dict[str, Host], key: str, link: PlannedLink) -> Host:
    host = known.get(key)
    if host is None or not host.interfaces or not (host.addresses.v4 or host.addresses.v6):
        raise EmulationError(
            f"the link from {link.src} to {link.dst} cannot be shaped",
            where=key,
            why="that host is not acquired" if host is None else "its network interface is not known",
            hint="Name hosts with an address in the experiment's network in network.yaml",
        )
    return host


def _between(number: int, link: PlannedLink, source: Host, destination: Host) -> list[Constraint]:
    return [
        Constraint(
            source=source.key,
            destination=destination.key,
            device=interface.device,
            v4=destination.addresses.v4,
            v6=destination.addresses.v6,
            delay_ms=link.delay_ms,
            rate_kbit=link.rate_kbit,
            loss_percent=link.loss_percent,
            rule=number,
            src=link.src,
            dst=link.dst,
            symmetric=link.symmetric,
        )
        for interface in source.interfaces
    ]
