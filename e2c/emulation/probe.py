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

_FPING_FORGETS_MS = 10_000
"""After which fping does not know its own probes any more (its seqmap.c), whatever timeout it was given."""

NO_PROGRAM = 127
"""Exit code of the command where there is neither fping nor ping."""


@dataclass(frozen=True)
class Volley:
    """Probes from one host to some addresses, all alike.

    Attributes:
        addresses: where to.
        count: how many of them count, for each address.
        period_ms: time between two probes to the same address, in steps of a tenth.
        timeout_ms: time after which an answer counts as lost.
    """

    addresses: tuple[str, ...]
    count: int
    period_ms: float
    timeout_ms: int


@dataclass(frozen=True)
class RoundTrips:
    """Answers from one address.

    Attributes:
        answers_ms: for each probe, in order, its round trip in milliseconds; ``None`` for those that were not answered.
        repeated: number of probes that were answered more than once.
    """

    answers_ms: tuple[float | None, ...] = ()
    repeated: int = 0

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
    quick = [volley for volley in volleys if volley.timeout_ms <= _FPING_FORGETS_MS]
    slow = [volley for volley in volleys if volley not in quick]
    return f"""\
command -v fping >/dev/null || command -v ping >/dev/null || exit {NO_PROGRAM}
folder=$(mktemp -d) || exit
trap 'rm -rf "$folder"' EXIT
{_AS_FPING}
if command -v fping >/dev/null; then
  :
{_fpings(quick)}
else
  :
{_pings(quick)}
fi
if command -v ping >/dev/null; then
  :
{_pings(slow)}
else
  :
{_fpings(slow)}
fi
wait
cat "$folder"/*"""


def parse(text: str) -> dict[str, RoundTrips]:
    """Results per address from fping's output: ``address : 0.1 - 0.2 ...``, a dash for each lost probe."""
    answers: dict[str, tuple[float | None, ...]] = {}
    repeated: dict[str, set[str]] = {}
    for line in text.splitlines():
        if matched := re.fullmatch(r"(\S+)\s+: ((?:(?:[\d.]+|-)(?: |$))+)", line.strip()):
            words = matched[2].split()[WARM_UP:]
            answers[matched[1]] = tuple(None if word == "-" else float(word) for word in words)
        elif (matched := re.match(r"(\S+)\s+: duplicate for \[(\d+)\]", line)) and int(matched[2]) >= WARM_UP:
            repeated.setdefault(matched[1], set()).add(matched[2])
    return {address: RoundTrips(found, len(repeated.get(address, ()))) for address, found in answers.items()}


def _fpings(volleys: Sequence[Volley]) -> str:
    return "\n".join(f"  {_fping(volley, volley.addresses[0])}" for volley in volleys)


def _pings(volleys: Sequence[Volley]) -> str:
    return "\n".join(f"  {_ping(volley, address)}" for volley in volleys for address in volley.addresses)


def _fping(volley: Volley, place: str) -> str:
    # fping counts the least time between two probes from when it woke up, which is late: it must not wait for that
    apart_ms = min(1.0, volley.period_ms / len(volley.addresses) / 10)
    options = f"-C {volley.count + WARM_UP} -p {volley.period_ms:g} -i {apart_ms:.2g} -t {volley.timeout_ms}"
    options += f" -b {PAYLOAD_BYTES}"
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
