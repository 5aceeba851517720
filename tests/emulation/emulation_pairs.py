"""Hosts and pairs of hosts that exist on paper only."""

from __future__ import annotations

from e2c.emulation.constraint import Constraint
from e2c.emulation.pairs import Pair
from e2c.emulation.probe import RoundTrips
from e2c.model.host import Addresses, Host, Interface
from e2c.model.link import LinkValues


def host(number: int, *, provider: str = "local") -> Host:
    v4, v6 = f"10.0.0.{number}", f"fd00::{number:x}"
    return Host(
        key=f"layer.service.1.{number}",
        layer="layer",
        service="service",
        testbed=provider,
        provider=provider,
        hostname=f"h{number}",
        address=v4,
        addresses=Addresses(v4=v4, v6=v6),
        interfaces=(Interface(device="eth0", addresses=(f"{v4}/24",)),),
    )


def shaped(source: Host, destination: Host, values: LinkValues, *, rule: int = 0) -> Constraint:
    return Constraint(
        source=source.key,
        destination=destination.key,
        device="eth0",
        v4=destination.addresses.v4,
        v6=destination.addresses.v6,
        rule=rule,
        src=source.key,
        dst=destination.key,
        symmetric=False,
        **values.named,
    )


def pair(there: LinkValues | None = None, back: LinkValues | None = None, *, far: bool = False) -> Pair:
    one, other = host(1), host(2, provider="other" if far else "local")
    return Pair(
        one,
        other,
        shaped(one, other, there) if there else None,
        shaped(other, one, back) if back else None,
    )


def answers(*times_ms: float | None, v6: tuple[float | None, ...] | None = None) -> dict[str, RoundTrips]:
    """What a pair's two addresses answered, the same unless said otherwise."""
    return {"10.0.0.2": RoundTrips(times_ms), "fd00::2": RoundTrips(times_ms if v6 is None else v6)}
