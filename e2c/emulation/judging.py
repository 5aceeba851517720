"""Verdicts: whether round trips and losses of a pair are what is asked of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from e2c.emulation import binomial
from e2c.emulation.expectation import BACKGROUND_LOSS, QUARTILES
from e2c.emulation.pairs import Pair
from e2c.emulation.probe import RoundTrips

OK = "ok"
NOT_MET = "not met"
NO_WAY = "no way"
TOO_FEW = "not judged: too few probes"
NOT_ASKED = "not asked"
UNSHAPED_MS = 1.0
SLOW = f"over {UNSHAPED_MS:g} ms"


@dataclass(frozen=True)
class Verdict:
    """Of one address of a pair.

    Attributes:
        rtt, loss: ``ok``, ``not met``, ``not asked`` of a link that is down; loss also ``not judged: too few probes``.
        duplicates: of probes that are answered more than once, as loss; ``not asked`` where nothing is duplicated.
        whole: ``ok``, ``not met``, or ``no way`` where no packet gets from one testbed to another in this family; of
            unshaped pairs ``over 1 ms``.
        bounds: the 99 % interval of the probability of loss.
    """

    rtt: str
    loss: str
    duplicates: str
    whole: str
    bounds: tuple[float, float]


def judge(pair: Pair, found: Mapping[str, RoundTrips]) -> dict[str, Verdict]:
    """A verdict for each address.

    The quickest round trip must be the sum of both directions' delays, within 2 ms or 3 %, whichever is more, and what
    a rate limit adds to a probe. Where jitter or reordering vary it, the quartiles asked must lie in the 99 % intervals
    of those measured, within the same tolerance. The loss asked must lie in the 99 % interval of each family, and of
    both together; those who ask for none may lose what networks lose by themselves. Where packets are duplicated, so
    must the share of probes that are answered more than once. Where a link is down, nothing may be answered.
    """
    reached = pair.reached(found)
    trips_of = {address: found.get(address, RoundTrips()) for address in reached}
    losses, duplicates = _losses(pair, trips_of), _duplicates(pair, trips_of)
    verdicts = {}
    for address in pair.addresses.values():
        trips = found.get(address, RoundTrips())
        bounds = binomial.interval(trips.lost, trips.sent)
        if address not in reached:
            verdicts[address] = Verdict(NOT_ASKED, NOT_ASKED, NOT_ASKED, NO_WAY, bounds)
        elif not pair.shaped:
            quick = trips.best_ms is not None and trips.best_ms <= UNSHAPED_MS
            verdicts[address] = Verdict(NOT_ASKED, NOT_ASKED, NOT_ASKED, OK if quick else SLOW, bounds)
        else:
            found_of = _round_trip(pair, trips), losses[address], duplicates[address]
            verdicts[address] = Verdict(*found_of, NOT_MET if NOT_MET in found_of else OK, bounds)
    return verdicts


def _round_trip(pair: Pair, trips: RoundTrips) -> str:
    expected, tolerance, slack = pair.expected, pair.tolerance_ms, pair.slack_ms
    if not expected.answered:
        return NOT_ASKED
    if trips.best_ms is None:
        return NOT_MET
    if not expected.quartiles_ms:
        return OK if -tolerance <= trips.best_ms - expected.delay_ms <= tolerance + slack else NOT_MET
    ordered = sorted(trips.times_ms)
    for share, asked in zip(QUARTILES, expected.quartiles_ms, strict=True):
        low, high = (ordered[rank] for rank in binomial.ranks(len(ordered), share))
        if not low - tolerance - slack <= asked <= high + tolerance:
            return NOT_MET
    return OK


def _losses(pair: Pair, found: Mapping[str, RoundTrips]) -> dict[str, str]:
    """By address."""
    if not pair.expected.answered:
        return {address: OK if trips.lost == trips.sent else NOT_MET for address, trips in found.items()}
    least, most = pair.expected.loss
    counts = {address: (trips.lost, trips.sent) for address, trips in found.items()}
    return _shares(counts, least, max(most, BACKGROUND_LOSS))


def _duplicates(pair: Pair, found: Mapping[str, RoundTrips]) -> dict[str, str]:
    """By address."""
    least, most = pair.expected.repeated
    if not pair.expected.answered or not most:
        return dict.fromkeys(found, NOT_ASKED)
    return _shares({address: (trips.repeated, trips.sent) for address, trips in found.items()}, least, most)


def _shares(counts: Mapping[str, tuple[int, int]], least: float, most: float) -> dict[str, str]:
    """By address, of how many of how many probes something is true that is asked of a share.

    Both families pass the same netem, so it takes only both together to be enough to judge.
    """

    def verdict(number: int, sent: int) -> str:
        low, high = binomial.interval(number, sent)
        return OK if high >= least and low <= most else NOT_MET

    verdicts = {address: verdict(*count) for address, count in counts.items()}
    if NOT_MET in verdicts.values():
        return verdicts
    number, sent = (sum(each) for each in zip(*counts.values(), strict=True)) if counts else (0, 0)
    if verdict(number, sent) == NOT_MET:
        return dict.fromkeys(verdicts, NOT_MET)
    return dict.fromkeys(verdicts, TOO_FEW if least > 0 and sent < binomial.fewest(least) else OK)
