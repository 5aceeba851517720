"""What ``tc`` must be told to shape an interface: pure text for ``tc -batch``, from constraints.

An interface gets one htb qdisc; per destination a class with its rate, a netem with what else the link does below it,
and a u32 filter per address that leads there; filters for traffic that is exempt come first::

    htb 1:  ── class 1:1 rate 100mbit ── netem 10: delay 20ms     <── destination 10.0.0.2, fd00::2
            ── class 1:2 rate 100gbit ── netem 11: delay 5ms      <── destination 10.0.0.3, fd00::3
            ── (no class: everything else passes untouched)       <── IPv6 neighbours, TCP port 1883 of 10.0.0.3

Both addresses of a destination lead to one class: IPv4 and IPv6 share the rate, as they share a cable.

Newer kernels have no netem that duplicates beside another one on the same interface, so duplicates come from elsewhere
(:mod:`e2c.emulation.copying`): a filter in front sends a copy of each packet to an interface of its own, which lets
through as many as are asked for, and these come back marked, take the class of their destination, and are not copied.

The listing of ``tc`` rounds times to three digits and does not tell the distribution of a jitter. So each script ends
with a record of what it asked for, which is kept on the host, and the number of a netem tells its distribution.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping

from e2c.emulation.constraint import Constraint, Exemption, percent

BATCH = "tc -force -batch -"
"""Runs commands, those after one that fails too."""

REMOVAL = "if command -v tc >/dev/null; then tc -force -batch - 2>&1; fi"
"""Runs a :func:`removal` to its end; a host without ``tc`` shapes nothing."""

RECORD = "#= "
"""What the lines of a script begin with that are to be kept on the host; ``tc`` skips them."""
DISTRIBUTIONS = (None, "normal", "pareto", "paretonormal")
"""Tables of ``tc``, each with a range of numbers of netems; the first is uniform and needs no table."""
RANGE = 0x4000
FIRST_LEAF = 0x10  # hexadecimal 10:, so that no leaf is taken for the root, 1:
EXEMPT_PREFS = {"ip": 1, "ipv6": 2}
COPY_PREFS = {"ip": 3, "ipv6": 4}
PREFS = {"ip": 5, "ipv6": 6}
"""Order in which filters are asked; the kernel keeps one per protocol."""
MARK = 0x40000000
"""The bit of a packet's mark that tells a copy; it stays on the host."""
COPIER = "dup-"
"""What the names of interfaces that make duplicates begin with."""
NEIGHBOURS = (0x87, 0x88)
"""Types of ICMPv6 by which neighbours find each other: who has an address, and who answers."""

_QUANTUM_BYTES = 60_000  # what tc derives from such rates makes the kernel complain in its log
_QUEUED_PACKETS = 1000  # netem's own default: what may wait for its turn at the rate
_PACKET_BITS = 2000
_BUSY_KBIT = 10_000_000
_TAIL = 4  # no table of tc reaches further than four times the jitter
_MOST_PACKETS = 0x7FFFFFFF
_LONGEST_NAME = 15  # of an interface, and the other end of a copier has a letter more


def layout(device: str, asked: Iterable[Constraint]) -> list[str]:
    """Commands after which the constraints, all and only these, hold on one interface of one host.

    What shaped it before is replaced in the same breath. A root qdisc can be replaced by one of another kind, not by
    one of its own: so a pfifo, which every kernel has, comes first.
    """
    lines = [f"qdisc replace dev {device} root pfifo", f"qdisc replace dev {device} root handle 1: htb"]
    lines += (_neighbours(device, kind) for kind in NEIGHBOURS)
    for number, constraint in enumerate(asked, start=1):
        lines += addition(device, number, constraint)
    return lines


def text(lines: Iterable[str], words: Mapping[int, tuple[str, str]]) -> str:
    """A script of commands that ends with the record of the words of each class and its netem."""
    kept = (f"{RECORD}1:{number:x} {of_class} | {of_netem}" for number, (of_class, of_netem) in sorted(words.items()))
    return "".join(f"{line}\n" for line in (*lines, *kept))


def removal(devices: Iterable[str]) -> str:
    """Commands that remove all shaping from interfaces and list what is left; where none is, they fail."""
    return "".join(
        f"qdisc del dev {device} root\nqdisc show dev {device}\nqdisc del dev {copier(device)} root\n"
        for device in devices
    )


def listing(device: str) -> str:
    """Commands whose output :func:`e2c.emulation.readback.layout` reads."""
    return "".join(f"{kind} show dev {device}\n" for kind in ("qdisc", "class", "filter"))


