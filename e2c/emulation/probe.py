"""Round trips between hosts, by fping, or by ping where a system image has no fping: what to run, and what it means."""

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


NO_PROGRAM = 127
"""Exit code of the command where there is neither fping nor ping."""


def command(addresses: Sequence[str], *, count: int, period_ms: int, timeout_ms: int) -> str:
    """Command that sends ``count`` probes to each address, one every ``period_ms``; it prints as fping does."""
    every = " ".join(addresses)
    seconds = math.ceil(timeout_ms / 1000)  # a ping may know no fractions
    return f"""\
if command -v fping >/dev/null; then
  exec fping -q -C {count} -p {period_ms} -i 1 -t {timeout_ms} -b {PAYLOAD_BYTES} {every} 2>&1
fi
command -v ping >/dev/null || exit {NO_PROGRAM}
for address in {every}; do
  case $address in *:*) family=-6;; *) family=-4;; esac
  ping $family -n -c {count} -i {period_ms / 1000:g} -W {seconds} -s {PAYLOAD_BYTES} $address 2>/dev/null |
    sed -n 's/.*seq=\\([0-9]*\\).* time[=<]\\([0-9.]*\\).*/\\1 \\2/p' |
    awk -v address=$address -v count={count} '
      !($1 in times) {{ times[$1] = $2 }}
      END {{
        from = 0 in times ? 0 : 1
        printf "%s :", address
        for (i = from; i < from + count; i++) printf " %s", i in times ? times[i] : "-"
        print ""
      }}' &
done
wait"""


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
