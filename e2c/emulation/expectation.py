"""What round trips over a link should look like: how long they take and how many are lost, from what is asked of it."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from e2c.model.link import LinkValues

QUARTILES = (0.25, 0.5, 0.75)
BACKGROUND_LOSS = 0.001
"""What networks and busy machines lose by themselves, and nobody asked for: no reason to fail."""

_POINTS = 200
_LARGEST = 4.0  # tables of tc end at four times the jitter
_SURELY_LOST = 0.85
"""Share of corrupted probes that are lost: most flipped bits are noticed by a checksum, or lead astray, but not all."""


@dataclass(frozen=True)
class Expectation:
    """What is asked of a round trip.

    Attributes:
        down: nothing may come through.
        delay_ms: the delays of both directions.
        quartiles_ms: quartiles of round trips, where they vary; empty where all take ``delay_ms``.
        loss: least and most probability that a probe gets no answer; they differ where packets are corrupted.
        repeated: least and most probability that a probe gets more than one answer.
    """

    down: bool
    delay_ms: float
    quartiles_ms: tuple[float, ...]
    loss: tuple[float, float]
    repeated: tuple[float, float] = (0.0, 0.0)

    @property
    def rtt_ms(self) -> float:
        """Of the round trip that is compared: the median where they vary, else the quickest."""
        return self.quartiles_ms[1] if self.quartiles_ms else self.delay_ms

    @property
    def answered(self) -> bool:
        """Some probe should be answered."""
        return not self.down and self.loss[0] < 1


def expect(there: LinkValues | None, back: LinkValues | None) -> Expectation:
    """What two directions of a link do to a round trip; ``None``: nothing."""
    ways = [way for way in (there, back) if way is not None]
    varying = any(way.jitter_ms or way.reorder_percent for way in ways)
    return Expectation(
        down=any(way.down for way in ways),
        delay_ms=sum(way.delay_ms or 0 for way in ways),
        quartiles_ms=_quartiles(there, back) if varying else (),
        loss=(_unanswered(there, back, _SURELY_LOST), _unanswered(there, back, 1)),
        repeated=(_repeated(there, back, 1), _repeated(there, back, _SURELY_LOST)),
    )


def _delays(way: LinkValues | None) -> tuple[float, ...]:
    """One direction's delays: as many quantiles as it takes to tell them, or the only one there is."""
    if way is None:
        return (0.0,)
    delay, jitter, overtaking = way.delay_ms or 0.0, way.jitter_ms or 0.0, (way.reorder_percent or 0) / 100
    if not jitter and not overtaking:
        return (delay,)
    early = round(overtaking * _POINTS)  # packets that overtake others are not delayed at all
    late = [(point + 0.5) / (_POINTS - early) for point in range(_POINTS - early)]
    spread = (max(0.0, delay + jitter * _deviation(way.distribution or "uniform", share)) for share in late)
    return (*[0.0] * early, *spread)


def _deviation(distribution: str, share: float) -> float:
    """The quantile of a distribution of jitter, in jitters, as the tables of tc (iproute2) have them."""
    if distribution == "uniform":
        return 2 * share - 1
    normal = statistics.NormalDist().inv_cdf(share)
    pareto = min(_LARGEST, (math.pow(1 - share, -1 / 3) - 1.5) * 4 / 3)
    return {"normal": normal, "pareto": pareto, "paretonormal": 0.25 * normal + 0.75 * pareto}[distribution]


@functools.cache
def _quartiles(there: LinkValues | None, back: LinkValues | None) -> tuple[float, ...]:
    """Of the soonest answer to a probe: each copy of it that arrives is answered, and each answer may be doubled."""
    none, one, two = _copies(back, 1)
    ways = _delays(back)
    shares = (_sooner((point + 0.5) / len(ways), one, two) for point in range(len(ways)))
    answers = [_at(ways, share) for share in shares]
    both = sorted(go + come for go in _delays(there) for come in answers)
    _, one, two = _copies(there, 1)
    answered = 1 - none
    single, double = one * answered + two * 2 * answered * none, two * answered**2
    return tuple(_at(both, _sooner(share, single, double)) for share in QUARTILES)


def _at(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))]


def _sooner(share: float, single: float, double: float) -> float:
    """Up to which share of a distribution a share of its draws lies, where of two draws the smaller one counts.

    With G the probability that a draw is larger, one in a mixture is so with *single* G + *double* G^2.

    Args:
        single, double: how often there is one draw, and how often there are two, up to a factor.
    """
    if not double:
        return share
    one, two = single / (single + double), double / (single + double)
    return 1 - (math.sqrt(one * one + 4 * two * (1 - share)) - one) / (2 * two)


def _unanswered(there: LinkValues | None, back: LinkValues | None, noticed: float) -> float:
    """Probability that no answer comes: each copy of a probe that arrives is answered, each answer may be lost."""
    no_answer = _copies(back, noticed)[0]
    return sum(share * no_answer**number for number, share in enumerate(_copies(there, noticed)))


def _repeated(there: LinkValues | None, back: LinkValues | None, noticed: float) -> float:
    """Probability that more than one answer comes."""
    _, one, two = _copies(there, noticed)
    no_answer, single, double = _copies(back, noticed)
    return one * double + two * (1 - no_answer**2 - 2 * no_answer * single)


def _copies(way: LinkValues | None, noticed: float) -> tuple[float, float, float]:
    """Probabilities that none, one or two copies of a packet arrive intact: each may be lost and damaged by itself."""
    if way is None:
        return 0.0, 1.0, 0.0
    if way.down:
        return 1.0, 0.0, 0.0
    lost, doubled = (way.loss_percent or 0) / 100, (way.duplicate_percent or 0) / 100
    arrives = (1 - lost) * (1 - noticed * (way.corrupt_percent or 0) / 100)
    one = (1 - doubled) * arrives + doubled * 2 * arrives * (1 - arrives)
    two = doubled * arrives**2
    none = (1 - doubled) * (1 - arrives) + doubled * (1 - arrives) ** 2
    return none, one, two
