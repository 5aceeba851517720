"""From planned links to constraints: no host, no tc."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.apply import describe
from e2c.emulation.constraint import Constraint, constraints
from e2c.errors import EmulationError
from e2c.model.host import Addresses, Host, Interface
from e2c.model.plan import PlannedLink


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
    ),
    max_size=6,
)


def link(sources: list[str], destinations: list[str], **values: object) -> PlannedLink:
    return PlannedLink(src="a", dst="b", sources=tuple(sources), destinations=tuple(destinations), **values)


@given(some_links)
def test_every_pair_gets_the_last_rule_that_names_it(links: list[PlannedLink]) -> None:
    expected = {}
    for number, one in enumerate(links):
        for source in one.sources:
            for destination in one.destinations:
                if source != destination:
                    expected[source, destination] = number
                    if one.symmetric:
                        expected[destination, source] = number
    made = constraints(links, HOSTS)
    assert {(c.source, c.destination): c.rule for c in made} == expected
    assert len(made) == len(expected)
    assert all(c.delay_ms == links[c.rule].delay_ms for c in made)


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
    assert isinstance(nothing, Constraint)
