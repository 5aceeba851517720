"""Round trips between hosts, by fping, or by ping where a system image has no fping: what to run, and what it means."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

PAYLOAD_BYTES = 56
FRAME_BITS = 8 * (PAYLOAD_BYTES + 8 + 40 + 14)
"""An IPv6 probe on the wire: payload, ICMP, IPv6 and Ethernet headers."""

WARM_UP = 2
"""Probes that come first, may wait for address resolution or be lost meanwhile, and do not count."""

NO_PROGRAM = 127
"""Exit code of the command where there is neither fping nor ping."""


@dataclass(frozen=True)
class Volley:
    """Probes from one host to some addresses, all alike.

    Attributes:
        addresses: where to.
        count: how many of them count, for each address.
        period_ms: time between two probes to the same address.
        timeout_ms: time after which an answer counts as lost.
    """

    addresses: tuple[str, ...]
    count: int
    period_ms: int
    timeout_ms: int


@dataclass(frozen=True)
class RoundTrips:
    """Answers from one address.

    Attributes:
        answers_ms: for each probe, in order, its round trip in milliseconds; ``None`` for those that were not answered.
        duplicates: answers beyond the first to the same probe.
    """

    answers_ms: tuple[float | None, ...] = ()
    duplicates: int = 0

    @property
    def sent(self) -> int:
        """Number of probes."""
        return len(self.answers_ms)

    @property
    def times_ms(self) -> tuple[float, ...]:
        """Round trips of those that were answered."""
        return tuple(answer for answer in self.answers_ms if answer is not None)

    @property
    def lost(self) -> int:
        """Number of probes without an answer."""
        return self.answers_ms.count(None)

    @property
    def best_ms(self) -> float | None:
        """The quickest round trip; ``None`` where nothing was answered.

        Constant delays are what netem makes of them at least: a busy machine only ever adds to them, so this is the one
        that shows them.
        """
        return min(self.times_ms, default=None)

    @property
    def median_ms(self) -> float | None:
        """The middle round trip; ``None`` where nothing was answered."""
        ordered = sorted(self.times_ms)
        return ordered[len(ordered) // 2] if ordered else None

    def overtaking(self, period_ms: float) -> int:
        """How many answers came before that of an earlier probe."""
        found, latest = 0, -math.inf
        for place, answer in enumerate(self.answers_ms):
            if answer is not None:
                arrival = place * period_ms + answer
                found += arrival < latest
                latest = max(latest, arrival)
        return found


def command(volleys: Sequence[Volley]) -> str:
    """Command that sends volleys, all at once, and then prints as fping does."""
    pings = "\n".join(f"  {_ping(volley, address)}" for volley in volleys for address in volley.addresses)
    return f"""\
command -v fping >/dev/null || command -v ping >/dev/null || exit {NO_PROGRAM}
folder=$(mktemp -d) || exit
trap 'rm -rf "$folder"' EXIT
if command -v fping >/dev/null; then
{chr(10).join(f"  {_fping(volley, place)}" for place, volley in enumerate(volleys))}
else
{_AS_FPING}
{pings}
fi
wait
cat "$folder"/*"""


def parse(text: str) -> dict[str, RoundTrips]:
    """Results per address from fping's output: ``address : 0.1 - 0.2 ...``, a dash for each lost probe."""
    answers: dict[str, tuple[float | None, ...]] = {}
    duplicates: dict[str, int] = {}
    for line in text.splitlines():
        if matched := re.fullmatch(r"(\S+)\s+: ((?:(?:[\d.]+|-)(?: |$))+)", line.strip()):
            words = matched[2].split()[WARM_UP:]
            answers[matched[1]] = tuple(None if word == "-" else float(word) for word in words)
        elif (matched := re.match(r"(\S+)\s+: duplicate for \[(\d+)\]", line)) and int(matched[2]) >= WARM_UP:
            duplicates[matched[1]] = duplicates.get(matched[1], 0) + 1
    return {address: RoundTrips(found, duplicates.get(address, 0)) for address, found in answers.items()}


def _fping(volley: Volley, place: int) -> str:
    options = f"-C {volley.count + WARM_UP} -p {volley.period_ms} -i 1 -t {volley.timeout_ms} -b {PAYLOAD_BYTES}"
    return f'fping -q {options} {" ".join(volley.addresses)} >"$folder/{place}" 2>&1 &'


def _ping(volley: Volley, address: str) -> str:
    seconds = math.ceil(volley.timeout_ms / 1000)  # a ping may know no fractions
    return f"measure {address} {volley.count + WARM_UP} {volley.period_ms / 1000:g} {seconds} &"


_AS_FPING = f"""\
  measure() {{ # address, count, period, timeout
    case $1 in *:*) family=-6;; *) family=-4;; esac
    ping $family -n -c $2 -i $3 -W $4 -s {PAYLOAD_BYTES} $1 2>/dev/null |
      sed -n 's/.*seq=\\([0-9]*\\).* time[=<]\\([0-9.]*\\).*/\\1 \\2/p' |
      awk -v address=$1 -v count=$2 '
        $1 in times {{ again[++more] = $1 }}
        !($1 in times) {{ times[$1] = $2 }}
        END {{
          from = 0 in times ? 0 : 1
          for (i = 1; i <= more; i++) printf "%s : duplicate for [%d]\\n", address, again[i] - from
          printf "%s :", address
          for (i = from; i < from + count; i++) printf " %s", i in times ? times[i] : "-"
          print ""
        }}' >"$folder/$1"
  }}"""
