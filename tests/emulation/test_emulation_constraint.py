"""From planned links to constraints: no host, no tc."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.apply import describe
from e2c.emulation.constraint import Constraint, changed, constraints
from e2c.emulation.exempt import exemptions
from e2c.errors import EmulationError
from e2c.model.host import Addresses, Host, Interface
from e2c.model.link import LinkValues, PlannedChange, PlannedLink
from e2c.model.plan import Plan, ProvenancePlan


def host(number: int, *, devices: tuple[str, ...] = ("eth0",), v6: bool = True) -> Host:
    v4, six = f"10.0.0.{number}", f"fd00::{number:x}" if v6 else None
    return Host(
        key=f"layer.service.1.{number}",
        layer="layer",
        service="service",
        testbed="local",
        provider="local",
        hostname=f"h{number}",
        address=v4,
        addresses=Addresses(v4=v4, v6=six),
        interfaces=tuple(Interface(device=device, addresses=(f"{v4}/24",)) for device in devices),
    )


HOSTS = [host(number) for number in range(1, 6)]
KEYS = [one.key for one in HOSTS]
some_keys = st.lists(st.sampled_from(KEYS), max_size=5).map(tuple)
some_links = st.lists(
    st.builds(
        PlannedLink,
        src=st.just("a"),
        dst=st.just("b"),
        sources=some_keys,
        destinations=some_keys,
        delay_ms=st.none() | st.floats(0, 5000),
        symmetric=st.booleans(),
        back=st.none() | st.builds(LinkValues, delay_ms=st.floats(0, 5000)),
    ),
    max_size=6,
)


def link(sources: list[str], destinations: list[str], **values: object) -> PlannedLink:
    return PlannedLink(src="a", dst="b", sources=tuple(sources), destinations=tuple(destinations), **values)


@given(some_links)
def test_every_pair_gets_the_last_rule_that_names_it(links: list[PlannedLink]) -> None:
    expected = {}
    for number, one in enumerate(links):
        mine: dict[tuple[str, str], tuple[int, str, float | None]] = {}
        for source in one.sources:
            for destination in one.destinations:
                mine.setdefault((source, destination), (number, "there", one.delay_ms))
                if one.symmetric or one.back is not None:
                    mine.setdefault((destination, source), (number, "back", (one.back or one).delay_ms))
        expected.update(mine)
    made = constraints(links, HOSTS)
    assert {(c.source, c.destination): (c.rule, c.way, c.delay_ms) for c in made} == {
        pair: found for pair, found in expected.items() if pair[0] != pair[1]
    }
    assert len({(c.source, c.destination) for c in made}) == len(made)


def test_an_asymmetric_pair_says_what_each_way_does() -> None:
    rule = link([KEYS[0]], [KEYS[1]], delay_ms=5, loss_percent=1, back=LinkValues(delay_ms=50, rate_kbit=100))
    there, back = constraints([rule], HOSTS)
    assert (there.source, describe(there)) == (KEYS[0], "delay 5ms loss 1%")
    assert (back.source, describe(back)) == (KEYS[1], "delay 50ms rate 100kbit")


def change(sources: list[str], destinations: list[str], **values: object) -> PlannedChange:
    ends = {"sources": tuple(sources), "destinations": tuple(destinations)}
    return PlannedChange(at_s=3, src="a", dst="b", **ends, **values)


def test_a_change_keeps_what_it_does_not_name() -> None:
    asked = constraints([link(KEYS[:1], KEYS[1:3], delay_ms=5, jitter_ms=1, loss_percent=1)], HOSTS)
    after = changed(asked, change(KEYS[:1], [KEYS[1]], delay_ms=9, down=True), HOSTS)
    assert [describe(one) for one in after] == ["down delay 9ms jitter 1ms loss 1%", "delay 5ms jitter 1ms loss 1%"]
    assert (after[0].lost_percent, after[1]) == (100, asked[1])
    up = changed(after, change(KEYS[:1], KEYS[1:2], down=False), HOSTS)
    assert describe(up[0]) == "delay 9ms jitter 1ms loss 1%"


def test_a_change_may_shape_pairs_that_no_rule_does_and_both_ways() -> None:
    asked = constraints([link(KEYS[:1], KEYS[1:2], delay_ms=5)], HOSTS)
    after = changed(asked, change(KEYS[:2], KEYS[1:3], down=True, symmetric=True), HOSTS)
    assert [(one.source, one.destination, one.rule, one.delay_ms) for one in after] == [
        (KEYS[0], KEYS[1], 0, 5),
        (KEYS[1], KEYS[0], -1, None),
        (KEYS[0], KEYS[2], -1, None),
        (KEYS[2], KEYS[0], -1, None),
        (KEYS[1], KEYS[2], -1, None),
        (KEYS[2], KEYS[1], -1, None),
    ]
    assert all(one.down for one in after)


def test_a_change_that_no_host_can_make_is_refused() -> None:
    asked = constraints([link(KEYS[:1], KEYS[1:2], delay_ms=5, reorder_percent=2)], HOSTS)
    with pytest.raises(
        EmulationError, match=r"service.1.1 to layer.service.1.2 cannot be changed: reorder needs a delay"
    ):
        changed(asked, change(KEYS[:1], KEYS[1:2], delay_ms=0), HOSTS)
    with pytest.raises(EmulationError, match=r"layer.service.1.9: the link from a to b.*not acquired"):
        changed(asked, change(KEYS[:1], ["layer.service.1.9"], delay_ms=0), HOSTS)


def plan(**values: object) -> Plan:
    service = ProvenancePlan(host=KEYS[1], agents=(), topics={}, dataflow_spec="x")
    return Plan(job_name="x", walltime_s=60, testbeds={}, hosts=(), provenance=service, **values)


def test_captures_are_exempt_where_network_yaml_says_so() -> None:
    exempt = exemptions(plan(untouched=("provenance",)), HOSTS)
    there, back, other = constraints(
        [link(KEYS[:1], KEYS[1:2], symmetric=True), link(KEYS[:1], KEYS[2:3])], HOSTS, exempt
    )
    assert [(one.port, one.end) for one in there.exempt] == [(1883, "dst"), (8883, "dst")]
    assert [(one.port, one.end) for one in back.exempt] == [(1883, "src"), (8883, "src")]
    assert other.exempt == ()
    shaped = constraints([link(KEYS[:1], KEYS[1:2])], HOSTS, exemptions(plan(untouched=()), HOSTS))
    assert shaped[0].exempt == ()


def test_ssh_is_exempt_where_the_controller_is_one_of_the_hosts() -> None:
    here = HOSTS[0].model_copy(update={"addresses": Addresses(v4="127.0.0.1"), "port": 2200})
    away = [Addresses(v4=f"198.51.100.{number}") for number in (2, 3)]
    hosts = [here, *(one.model_copy(update={"addresses": there}) for one, there in zip(HOSTS[1:3], away, strict=True))]
    rules = [link([here.key], KEYS[1:2], symmetric=True), link(KEYS[1:2], KEYS[2:3])]
    there, back, other = constraints(rules, hosts, exemptions(plan(untouched=("control",)), hosts))
    assert [(one.port, one.end) for one in there.exempt] == [(22, "dst")]  # to the others' servers
    assert [(one.port, one.end) for one in back.exempt] == [(22, "src")]
    assert other.exempt == ()
    assert not any(one.exempt for one in constraints(rules, hosts, exemptions(plan(untouched=()), hosts)))


def test_both_addresses_are_shaped_on_every_interface() -> None:
    made = constraints([link([KEYS[0]], [KEYS[1]], delay_ms=28)], [host(1, devices=("eth0", "eth1")), host(2)])
    assert [(c.device, c.targets) for c in made] == [
        ("eth0", ("10.0.0.2", "fd00::2")),
        ("eth1", ("10.0.0.2", "fd00::2")),
    ]
    (only4,) = constraints([link([KEYS[0]], [KEYS[1]])], [host(1), host(2, v6=False)])
    assert only4.targets == ("10.0.0.2",)


def test_a_host_that_cannot_be_shaped_is_named() -> None:
    with pytest.raises(EmulationError, match=r"layer.service.1.2: the link from a to b.*not acquired"):
        constraints([link([KEYS[0]], [KEYS[1]])], [host(1)])
    with pytest.raises(EmulationError, match=r"layer.service.1.2.*interface is not known"):
        constraints([link([KEYS[0]], [KEYS[1]])], [host(1), host(2, devices=())])


@given(st.floats(1e-6, 1e5), st.floats(1, 4e8), st.floats(1e-4, 100))
def test_values_are_written_as_tc_reads_them(delay: float, rate: float, loss: float) -> None:
    (made,) = constraints([link([KEYS[0]], [KEYS[1]], delay_ms=delay, rate_kbit=rate, loss_percent=loss)], HOSTS)
    assert re.fullmatch(r"[\d.]+ms", made.delay)
    assert float(made.delay[:-2]) == pytest.approx(delay, abs=1e-6)
    number, unit = re.fullmatch(r"([\d.]+)([kmg]bit)", made.rate).groups()  # type: ignore[union-attr]
    assert float(number) * {"kbit": 1, "mbit": 1e3, "gbit": 1e6}[unit] == pytest.approx(rate, abs=1e-5)
    assert made.loss is not None
    assert float(made.loss[:-1]) == pytest.approx(loss, abs=1e-6)


def test_values_as_people_write_them() -> None:
    (made,) = constraints([link([KEYS[0]], [KEYS[1]], delay_ms=28, rate_kbit=1e6, loss_percent=0.1)], HOSTS)
    assert (made.delay, made.rate, made.loss) == ("28ms", "1gbit", "0.1%")
    assert describe(made) == "delay 28ms loss 0.1% rate 1gbit"
    (nothing,) = constraints([link([KEYS[0]], [KEYS[1]])], HOSTS)
    assert (nothing.delay, nothing.loss, describe(nothing)) == ("0ms", None, "nothing")
    values = {"delay_ms": 28, "jitter_ms": 2, "distribution": "pareto", "reorder_percent": 1, "duplicate_percent": 2}
    (all_of_it,) = constraints([link([KEYS[0]], [KEYS[1]], **values, corrupt_percent=0.5, limit_packets=10)], HOSTS)
    assert describe(all_of_it) == "delay 28ms jitter 2ms pareto reorder 1% duplicate 2% corrupt 0.5% limit 10"
    assert isinstance(nothing, Constraint)
