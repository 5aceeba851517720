"""Sends probes between many hosts without disturbing what they measure, and again where there is doubt."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from e2c.emulation import binomial, probe
from e2c.emulation.pairs import Pair
from e2c.emulation.probe import RoundTrips, Volley
from e2c.errors import EmulationError, MissingToolError
from e2c.model.host import Host
from e2c.remote import shell

LOSS_LIMIT_S = 6.0
"""Most that all probes together may take to be sent; where it is too short to tell a loss, that is said."""

PROBES_PER_S = 2000
"""Of all hosts together: a User-Mode Linux between local hosts drops packets when it gets a few thousand a second."""

FEW = 12
"""Probes that show a constant delay."""

SAMPLE = 200
"""Probes that show how delays vary, and what is duplicated."""

_JUDGEMENTS = 12  # of a pair: three quartiles, loss and duplicates in each family, and these two in both
_BETTER = ((10, 1000), (25, 500))  # expected losses, as long as that takes no more probes than this
_THOROUGH = 4
_BY_HAND = "Try fping by hand there; it needs the rights of root"
_SHORTEST_S, _LONGEST_S = 0.6, 30.0
_USED_SHARE = 0.2  # of a link's rate: more probes than that would queue
_LEAST_TIMEOUT_MS = 1000


@dataclass(frozen=True)
class Answer:
    """What a pair answered.

    Attributes:
        found: round trips by address.
        raw: fping's own lines about it.
        period_ms: time between two probes to one address.
    """

    found: Mapping[str, RoundTrips]
    raw: str
    period_ms: float


def probe_patiently(
    pairs: Sequence[Pair],
    doubtful: Callable[[Pair, Answer], bool],
    *,
    limit_s: float = LOSS_LIMIT_S,
    progress: Callable[[str], None] | None = None,
) -> dict[Pair, Answer]:
    """Probe all pairs, and those in doubt again with fresh probes, until none is or they were looked at often enough.

    Only the last look counts, and all but the first are closer; ``progress`` is told of these. See
    :func:`e2c.emulation.binomial.looks` for how often is enough.

    Raises:
        EmulationError: a host cannot send probes.
        MissingToolError: neither fping nor ping is on a host.
        RemoteError: a host does not answer.
    """
    answers: dict[Pair, Answer] = {}
    left = list(dict.fromkeys(pairs))
    for look in range(binomial.looks(_JUDGEMENTS * len(left))):
        counts = affordable(left, limit_s, thorough=look > 0)
        if look and progress:
            again = f"{len(left)} pair{'' if len(left) == 1 else 's'} of hosts"
            progress(f"measuring {again} again, for about {duration_s(counts, look) + patience_s(left):.0f} s")
        answers.update(_look(left, counts, duration_s(counts, look)))
        left = [pair for pair in left if doubtful(pair, answers[pair])]
        if not left:
            break
    return answers


def wanted(pair: Pair) -> int:
    """How many probes to each address show what is asked of a pair.

    As many as it takes to tell that nothing is lost at all, over both families together, since they share what shapes
    them: :func:`e2c.emulation.binomial.fewest`. Where that is cheap, as lose ten on average, or twenty-five, for a
    narrower interval. The same of probes that are answered twice.
    """
    expected = pair.expected
    needed = [FEW]
    if expected.quartiles_ms or expected.repeated[1] or expected.loss[1] > expected.loss[0]:
        needed.append(SAMPLE)
    for low, high in (expected.loss, expected.repeated) if expected.answered else ():
        if high > 0:
            share = low or high
            needed.append(math.ceil(binomial.fewest(share) / len(pair.addresses)))
            needed += [min(most, math.ceil(losses / share / len(pair.addresses))) for losses, most in _BETTER]
    if expected.answered:
        needed.append(math.ceil(FEW / (1 - expected.loss[0])))
    return max(needed)


def affordable(pairs: Sequence[Pair], limit_s: float = LOSS_LIMIT_S, *, thorough: bool = False) -> dict[Pair, int]:
    """How many probes each address of a pair gets: as many as are wanted, as far as all fit into the time.

    Pairs that are in doubt get four times as many, so that the doubt is settled: that is what it takes to tell a loss
    from twice the loss every time.

    Those who want most get fewer then, all of them equally many, and never less than :data:`FEW`.
    """
    times = _THOROUGH if thorough else 1
    counts = {pair: _at_most(times * wanted(pair), limit_s * _most_per_s(pair)) for pair in pairs}
    budget, addresses = limit_s * PROBES_PER_S, sum(len(pair.addresses) for pair in pairs)
    for pair, count in sorted(counts.items(), key=lambda one: one[1]):
        share = budget / addresses
        if count > share:
            return {other: _at_most(count, share) for other, count in counts.items()}
        budget -= count * len(pair.addresses)
        addresses -= len(pair.addresses)
    return counts


def _at_most(count: int, most: float) -> int:
    return int(min(count, max(FEW, most)))


def _most_per_s(pair: Pair) -> float:
    """Probes to each address that fit through the links of a pair without a queue."""
    narrowest = min((way.rate_kbit for way in (pair.there, pair.back) if way and way.rate_kbit), default=math.inf)
    return _USED_SHARE * narrowest * 1000 / probe.FRAME_BITS / len(pair.addresses)


def duration_s(counts: Mapping[Pair, int], look: int = 0) -> float:
    """Time over which to send, the same for all: slow enough for all hosts together and for each link.

    Every look takes its time, twice that of the one before, so that a busy machine has a calm moment meanwhile.
    """
    total = sum((count + probe.WARM_UP) * len(pair.addresses) for pair, count in counts.items())
    slowest = max((count / _most_per_s(pair) for pair, count in counts.items()), default=0.0)
    return max(_SHORTEST_S * (1 << look), total / PROBES_PER_S, min(_LONGEST_S, slowest))


def patience_s(pairs: Sequence[Pair]) -> float:
    """How long the last answer may take once all probes are sent: where it may be missing, until it counts as lost."""

    def wait_ms(pair: Pair) -> float:
        surely = pair.expected.answered and not pair.expected.loss[1]
        return pair.expected.rtt_ms if surely else _timeout_ms(pair)

    return max(map(wait_ms, pairs), default=0.0) / 1000


def _look(pairs: Sequence[Pair], counts: Mapping[Pair, int], whole_s: float) -> dict[Pair, Answer]:
    by_source: dict[Host, list[Pair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(pair)
    commands: dict[Host, str] = {}
    periods: dict[Pair, float] = {}
    longest_s = 0.0
    for source, own in by_source.items():
        found_volleys = volleys(own, counts, whole_s)
        for alike, volley in found_volleys:
            longest_s = max(longest_s, ((volley.count + probe.WARM_UP) * volley.period_ms + volley.timeout_ms) / 1000)
            periods.update(dict.fromkeys(alike, volley.period_ms))
        commands[source] = probe.command([volley for _, volley in found_volleys])
    printed = _run(commands, timeout_s=30 + 2 * longest_s)
    found = {key: probe.parse(text) for key, text in printed.items()}
    for key in (key for key, by_address in found.items() if not by_address):
        said = printed[key].strip().splitlines()
        raise EmulationError(
            "links cannot be measured", where=key, why=said[-1] if said else "fping said nothing", hint=_BY_HAND
        )
    return {
        pair: Answer(
            {address: found[pair.source.key].get(address, RoundTrips()) for address in pair.addresses.values()},
            _lines(printed[pair.source.key], pair),
            periods[pair],
        )
        for pair in pairs
    }


def volleys(pairs: Sequence[Pair], counts: Mapping[Pair, int], whole_s: float) -> list[tuple[list[Pair], Volley]]:
    """What one host sends, all at once and spread over the time: a volley for each number of probes and each family.

    Each is a program of its own, because one fping sends at most a probe each millisecond.
    """
    found = []
    for count in sorted({counts[pair] for pair in pairs}):
        alike = [pair for pair in pairs if counts[pair] == count]
        by_family = [
            tuple(dict.fromkeys(pair.addresses[family] for pair in alike if family in pair.addresses))
            for family in ("v4", "v6")
        ]
        spread_ms = math.ceil(round(10_000 * whole_s / (count + probe.WARM_UP), 6)) / 10
        period_ms = max(1.0, *map(float, map(len, by_family)), spread_ms)
        timeout_ms = max(_timeout_ms(pair) for pair in alike)
        found += [(alike, Volley(own, count, period_ms, timeout_ms)) for own in by_family if own]
    return found


def _timeout_ms(pair: Pair) -> int:
    longest = 2 * pair.expected.delay_ms + 10 * pair.slack_ms + 10 * _jitter_ms(pair)
    return round(max(_LEAST_TIMEOUT_MS, longest))


def _jitter_ms(pair: Pair) -> float:
    return sum(way.jitter_ms or 0 for way in (pair.there, pair.back) if way)


def _run(commands: Mapping[Host, str], timeout_s: float) -> dict[str, str]:
    results = shell.run_each(commands, timeout_s=timeout_s, at_once=max(1, len(commands)))
    for key, result in results.items():
        if result.rc == probe.NO_PROGRAM:
            raise MissingToolError(
                "links cannot be measured: there is neither fping nor ping", where=key, hint="apt-get install fping"
            )
        if result.rc in (shell.SSH_FAILED, shell.TIMED_OUT):
            shell.require({key: result}, "measuring links")
    return {key: result.stdout for key, result in results.items()}


def _lines(printed: str, pair: Pair) -> str:
    addresses = set(pair.addresses.values())
    return "".join(f"{line}\n" for line in printed.splitlines() if line.split(" ")[0] in addresses)
