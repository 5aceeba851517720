"""Round trips between hosts, by fping: what to run, and what its output means."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

PAYLOAD_BYTES = 56
_WARM_UP = 2
"""Probes that may also wait for address resolution and do not count as times."""


@dataclass(frozen=True)
class RoundTrips:
    """Answers from one address.

    Attributes:
        sent: number of probes.
        times_ms: round trips in milliseconds of those that were answered, in order, without the first ones.
        lost: number of probes without an answer.
    """

    sent: int
    times_ms: tuple[float, ...]
    lost: int

    @property
    def best_ms(self) -> float | None:
        """The quickest round trip; ``None`` where nothing was answered.

        Delays by netem are constant, and a busy machine only ever adds to them, so this is the one that shows them.
        """
        return min(self.times_ms, default=None)

    @property
    def median_ms(self) -> float | None:
        """The middle round trip; ``None`` where nothing was answered."""
        ordered = sorted(self.times_ms)
        return ordered[len(ordered) // 2] if ordered else None


def command(addresses: Sequence[str], *, count: int, period_ms: int, timeout_ms: int) -> str:
    """Command that sends ``count`` probes to each address, one every ``period_ms``."""
    return f"fping -q -C {count} -p {period_ms} -i 1 -t {timeout_ms} -b {PAYLOAD_BYTES} {' '.join(addresses)} 2>&1"


def parse(text: str) -> dict[str, RoundTrips]:
    """Results per address from fping's output: ``address : 0.1 - 0.2 ...``, a dash for each lost probe."""
    found = {}
    for line in text.splitlines():
        matched = re.fullmatch(r"(\S+)\s+: ((?:(?:[\d.]+|-)(?: |$))+)", line.strip())
        if matched:
            words = matched[2].split()
            times = tuple(float(word) for word in words[_WARM_UP:] if word != "-")
            found[matched[1]] = RoundTrips(len(words), times, words.count("-"))
    return found


def loss_bounds(lost: int, sent: int, z: float = 3.29) -> tuple[float, float]:
    """Bounds of the probability of loss, in percent, with 99.9 % confidence (Wilson score interval, z = 3.29).

    Wilson, E. B.: Probable inference, the law of succession, and statistical inference. JASA 22 (1927), 209-212.
    """
    if sent == 0:
        return 0.0, 100.0
    share = lost / sent
    middle = share + z * z / (2 * sent)
    spread = z * math.sqrt(share * (1 - share) / sent + z * z / (4 * sent * sent))
    scale = 1 + z * z / sent
    return max(0.0, 100 * (middle - spread) / scale), min(100.0, 100 * (middle + spread) / scale)
