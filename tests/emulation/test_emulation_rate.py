"""Which rates are measured, when, and what iperf3's answers mean: no host, no packet."""

from __future__ import annotations

import itertools
import json

import pytest
from emulation_pairs import host, pair, shaped
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.pairs import Pair
from e2c.emulation.rate import NO_ANSWER, TOO_SLOW, Flow, Throughput, flows, read, rounds
from e2c.model.link import LinkValues

HOSTS = [host(number) for number in range(1, 7)]


def flow(kbit: float = 10_000, *, family: str = "v4", one: int = 0, other: int = 1, **values: float) -> Flow:
    source, destination = HOSTS[one], HOSTS[other]
    asked = shaped(source, destination, LinkValues(rate_kbit=kbit, **values))
    return Flow(source, destination, asked, family, 20)


def printed(*kbit: float) -> str:
    """What iperf3 prints of intervals of a quarter of a second."""
    sums = [
        {"start": place / 4, "end": (place + 1) / 4, "seconds": 0.25, "bytes": 1000 * value * 0.25 / 8}
        for place, value in enumerate(kbit)
    ]
    return json.dumps({"intervals": [{"streams": [], "sum": one} for one in sums], "end": {}})


def test_what_came_while_tcp_sped_up_does_not_count_and_headers_do() -> None:
    text = printed(100, 90_000, 500, 9_564, 9_564, 9_564)  # 1448 of 1514 bytes are payload
    assert read(flow(), text).kbit == pytest.approx(10_000, rel=1e-3)
    assert read(flow(family="v6"), text).kbit == pytest.approx(9_564 * 1514 / 1428, rel=1e-3)
    assert read(flow(loss_percent=1.0), text).kbit == pytest.approx(9_564 * 1442 / 1400, rel=1e-3)


@pytest.mark.parametrize("text", ["", "iperf3: error", "{}", '{"intervals": []}', '{"intervals": [{}]}', "[]", "7"])
def test_no_measurement_is_not_judged(text: str) -> None:
    found = read(flow(), text)
    assert (found.kbit, found.verdict(flow())) == (None, NO_ANSWER)


@pytest.mark.parametrize(
    ("asked", "measured", "verdict"),
    [
        (10_000, 9_100, "ok"),
        (10_000, 8_900, "not met"),
        (10_000, 10_900, "ok"),
        (10_000, 11_100, "not met"),
        (1e6, 2e5, TOO_SLOW),
        (1e6, 1.2e6, "not met"),
    ],
)
def test_rates_are_within_a_tenth_where_hosts_can_send_as_much(asked: float, measured: float, verdict: str) -> None:
    assert Throughput(measured, "").verdict(flow(asked)) == verdict


def test_links_that_tcp_would_not_fill_are_filled_by_udp() -> None:
    assert flow().protocol == "tcp"
    for name in ("loss_percent", "corrupt_percent", "jitter_ms", "reorder_percent"):
        assert flow(**{name: 1.0}).protocol == "udp"


def test_each_different_rate_of_a_rule_is_measured_once() -> None:
    def both(_: Pair) -> list[str]:
        return ["v4", "v6"]

    slow, fast = LinkValues(rate_kbit=1000), LinkValues(rate_kbit=9000)
    alike = [
        Pair(one, other, shaped(one, other, slow), shaped(other, one, slow)) for one, other in itertools.pairwise(HOSTS)
    ]
    assert [(one.source, one.family) for one in flows(alike, 0, both)] == [(HOSTS[0], "v4"), (HOSTS[0], "v6")]
    other_way_back = [pair(slow, fast)]
    assert [one.rate_kbit for one in flows(other_way_back, 0, both)] == [1000, 1000, 9000, 9000]
    assert [one.address for one in flows(other_way_back, 0, both)][2:] == ["10.0.0.2", "fd00::2"]
    back = other_way_back[0].back
    assert back is not None
    of_another_rule = Pair(HOSTS[0], HOSTS[1], other_way_back[0].there, back.model_copy(update={"rule": 7}))
    assert [one.rate_kbit for one in flows([of_another_rule], 0, both)] == [1000, 1000]
    assert flows([pair(LinkValues(rate_kbit=1000, down=True)), pair(LinkValues(delay_ms=1))], 0, both) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from([1e3, 6e4, 1e6])), max_size=20))
def test_no_host_is_in_two_flows_at_once_and_all_have_their_turn(ends: list[tuple[int, int, float]]) -> None:
    wanted = [flow(kbit, one=one, other=other) for one, other, kbit in dict.fromkeys(ends) if one != other]
    turns = list(rounds(wanted))
    assert sorted(map(id, wanted)) == sorted(id(one) for together in turns for one in together)
    for together in turns:
        hosts = [key for one in together for key in (one.source.key, one.destination.key)]
        assert len(hosts) == len(set(hosts))
        assert len(together) == 1 or sum(one.rate_kbit for one in together) <= 100_000
