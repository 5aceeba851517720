"""How many probes are sent: enough for what is asked, in a time that is bounded."""

from __future__ import annotations

import pytest
from emulation_pairs import host, pair, shaped
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation import binomial
from e2c.emulation.pairs import Pair, by_rule, unshaped
from e2c.emulation.probe import WARM_UP
from e2c.emulation.probing import FEW, LOSS_LIMIT_S, PROBES_PER_S, SAMPLE, affordable, duration_s, volleys, wanted
from e2c.model.link import LinkValues

HOSTS = [host(number) for number in range(1, 9)]


@pytest.mark.parametrize(
    ("values", "probes"),
    [
        (LinkValues(delay_ms=20), FEW),
        (LinkValues(delay_ms=20, loss_percent=1), 500),  # to each of two addresses
        (LinkValues(delay_ms=20, loss_percent=0.5), 1000),
        (LinkValues(delay_ms=20, loss_percent=0.1), 2648),  # none of twice as many lost would contradict 0.1 %
        (LinkValues(delay_ms=20, loss_percent=0.01), 26490),
        (LinkValues(delay_ms=20, loss_percent=10), 125),
        (LinkValues(delay_ms=20, loss_percent=95), 240),  # so that a dozen are answered
        (LinkValues(delay_ms=20, jitter_ms=3), SAMPLE),
        (LinkValues(delay_ms=20, reorder_percent=3), SAMPLE),
        (LinkValues(duplicate_percent=3), 417),
        (LinkValues(duplicate_percent=30), SAMPLE),
        (LinkValues(down=True), FEW),
        (LinkValues(loss_percent=100), FEW),
    ],
)
def test_more_probes_where_more_is_to_be_seen(values: LinkValues, probes: int) -> None:
    assert wanted(pair(values)) == pytest.approx(probes, abs=1)


@pytest.mark.parametrize("percent", [0.1, 0.5, 1, 10])
def test_one_link_is_probed_in_the_time_that_is_told(percent: float) -> None:
    one = pair(LinkValues(delay_ms=1, loss_percent=percent))
    counts = affordable([one])
    whole_s = duration_s(counts)
    sent = volleys([one], counts, whole_s)
    assert len(sent) == 2  # each family by a program of its own
    for _, volley in sent:
        assert (volley.count + WARM_UP) * volley.period_ms <= 1000 * whole_s + volley.count + WARM_UP
    if percent == 0.1:
        assert {volley.period_ms for _, volley in sent} == {1}


def test_both_families_together_are_enough_to_see_that_nothing_is_lost() -> None:
    for percent in (0.05, 0.1, 1, 10, 50):
        one = pair(LinkValues(loss_percent=percent))
        assert 2 * wanted(one) >= binomial.fewest(percent / 100)
    (count,) = affordable([pair(LinkValues(loss_percent=0.1))]).values()
    assert 2 * count >= binomial.fewest(0.001)


@given(st.lists(st.sampled_from([None, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0]), min_size=1, max_size=28))
def test_the_time_is_bounded_and_shared(losses: list[float | None]) -> None:
    ends = [(one, other) for place, one in enumerate(HOSTS) for other in HOSTS[place + 1 :]]
    pairs = [
        Pair(one, other, shaped(one, other, LinkValues(delay_ms=1, loss_percent=loss)), None)
        for (one, other), loss in zip(ends, losses, strict=False)
    ]
    counts = affordable(pairs)
    assert sum(2 * count for count in counts.values()) <= LOSS_LIMIT_S * PROBES_PER_S
    cut = {count for one, count in counts.items() if count < wanted(one)}
    assert len(cut) <= 1
    for one, count in counts.items():
        assert FEW <= count <= wanted(one)
        assert not cut or count <= max(cut)


def test_doubts_get_four_times_as_many_probes_as_far_as_they_fit() -> None:
    some, many = pair(LinkValues(loss_percent=2)), pair(LinkValues(loss_percent=0.1))
    assert affordable([some], thorough=True)[some] == 4 * wanted(some)
    assert 2 * affordable([many], thorough=True)[many] == LOSS_LIMIT_S * PROBES_PER_S


def test_a_narrow_link_is_not_filled_with_probes() -> None:
    (count,) = affordable([pair(LinkValues(loss_percent=0.1, rate_kbit=500))]).values()
    assert count * 2 * 944 / (LOSS_LIMIT_S * 500_000) == pytest.approx(0.2, rel=0.01)
    assert set(affordable([pair(LinkValues(rate_kbit=1))]).values()) == {FEW}


def test_of_each_rule_some_pairs_are_measured_and_of_different_pairs_each() -> None:
    quick, slow = LinkValues(delay_ms=1), LinkValues(delay_ms=9)
    first = [shaped(HOSTS[0], other, quick, rule=0).model_copy(update={"dst": "others"}) for other in HOSTS[1:]]
    back = [shaped(HOSTS[3], HOSTS[0], slow, rule=1)]
    rules = by_rule([*first, *back], HOSTS)
    assert [len(found) for found in rules.values()] == [4, 1]
    measured = [one.destination.key for one in next(iter(rules.values()))]
    assert measured == [HOSTS[place].key for place in (1, 4, 7, 3)]  # three alike, and the one with another way back
    assert [one.expected.delay_ms for found in rules.values() for one in found] == [1, 1, 1, 10, 10]


def test_pairs_that_no_rule_concerns_are_a_few() -> None:
    asked = [shaped(HOSTS[0], other, LinkValues(delay_ms=1)) for other in HOSTS[1:]]
    assert [(one.source.key[-1], one.destination.key[-1]) for one in unshaped(asked, HOSTS)] == [
        ("2", "3"),
        ("2", "4"),
        ("2", "5"),
    ]
    assert unshaped(asked, HOSTS[:2]) == []
