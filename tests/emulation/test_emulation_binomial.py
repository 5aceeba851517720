"""Exact binomial intervals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation import binomial


@pytest.mark.parametrize(
    ("lost", "sent", "low", "high"),
    [
        (0, 10, 0.0, 0.4113),
        (5, 10, 0.1283, 0.8717),
        (10, 10, 0.5887, 1.0),
        (1, 100, 0.0000501, 0.0720),
        (0, 0, 0.0, 1.0),
    ],
)
def test_intervals_are_those_of_clopper_and_pearson(lost: int, sent: int, low: float, high: float) -> None:
    assert binomial.interval(lost, sent) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 4000), st.floats(0, 1))
def test_the_ends_of_an_interval_leave_half_a_percent_on_either_side(sent: int, share: float) -> None:
    lost = round(share * sent)
    low, high = binomial.interval(lost, sent)
    assert low <= lost / sent <= high
    if lost > 0:
        assert 1 - binomial.at_most(lost - 1, sent, low) == pytest.approx(0.005, rel=1e-6)
    if lost < sent:
        assert binomial.at_most(lost, sent, high) == pytest.approx(0.005, rel=1e-6)


@given(st.integers(1, 60), st.integers(-1, 61), st.floats(0, 1))
def test_tails_are_sums_of_binomial_terms(sent: int, number: int, share: float) -> None:
    terms = [math.comb(sent, k) * share**k * (1 - share) ** (sent - k) for k in range(sent + 1) if k <= number]
    assert binomial.at_most(number, sent, share) == pytest.approx(sum(terms), abs=1e-9)


@given(st.floats(1e-4, 0.9))
def test_the_fewest_probes_are_those_after_which_none_lost_says_something(share: float) -> None:
    enough = binomial.fewest(share)
    assert binomial.interval(0, enough)[1] <= share * (1 + 1e-9)
    assert enough == 1 or binomial.interval(0, enough - 1)[1] > share


@pytest.mark.parametrize(("judgements", "looks"), [(1, 3), (100, 3), (101, 4), (10_000, 4), (10_001, 5)])
def test_more_judgements_are_looked_at_more_often(judgements: int, looks: int) -> None:
    assert binomial.looks(judgements) == looks
    assert judgements * 0.01**looks <= 1e-4 * (1 + 1e-9)


@given(st.integers(60, 600), st.sampled_from([0.25, 0.5, 0.75]))
def test_ranks_enclose_a_quantile(sent: int, share: float) -> None:
    low, high = binomial.ranks(sent, share)
    assert 0 <= low < share * sent < high <= sent
    assert binomial.at_most(low, sent, share) <= 0.005
    assert 1 - binomial.at_most(high, sent, share) <= 0.005


def test_of_few_values_the_ranks_are_the_outermost() -> None:
    assert binomial.ranks(1, 0.5) == (0, 0)
    assert binomial.ranks(3, 0.5) == (0, 2)
