"""What ``tc`` must be told to shape an interface: pure text for ``tc -batch``, from constraints.

An interface gets one htb qdisc; per destination a class with its rate, a netem with its delay and loss below it, and
a u32 filter per address that leads there::

    htb 1:  ── class 1:1 rate 100mbit ── netem 10: delay 20ms     <── destination 10.0.0.2, fd00::2
            ── class 1:2 rate 100gbit ── netem 11: delay 5ms      <── destination 10.0.0.3, fd00::3
            ── (no class: everything else passes untouched)

Both addresses of a destination lead to one class: IPv4 and IPv6 share the rate, as they share a cable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from e2c.emulation.constraint import Constraint

BATCH = "tc -batch -"
"""Runs a :func:`script` or a :func:`listing`, to the first command that fails."""

REMOVAL = "if command -v tc >/dev/null; then tc -force -batch - 2>&1; fi"
"""Runs a :func:`removal` to its end; a host without ``tc`` shapes nothing."""

_FIRST_LEAF = 0x10  # hexadecimal 10:, so that no leaf is taken for the root, 1:
_QUANTUM_BYTES = 60_000  # what tc derives from such rates makes the kernel complain in its log
_QUEUED_PACKETS = 1000  # netem's own default: what may wait for its turn at the rate
_PACKET_BITS = 2000
_UNLIMITED_KBIT = 10_000_000
_MOST_PACKETS = 0x7FFFFFFF


def script(device: str, asked: Iterable[Constraint]) -> str:
    """Commands after which the constraints, all and only these, hold on one interface of one host.

    What shaped it before is replaced in the same breath. A root qdisc can be replaced by one of another kind, not by
    one of its own: so a pfifo, which every kernel has, comes first.
    """
    lines = [f"qdisc replace dev {device} root pfifo", f"qdisc replace dev {device} root handle 1: htb"]
    for number, constraint in enumerate(asked, start=1):
        lines += _link(device, number, constraint)
    return "".join(f"{line}\n" for line in lines)


def removal(devices: Iterable[str]) -> str:
    """Commands that remove all shaping from interfaces and list what is left; where none is, the first fails."""
    return "".join(f"qdisc del dev {device} root\nqdisc show dev {device}\n" for device in devices)


def listing(device: str) -> str:
    """Commands whose output :func:`e2c.emulation.readback.shapes` reads."""
    return "".join(f"{kind} show dev {device}\n" for kind in ("qdisc", "class", "filter"))


def limit(constraint: Constraint) -> int:
    """How many packets netem may hold: those under way at the full rate for the whole delay, and those that wait.

    Counted with packets of 250 bytes, and 10 Gbit/s where no rate is asked: netem drops what is more than this, and no
    packet may be lost because it is small or because there are many.
    """
    rate_kbit = _UNLIMITED_KBIT if constraint.rate_kbit is None else constraint.rate_kbit
    return min(_MOST_PACKETS, _QUEUED_PACKETS + math.ceil(rate_kbit * (constraint.delay_ms or 0) / _PACKET_BITS))


def _link(device: str, number: int, constraint: Constraint) -> list[str]:
    flow = f"1:{number:x}"
    loss = f" loss {constraint.loss}" if constraint.loss else ""
    lines = [
        f"class add dev {device} parent 1: classid {flow} htb rate {constraint.rate} quantum {_QUANTUM_BYTES}",
        f"qdisc add dev {device} parent {flow} handle {_FIRST_LEAF + number - 1:x}:"
        f" netem limit {limit(constraint)} delay {constraint.delay}{loss}",
    ]
    if constraint.v4:
        lines.append(_filter(device, f"ip pref 1 u32 match ip dst {constraint.v4}/32", flow))
    if constraint.v6:
        lines.append(_filter(device, f"ipv6 pref 2 u32 match ip6 dst {constraint.v6}/128", flow))
    return lines


def _filter(device: str, what: str, flow: str) -> str:
    return f"filter add dev {device} parent 1: protocol {what} flowid {flow}"
