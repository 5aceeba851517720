"""Verdicts on what hosts answered: no host, no packet."""

from __future__ import annotations

import random

import pytest
from emulation_pairs import answers, pair

from e2c.emulation import binomial
from e2c.emulation.judging import NO_WAY, NOT_ASKED, NOT_MET, OK, SLOW, TOO_FEW, judge
from e2c.emulation.pairs import Pair
from e2c.emulation.probe import RoundTrips
from e2c.model.link import LinkValues

V4, V6 = "10.0.0.2", "fd00::2"


def whole(shaped: Pair, found: dict[str, RoundTrips]) -> tuple[str, str]:
    verdicts = judge(shaped, found)
    return verdicts[V4].whole, verdicts[V6].whole


@pytest.mark.parametrize(
    ("asked_ms", "best_ms", "verdict"),
    [
        (20, 20.1, OK),
        (20, 21.9, OK),
        (20, 22.1, NOT_MET),
        (20, 18.1, OK),
        (20, 17.9, NOT_MET),
        (200, 205.9, OK),
        (200, 206.1, NOT_MET),
        (0.5, 0.6, OK),
    ],
)
def test_the_quickest_round_trip_is_within_2_ms_or_3_percent(asked_ms: float, best_ms: float, verdict: str) -> None:
    shaped = pair(LinkValues(delay_ms=asked_ms))
    assert whole(shaped, answers(best_ms, best_ms + 50, best_ms + 9)) == (verdict, verdict)


def test_each_family_is_judged_by_itself() -> None:
    shaped = pair(LinkValues(delay_ms=20))
    assert whole(shaped, answers(*[20.0] * 12, v6=(0.1,) * 12)) == (OK, NOT_MET)
    assert whole(shaped, answers(*[20.0] * 12, v6=(None,) * 12)) == (OK, NOT_MET)


def test_a_rate_may_add_what_a_probe_takes() -> None:
    shaped = pair(LinkValues(delay_ms=20, rate_kbit=100))  # 944 bits take 9.44 ms
    assert whole(shaped, answers(31.0)) == (OK, OK)
    assert whole(shaped, answers(32.0)) == (NOT_MET, NOT_MET)


def test_between_testbeds_one_family_may_lead_nowhere() -> None:
    shaped = pair(LinkValues(delay_ms=20), far=True)
    nowhere: tuple[float | None, ...] = (None,) * 12
    assert whole(shaped, answers(*[20.0] * 12, v6=nowhere)) == (OK, NO_WAY)
    assert whole(shaped, answers(*nowhere)) == (NOT_MET, NOT_MET)
    assert whole(pair(LinkValues(delay_ms=20)), answers(*[20.0] * 12, v6=nowhere)) == (OK, NOT_MET)


def test_pairs_that_no_rule_concerns_are_quick_or_told_not_to_be() -> None:
    assert whole(pair(), answers(0.3, 4.0, v6=(1.2, 3.0))) == (OK, SLOW)
    assert whole(pair(), answers(None, None, v6=(0.9,))) == (SLOW, OK)


def test_a_link_that_is_down_answers_nothing() -> None:
    shaped = pair(LinkValues(delay_ms=20, down=True))
    assert whole(shaped, answers(*[None] * 12)) == (OK, OK)
    assert whole(shaped, answers(*[None] * 11, 20.0, v6=(None,) * 12)) == (NOT_MET, OK)
    assert judge(shaped, answers(*[None] * 12))[V4].rtt == NOT_ASKED


def test_jitter_is_judged_by_quartiles() -> None:
    shaped = pair(LinkValues(delay_ms=50, jitter_ms=20))
    dice = random.Random(1)
    as_asked = [dice.uniform(30, 70) for _ in range(200)]
    assert whole(shaped, answers(*as_asked)) == (OK, OK)
    assert whole(shaped, answers(*[50.0] * 200)) == (NOT_MET, NOT_MET)  # the median alone would do
    assert whole(shaped, answers(*(time + 12 for time in as_asked))) == (NOT_MET, NOT_MET)
    assert whole(shaped, answers(*(50 + 3 * (time - 50) for time in as_asked))) == (NOT_MET, NOT_MET)


