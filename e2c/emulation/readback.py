"""What ``tc`` says about an interface: pure parsing of its listings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

_TIME_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_RATE_KBIT = {"bit": 0.001, "Kbit": 1.0, "Mbit": 1e3, "Gbit": 1e6, "Tbit": 1e9}
_V4_OFFSET = 16
_V6_OFFSETS = (24, 28, 32, 36)
"""Where the destination address lies in an IPv4 and in an IPv6 header, in bytes."""


@dataclass(frozen=True)
class Shape:
    """What happens to packets for one destination.

    Attributes:
        delay_ms, loss_percent, rate_kbit: as ``tc`` reports them.
        words: its own words.
    """

    delay_ms: float
    loss_percent: float
    rate_kbit: float
    words: str


def shapes(text: str) -> dict[str, Shape]:
    """The shape per destination address, from the listing of an interface shaped by htb, netem and u32 filters.

    A class without netem is not in it: nothing would delay what is sent there.
    """
    leaves: dict[str, tuple[float, float, str]] = {}
    rates: dict[str, tuple[float, str]] = {}
    targets: dict[str, str] = {}
    classid = ""
    words: dict[int, int] = {}
    for line in text.splitlines():
        if found := re.match(r"qdisc netem \S+ parent (\S+) (.*)", line):
            delay = re.search(r"delay ([\d.]+)(us|ms|s)\b", line)
            loss = re.search(r"loss ([\d.]+)%", line)
            told = [part[0] for part in (delay, loss) if part]
            leaves[found[1]] = (
                float(delay[1]) * _TIME_MS[delay[2]] if delay else 0.0,
                float(loss[1]) if loss else 0.0,
                " ".join(told) or "netem",
            )
        elif found := re.match(r"class htb (\S+) .*?(rate ([\d.]+)([KMGT]?bit))\b", line):
            rates[found[1]] = (float(found[3]) * _RATE_KBIT[found[4]], found[2])
        elif found := re.search(r"flowid (\S+)", line):
            classid, words = found[1], {}
        elif found := re.match(r"\s+match ([0-9a-f]{8})/ffffffff at (\d+)", line):
            words[int(found[2])] = int(found[1], 16)
            if _V4_OFFSET in words and len(words) == 1:
                targets[str(IPv4Address(words[_V4_OFFSET]))] = classid
            elif all(offset in words for offset in _V6_OFFSETS):
                number = sum(words[offset] << (96 - 32 * place) for place, offset in enumerate(_V6_OFFSETS))
                targets[str(IPv6Address(number))] = classid
    return {
        target: Shape(leaves[key][0], leaves[key][1], rates[key][0], f"{leaves[key][2]} {rates[key][1]}")
        for target, key in targets.items()
        if key in leaves and key in rates
    }
