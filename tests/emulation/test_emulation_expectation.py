"""What round trips should look like."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2c.emulation.expectation import expect
from e2c.model.link import Distribution, LinkValues


def test_nothing_asked() -> None:
    expected = expect(None, None)
    assert (expected.delay_ms, expected.loss, expected.quartiles_ms) == (0, (0, 0), ())
    assert expected.answered


def test_delays_add_up_and_losses_combine() -> None:
    expected = expect(LinkValues(delay_ms=20, loss_percent=20), LinkValues(delay_ms=5, loss_percent=10))
    assert (expected.delay_ms, expected.rtt_ms) == (25, 25)
    assert expected.loss == pytest.approx((0.28, 0.28))


@pytest.mark.parametrize("down", [LinkValues(down=True), LinkValues(loss_percent=100)])
def test_where_nothing_passes_nothing_is_answered(down: LinkValues) -> None:
    for ways in ((down, None), (None, down), (down, down), (LinkValues(delay_ms=1), down)):
        expected = expect(*ways)
        assert not expected.answered
        assert expected.loss == (1, 1)


@pytest.mark.parametrize(
    ("distribution", "quartiles"),
    [
        (None, (45, 50, 55)),
        ("uniform", (45, 50, 55)),
        ("normal", (43.3, 50, 56.7)),
        ("pareto", (44.7, 46.8, 51.2)),  # the tables of iproute2 have -0.533, -0.320 and 0.116 jitters there
        ("paretonormal", (44.3, 47.6, 52.6)),  # and -0.568, -0.240 and 0.255
    ],
)
def test_jitter_spreads_round_trips(distribution: Distribution | None, quartiles: tuple[float, ...]) -> None:
    expected = expect(LinkValues(delay_ms=50, jitter_ms=10, distribution=distribution), None)
    assert expected.quartiles_ms == pytest.approx(quartiles, abs=0.15)
    assert expected.rtt_ms == expected.quartiles_ms[1]


def test_jitter_of_both_directions_adds_up() -> None:
    way = LinkValues(delay_ms=50, jitter_ms=10, distribution="normal")
    first, middle, third = expect(way, way).quartiles_ms
    assert middle == pytest.approx(100, abs=0.2)
    assert third - first == pytest.approx(2 * 0.6745 * 10 * 2**0.5, rel=0.02)


def test_packets_that_overtake_are_not_delayed() -> None:
    assert expect(LinkValues(delay_ms=20, reorder_percent=30), None).quartiles_ms == (0, 20, 20)
    assert expect(LinkValues(delay_ms=20, reorder_percent=60), LinkValues(delay_ms=5)).quartiles_ms == (5, 5, 25)


def test_delays_are_never_negative() -> None:
    assert expect(LinkValues(delay_ms=1, jitter_ms=10), None).quartiles_ms[0] == 0


def test_corruption_may_lose_or_not() -> None:
    least, most = expect(LinkValues(corrupt_percent=10), None).loss
    assert (least, most) == pytest.approx((0.085, 0.1))


@settings(deadline=None, max_examples=30)
@given(*[st.sampled_from([0.0, 3.0, 20.0, 70.0])] * 4)
def test_losses_and_duplicates_are_those_of_the_way(loss: float, doubled: float, loss_back: float, back: float) -> None:
    """Plays what happens to each packet: it may be doubled, and then each may be lost."""
    there = LinkValues(loss_percent=loss, duplicate_percent=doubled)
    way_back = LinkValues(loss_percent=loss_back, duplicate_percent=back)
    dice = random.Random(7)

    def copies(way: LinkValues) -> int:
        sent = 1 + (dice.random() * 100 < (way.duplicate_percent or 0))
        return sum(dice.random() * 100 >= (way.loss_percent or 0) for _ in range(sent))

    answers = [sum(copies(way_back) for _ in range(copies(there))) for _ in range(4000)]
    expected = expect(there, way_back)
    assert answers.count(0) / 4000 == pytest.approx(expected.loss[0], abs=0.04)
    assert sum(one > 1 for one in answers) / 4000 == pytest.approx(expected.repeated[0], abs=0.04)


def test_what_loses_nothing_is_expected_to_lose_nothing_at_all() -> None:
    assert expect(LinkValues(duplicate_percent=30), LinkValues(duplicate_percent=7.7)).loss == (0, 0)


@pytest.mark.parametrize(("there", "back"), [(100, 0), (0, 60), (50, 50)])
def test_of_duplicates_the_sooner_one_counts(there: float, back: float) -> None:
    """Beside a game of chance: uniform delays, copies that are lost by themselves, an answer to each that arrives."""
    chance = random.Random(7)

    def copies(duplicate: float) -> list[float]:
        number = 2 if chance.random() < duplicate / 100 else 1
        return [chance.uniform(20, 80) for _ in range(number) if chance.random() > 0.1]

    played = sorted(
        min(times) for _ in range(40_000) if (times := [go + come for go in copies(there) for come in copies(back)])
    )
    ways = [LinkValues(delay_ms=50, jitter_ms=30, loss_percent=10, duplicate_percent=share) for share in (there, back)]
    expected = expect(*ways).quartiles_ms
    assert expected == pytest.approx([played[int(share * len(played))] for share in (0.25, 0.5, 0.75)], abs=0.8)