def test_reordering_is_judged_by_quartiles() -> None:
    shaped = pair(LinkValues(delay_ms=20, reorder_percent=40))
    assert whole(shaped, answers(*[0.2, 20.1, 20.1, 0.2, 20.1] * 40)) == (OK, OK)
    assert whole(shaped, answers(*[20.1] * 200)) == (NOT_MET, NOT_MET)


def lossy(sent: int, lost: int) -> tuple[float | None, ...]:
    return (None,) * lost + (10.0,) * (sent - lost)


@pytest.mark.parametrize(
    ("sent", "lost", "verdict"),
    [
        (100, 10, OK),
        (100, 6, OK),
        (100, 1, NOT_MET),
        (100, 25, NOT_MET),
        (26, 0, NOT_MET),  # of both together 52 probes: the 99 % interval of none lost ends at 9.7 %
        (25, 0, TOO_FEW),  # and of 50 probes at 10.1 %
        (24, 12, NOT_MET),  # but enough to see that too many are lost
    ],
)
def test_losses_are_judged_by_the_binomial_interval(sent: int, lost: int, verdict: str) -> None:
    shaped = pair(LinkValues(delay_ms=10, loss_percent=10))
    found = judge(shaped, answers(*lossy(sent, lost)))[V4]
    assert found.loss == verdict
    assert found.bounds == binomial.interval(lost, sent)


@pytest.mark.parametrize(
    ("sent", "repeated", "verdict"), [(200, 40, OK), (200, 80, NOT_MET), (200, 0, NOT_MET), (11, 0, TOO_FEW)]
)
def test_duplicates_are_judged_by_the_binomial_interval(sent: int, repeated: int, verdict: str) -> None:
    doubling = pair(LinkValues(delay_ms=10, duplicate_percent=20))
    found = {address: RoundTrips((10.0,) * sent, repeated) for address in (V4, V6)}
    judged = judge(doubling, found)[V4]
    assert (judged.duplicates, judged.whole) == (verdict, OK if verdict == TOO_FEW else verdict)
    assert judge(pair(LinkValues(delay_ms=10)), found)[V4].duplicates == NOT_ASKED


def test_families_that_pass_apart_may_fail_together() -> None:
    shaped = pair(LinkValues(delay_ms=10, loss_percent=10))
    found = answers(*lossy(50, 1))
    alone = judge(shaped, {V4: found[V4], V6: RoundTrips(lossy(50, 5))})
    assert {verdict.loss for verdict in alone.values()} == {OK}
    assert {verdict.loss for verdict in judge(shaped, answers(*lossy(50, 1))).values()} == {NOT_MET}


def test_what_networks_lose_by_themselves_is_no_reason_to_fail() -> None:
    shaped = pair(LinkValues(delay_ms=10))
    assert whole(shaped, answers(*lossy(12, 1), v6=lossy(12, 0))) == (OK, OK)
    assert whole(shaped, answers(*lossy(12, 2), v6=lossy(12, 0))) == (NOT_MET, OK)


def test_honest_links_are_not_accused() -> None:
    """Of 300 honest links some fall out of a single look; none is out of as many as it takes."""
    shaped = pair(LinkValues(delay_ms=10, loss_percent=5), LinkValues(loss_percent=3))
    dice = random.Random(3)
    first_look = accused = 0
    for _ in range(300):
        for look in range(binomial.looks(300)):
            found = answers(
                *(None if dice.random() < 0.0785 else 10.0 for _ in range(120)),
                v6=tuple(None if dice.random() < 0.0785 else 10.0 for _ in range(120)),
            )
            if whole(shaped, found) == (OK, OK):
                break
            first_look += look == 0
        else:
            accused += 1
    assert 0 < first_look < 15
    assert accused == 0
