"""Which pairs of hosts are measured, and what is asked of each."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from e2c.emulation.constraint import Constraint, Direction
from e2c.emulation.expectation import Expectation, expect
from e2c.emulation.probe import FRAME_BITS, RoundTrips
from e2c.model.host import Host

PAIRS_PER_RULE = 3
UNSHAPED_PAIRS = 3
TOLERANCE_MS = 2.0
TOLERANCE_SHARE = 0.03


@dataclass(frozen=True)
class Pair:
    """A measurement: round trips that ``source`` sees to ``destination``, over IPv4 and IPv6.

    ``there`` and ``back`` are the constraints of the two directions, where there are any.
    """

    source: Host
    destination: Host
    there: Constraint | None
    back: Constraint | None

    @property
    def shaped(self) -> bool:
        """Something is asked of it."""
        return self.there is not None or self.back is not None

    @property
    def directions(self) -> set[Direction]:
        """There and back, by service keys."""
        a, b = self.source.key, self.destination.key
        return {(a, b), (b, a)}

    @property
    def addresses(self) -> dict[str, str]:
        """The destination's addresses by family, ``v4`` and ``v6``."""
        both = {"v4": self.destination.addresses.v4, "v6": self.destination.addresses.v6}
        return {family: address for family, address in both.items() if address}

    def reached(self, found: Mapping[str, RoundTrips]) -> set[str]:
        """Those of the addresses that packets must get to: all within a testbed.

        From one testbed to another one family may lead nowhere (Grid'5000 and FIT IoT-LAB have private IPv4 addresses)
        as long as the other does.
        """
        both = set(self.addresses.values())
        answered = {address for address in both if address in found and found[address].best_ms is not None}
        return answered if answered and self.source.provider != self.destination.provider else both

    @functools.cached_property
    def expected(self) -> Expectation:
        """What is asked of a round trip."""
        return expect(self.there, self.back)

    @property
    def tolerance_ms(self) -> float:
        """How far off a round trip may be."""
        return max(TOLERANCE_MS, TOLERANCE_SHARE * self.expected.delay_ms)

    @property
    def slack_ms(self) -> float:
        """What rate limits may add: the time a probe takes at those rates."""
        return sum(FRAME_BITS / way.rate_kbit for way in (self.there, self.back) if way and way.rate_kbit)


def by_rule(asked: Sequence[Constraint], hosts: Sequence[Host]) -> dict[tuple[Constraint, ...], list[Pair]]:
    """Some pairs of every rule: the first, the last and a middle one of those of which the same is asked.

    A pair and its way back are one. Of the pairs of a rule something different is asked where other rules shape the
    way back of some, or where links were changed since.
    """
    known = {host.key: host for host in hosts}
    ways: dict[Direction, Constraint] = {(c.source, c.destination): c for c in asked}
    rules: dict[tuple[int, str, str], list[Constraint]] = {}
    for constraint in asked:
        rules.setdefault((constraint.rule, constraint.src, constraint.dst), []).append(constraint)
    found = {}
    for constraints in rules.values():
        alike: dict[tuple[object, ...], list[Pair]] = {}
        seen: set[Direction] = set()
        for constraint in constraints:
            a, b = direction = constraint.source, constraint.destination
            if direction not in seen:
                there, back = ways[direction], ways.get((b, a))
                seen |= {direction, (b, a)}
                values = (*there.named.values(), *(back.named.values() if back else ()))
                alike.setdefault(values, []).append(Pair(known[a], known[b], there, back))
        found[tuple(constraints)] = [pair for pairs in alike.values() for pair in _spread(pairs, PAIRS_PER_RULE)]
    return found


def unshaped(asked: Sequence[Constraint], hosts: Sequence[Host]) -> list[Pair]:
    """A few pairs that no rule concerns."""
    shaped = {frozenset((c.source, c.destination)) for c in asked}
    found = []
    for index, one in enumerate(hosts):
        for other in hosts[index + 1 :]:
            pair = Pair(one, other, None, None)
            if pair.addresses and frozenset((one.key, other.key)) not in shaped:
                found.append(pair)
                if len(found) == UNSHAPED_PAIRS:
                    return found
    return found


def _spread(pairs: list[Pair], number: int) -> list[Pair]:
    """First, last and some between."""
    if len(pairs) <= number:
        return pairs
    return [pairs[round(place * (len(pairs) - 1) / (number - 1))] for place in range(number)]