def limit(constraint: Constraint) -> int:
    """How many packets netem may hold: those under way at the full rate for the whole delay, and those that wait.

    Counted with packets of 250 bytes, and 10 Gbit/s where no rate is asked: netem drops what is more than this, and no
    packet may be lost because it is small or because there are many. A number that is asked for is taken as it is.
    """
    if constraint.limit_packets is not None:
        return constraint.limit_packets
    rate_kbit = _BUSY_KBIT if constraint.rate_kbit is None else constraint.rate_kbit
    longest_ms = (constraint.delay_ms or 0) + _TAIL * (constraint.jitter_ms or 0)
    copies = 1 + (constraint.duplicate_percent or 0) / 100
    return min(_MOST_PACKETS, _QUEUED_PACKETS + math.ceil(copies * rate_kbit * longest_ms / _PACKET_BITS))


def class_words(constraint: Constraint) -> str:
    """What the class of a destination is told."""
    return f"rate {constraint.rate} quantum {_QUANTUM_BYTES}"


def netem_words(constraint: Constraint, *, whole: bool = False) -> str:
    """What the netem of a destination is told.

    Args:
        whole: name also what it does not do, for one that may do so now: it keeps what is not named.
    """
    shares = {
        "loss": constraint.lost_percent,
        "reorder": constraint.reorder_percent or 0,
        "corrupt": constraint.corrupt_percent or 0,
    }
    words = [f"limit {limit(constraint)} delay {constraint.delay}"]
    if constraint.jitter or whole:
        words.append(constraint.jitter or "0ms")
    if constraint.spread:
        words.append(f"distribution {constraint.spread}")
    words += [f"{name} {percent(share)}" for name, share in shares.items() if share or whole]
    return " ".join(words)


def leaf(number: int, constraint: Constraint) -> int:
    """The number of the netem below a class; it tells the distribution of its jitter."""
    return FIRST_LEAF + number - 1 + RANGE * DISTRIBUTIONS.index(constraint.spread)


def addition(device: str, number: int, constraint: Constraint) -> list[str]:
    """Commands that shape one more destination."""
    flow = f"1:{number:x}"
    return [
        f"class add dev {device} parent 1: classid {flow} htb {class_words(constraint)}",
        f"qdisc add dev {device} parent {flow} handle {leaf(number, constraint):x}: netem {netem_words(constraint)}",
        *(exemption(device, target, one) for target in constraint.targets for one in constraint.exempt),
        *(copy(device, target) for target in constraint.targets if constraint.duplicate_percent),
        *(_filter(device, target, PREFS, f"match {_family(target)[1]} dst", flow) for target in constraint.targets),
    ]


def exemption(device: str, target: str, exempt: Exemption) -> str:
    """Command that leaves some traffic to an address untouched."""
    family = _family(target)[1]
    port = "dport" if exempt.end == "dst" else "sport"
    what = f"match {family} protocol 6 0xff match {family} {port} {exempt.port} 0xffff match {family} dst"
    return _filter(device, target, EXEMPT_PREFS, what, "1:0")


def copy(device: str, target: str) -> str:
    """Command that sends a copy of what goes to an address to the interface for copies, but not of what is one."""
    what = f"match mark 0 {MARK:#x} match {_family(target)[1]} dst"
    command = _filter(device, target, COPY_PREFS, what, "1:0")
    return f"{command} action mirred egress mirror dev {copier(device)} continue"


def copier(device: str) -> str:
    """The interface on the same host that makes the duplicates of what an interface sends."""
    name = f"{COPIER}{device}"
    return name if len(name) < _LONGEST_NAME else f"{COPIER}{zlib.crc32(device.encode()):08x}"


def _neighbours(device: str, kind: int) -> str:
    """Command that leaves a kind of IPv6 neighbour discovery untouched, as ARP is, which is no IPv4."""
    begin = f"filter add dev {device} parent 1: protocol ipv6 pref {EXEMPT_PREFS['ipv6']} u32"
    return f"{begin} match ip6 protocol 58 0xff match u8 {kind:#x} 0xff at 40 flowid 1:0"


def _family(target: str) -> tuple[str, str, int]:
    """The protocol of an address, its name in u32, and the length of its prefix."""
    return ("ipv6", "ip6", 128) if ":" in target else ("ip", "ip", 32)


def _filter(device: str, target: str, prefs: Mapping[str, int], what: str, flow: str) -> str:
    protocol, _, length = _family(target)
    return (
        f"filter add dev {device} parent 1: protocol {protocol} pref {prefs[protocol]} u32"
        f" {what} {target}/{length} flowid {flow}"
    )
