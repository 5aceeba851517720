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
        whole: ``ok``, ``not met``, or ``no way`` where no packet gets from one testbed to another in this family; of
            unshaped pairs ``over 1 ms``.
        bounds: the 99 % interval of the probability of loss.
    """

    rtt: str
    loss: str
    whole: str
    bounds: tuple[float, float]


def judge(pair: Pair, found: Mapping[str, RoundTrips]) -> dict[str, Verdict]:
    """A verdict for each address.

    The quickest round trip must be the sum of both directions' delays, within 2 ms or 3 %, whichever is more, and what
    a rate limit adds to a probe. Where jitter or reordering vary it, the quartiles asked must lie in the 99 % intervals
    of those measured, within the same tolerance. The loss asked must lie in the 99 % interval of each family, and of
    both together; those who ask for none may lose what networks lose by themselves. Where a link is down, nothing may
    be answered.
    """
    reached = pair.reached(found)
    losses = _losses(pair, {address: found.get(address, RoundTrips()) for address in reached})
    verdicts = {}
    for address in pair.addresses.values():
        trips = found.get(address, RoundTrips())
        bounds = binomial.interval(trips.lost, trips.sent)
        if address not in reached:
            verdicts[address] = Verdict(NOT_ASKED, NOT_ASKED, NO_WAY, bounds)
        elif not pair.shaped:
            quick = trips.best_ms is not None and trips.best_ms <= UNSHAPED_MS
            verdicts[address] = Verdict(NOT_ASKED, NOT_ASKED, OK if quick else SLOW, bounds)
        else:
            rtt, loss = _round_trip(pair, trips), losses[address]
            verdicts[address] = Verdict(rtt, loss, NOT_MET if NOT_MET in (rtt, loss) else OK, bounds)
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
    """By address. Both families are lost by the same netem, so it takes only both together to be enough to judge."""
    if not pair.expected.answered:
        return {address: OK if trips.lost == trips.sent else NOT_MET for address, trips in found.items()}
    verdicts = {address: OK if _as_asked(pair, trips.lost, trips.sent) else NOT_MET for address, trips in found.items()}
    if NOT_MET in verdicts.values():
        return verdicts
    lost, sent = sum(trips.lost for trips in found.values()), sum(trips.sent for trips in found.values())
    if not _as_asked(pair, lost, sent):
        return dict.fromkeys(verdicts, NOT_MET)
    least = pair.expected.loss[0]
    return dict.fromkeys(verdicts, TOO_FEW if least > 0 and sent < binomial.fewest(least) else OK)


def _as_asked(pair: Pair, lost: int, sent: int) -> bool:
    least, most = pair.expected.loss
    low, high = binomial.interval(lost, sent)
    return high >= least and low <= max(most, BACKGROUND_LOSS)
