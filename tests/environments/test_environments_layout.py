"""Names and addresses: no testbed, no machine."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.environments.local.layout import draw, hostnames, short_id, subnets
from e2c.errors import TestbedError

keys = st.lists(
    st.from_regex(r"[a-z_]{1,70}\.[a-z]{1,9}\.[0-9]{1,2}\.[0-9]{1,3}", fullmatch=True), max_size=40, unique=True
)
nets = st.lists(
    st.builds(
        lambda address, length: IPv4Network((address, length), strict=False),
        st.integers(0, 2**32 - 1),
        st.integers(8, 32),
    ),
    max_size=20,
)


@given(keys)
def test_host_names_are_distinct_labels(names: list[str]) -> None:
    made = hostnames(names)
    assert len(set(made)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in made)


def test_host_names_stay_distinct_when_shortening_makes_them_alike() -> None:
    long = "x" * 80
    assert hostnames([long + "a", long + "b", "a_b", "a-b", "controller"]) == [
        "x" * 63,
        "x" * 61 + "-2",
        "a-b",
        "a-b-2",
        "controller-2",
    ]


@given(st.text(min_size=1, max_size=5), keys, nets)
def test_addresses_collide_with_nothing(experiment: str, names: list[str], taken: list[IPv4Network]) -> None:
    layout = draw(short_id(experiment), names, taken=taken, ipv6=True)
    assert not any(IPv4Network(layout.net4).overlaps(net) for net in taken)
    assert layout.net6 is not None
    assert IPv6Network(layout.net6).subnet_of(IPv6Network("fd00::/8"))
    pairs = [(layout.controller4, layout.controller6), *((host.v4, host.v6) for host in layout.hosts)]
    assert len({v4 for v4, _ in pairs}) == len({v6 for _, v6 in pairs}) == len(names) + 1
    assert all(
        ip_address(v4) in ip_network(layout.net4) and ip_address(v6) in ip_network(layout.net6) for v4, v6 in pairs
    )
    assert layout == draw(short_id(experiment), names, taken=taken, ipv6=True)


def test_a_second_testbed_with_the_same_wish_gets_another_subnet() -> None:
    first = draw("e2c-000000", ["a.b.1.1"], taken=[], ipv6=True)
    second = draw("e2c-000000", ["a.b.1.1"], taken=subnets([first.net4, str(first.net6)]), ipv6=True)
    assert {first.net4, first.net6}.isdisjoint({second.net4, second.net6})


def test_a_vpn_that_takes_ten_slash_eight_is_stepped_aside() -> None:
    layout = draw("e2c-000000", ["a.b.1.1"], taken=subnets(["10.0.0.0/8", "default", "0.0.0.0/1", "::/0"]), ipv6=False)
    assert IPv4Network(layout.net4).subnet_of(IPv4Network("172.16.0.0/12"))
    assert layout.net6 is None
    assert layout.hosts[0].v6 is None


def test_no_room_is_a_sentence() -> None:
    everything = subnets(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"])
    with pytest.raises(TestbedError, match=r"no private subnet is free.*ip route"):
        draw("e2c-000000", ["a.b.1.1"], taken=everything, ipv6=False)
    with pytest.raises(TestbedError, match=r"1001 hosts.*room for 1000"):
        draw("e2c-000000", [f"a.b.1.{n}" for n in range(1001)], taken=[], ipv6=False)


def test_a_thousand_hosts_fit_and_know_each_other() -> None:
    layout = draw("e2c-000000", [f"a.b.1.{n}" for n in range(1, 1001)], taken=[], ipv6=True)
    names = layout.etc_hosts()
    assert ip_address(layout.hosts[-1].v4) in ip_network(layout.net4)
    assert f"{layout.hosts[-1].v6} a-b-1-1000 a.b.1.1000\n" in names
    assert names.count("\n") == 2 + 2 * 1001
