"""What a count of lost packets proves: exact binomial intervals, and how many probes it takes to tell.

Intervals are those of Clopper and Pearson, which hold at any number of probes: C. J. Clopper, E. S. Pearson: The use of
confidence or fiducial limits illustrated in the case of the binomial. Biometrika 26 (1934), 404-413.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

CONFIDENCE = 0.99
_TAIL = (1 - CONFIDENCE) / 2
_FALSE_ALARMS = 1e-4
_FEWEST_LOOKS = 3


def interval(lost: int, sent: int) -> tuple[float, float]:
    """The 99 % interval of the probability of loss, from 0 to 1; of nothing sent, everything."""
    if sent == 0:
        return 0.0, 1.0
    low = 0.0 if lost == 0 else _bisect(lambda share: 1 - at_most(lost - 1, sent, share) < _TAIL)
    high = 1.0 if lost == sent else _bisect(lambda share: at_most(lost, sent, share) > _TAIL)
    return low, high


def at_most(number: int, sent: int, share: float) -> float:
    """Probability of at most this many losses among ``sent`` probes, each lost with probability ``share``."""
    if number < 0:
        return 0.0
    if number >= sent or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    # always the tail whose terms fall from its first to its last, so that it may be cut off
    if number < sent * share:
        return _tail(number, sent, share, -1)
    return 1 - _tail(number + 1, sent, share, 1)


@functools.cache
def ranks(sent: int, share: float) -> tuple[int, int]:
    """Which two of ``sent`` ordered values, counted from 0, enclose the quantile ``share`` with 99 % confidence.

    Of a dozen values it is the first and the last, as near as so few come. Holds for every distribution: H. A. David,
    H. N. Nagaraja: Order Statistics (2003), section 7.1.
    """
    low = next((rank for rank in range(sent) if at_most(rank, sent, share) > _TAIL), 0)
    high = next((rank for rank in range(low, sent) if at_most(rank, sent, share) >= 1 - _TAIL), sent - 1)
    return max(0, low - 1), high


def fewest(share: float) -> int:
    """How many probes it takes so that none lost contradicts a probability of loss."""
    return math.ceil(math.log(_TAIL) / math.log1p(-share)) if 0 < share < 1 else 1


def looks(judgements: int) -> int:
    """How often what is not met is looked at again, with fresh probes, before it counts as not met.

    One honest link in a hundred lies outside its 99 % interval, so a single look would fail most deployments of many
    links. A link fails only if it lies outside of every one of ``k`` independent looks: 0.01^k by chance, and for any
    of ``m`` judgements at most m 0.01^k (Bonferroni's inequality; O. J. Dunn: Multiple comparisons among means. JASA 56
    (1961), 52-64). The number of looks is such that this is at most one in ten thousand measurements.
    """
    needed = math.log(_FALSE_ALARMS / max(1, judgements)) / math.log(1 - CONFIDENCE)
    return max(_FEWEST_LOOKS, math.ceil(needed - 1e-9))


def _tail(first: int, sent: int, share: float, step: int) -> float:
    logarithm = math.lgamma(sent + 1) - math.lgamma(first + 1) - math.lgamma(sent - first + 1)
    term = math.exp(logarithm + first * math.log(share) + (sent - first) * math.log1p(-share))
    total, number, odds = 0.0, first, share / (1 - share)
    while 0 <= number <= sent and term > total * 1e-17:
        total += term
        term *= (sent - number) / (number + 1) * odds if step > 0 else number / (sent - number + 1) / odds
        number += step
    return total


def _bisect(too_small: Callable[[float], bool]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return (low + high) / 2
