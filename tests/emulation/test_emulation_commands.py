"""From constraints to what tc is told: no host, no tc."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.commands import limit, listing, removal, script
from e2c.emulation.constraint import Constraint
from e2c.emulation.readback import shapes


def constraint(
    number: int = 2,
    *,
    v6: bool = True,
    delay_ms: float | None = None,
    rate_kbit: float | None = None,
    loss_percent: float | None = None,
) -> Constraint:
    return Constraint(
        source="cloud.master.1.1",
        destination=f"edge.client.1.{number}",
        device="eth0",
        v4=str(IPv4Address(0x0A000000 + number)),
        v6=str(IPv6Address((0xFD << 120) + number)) if v6 else None,
        delay_ms=delay_ms,
        rate_kbit=rate_kbit,
        loss_percent=loss_percent,
        rule=0,
        src="cloud",
        dst="edge",
        symmetric=False,
    )


def test_an_interface_is_laid_out_line_by_line() -> None:
    asked = [
        constraint(2, delay_ms=28, rate_kbit=1e6, loss_percent=0.1),
        constraint(3, delay_ms=12.5, v6=False),
    ]
    assert script("eth0", asked).splitlines() == [
        "qdisc replace dev eth0 root pfifo",
        "qdisc replace dev eth0 root handle 1: htb",
        "class add dev eth0 parent 1: classid 1:1 htb rate 1gbit quantum 60000",
        "qdisc add dev eth0 parent 1:1 handle 10: netem limit 15000 delay 28ms loss 0.1%",
        "filter add dev eth0 parent 1: protocol ip pref 1 u32 match ip dst 10.0.0.2/32 flowid 1:1",
        "filter add dev eth0 parent 1: protocol ipv6 pref 2 u32 match ip6 dst fd00::2/128 flowid 1:1",
        "class add dev eth0 parent 1: classid 1:2 htb rate 100gbit quantum 60000",
        "qdisc add dev eth0 parent 1:2 handle 11: netem limit 63500 delay 12.5ms",
        "filter add dev eth0 parent 1: protocol ip pref 1 u32 match ip dst 10.0.0.3/32 flowid 1:2",
    ]


@pytest.mark.parametrize(
    ("values", "class_words", "netem_words"),
    [
        ({}, "rate 100gbit", "limit 1000 delay 0ms"),
        ({"delay_ms": 20, "rate_kbit": 1e5}, "rate 100mbit", "limit 2000 delay 20ms"),
        ({"delay_ms": 0.25}, "rate 100gbit", "limit 2250 delay 0.25ms"),
        ({"delay_ms": 2500, "rate_kbit": 10.5}, "rate 10.5kbit", "limit 1014 delay 2500ms"),
        ({"delay_ms": 1e-6}, "rate 100gbit", "limit 1001 delay 0.000001ms"),
        ({"loss_percent": 20}, "rate 100gbit", "limit 1000 delay 0ms loss 20%"),
        ({"rate_kbit": 512}, "rate 512kbit", "limit 1000 delay 0ms"),
        ({"delay_ms": 1e5, "rate_kbit": 4e8}, "rate 400gbit", "limit 2147483647 delay 100000ms"),
    ],
)
def test_every_value_is_written_plainly(values: dict[str, float], class_words: str, netem_words: str) -> None:
    lines = script("eth0", [constraint(**values)]).splitlines()
    assert lines[2] == f"class add dev eth0 parent 1: classid 1:1 htb {class_words} quantum 60000"
    assert lines[3] == f"qdisc add dev eth0 parent 1:1 handle 10: netem {netem_words}"


def test_numbers_of_classes_are_hexadecimal() -> None:
    lines = script("ens3", [constraint(number, v6=False) for number in range(1, 301)]).splitlines()
    assert lines[-3].startswith("class add dev ens3 parent 1: classid 1:12c ")
    assert lines[-2].startswith("qdisc add dev ens3 parent 1:12c handle 13b: ")
    assert lines[-1].endswith("flowid 1:12c")


def test_nothing_asked_leaves_an_htb_without_classes() -> None:
    assert script("eth0", []).splitlines() == [
        "qdisc replace dev eth0 root pfifo",
        "qdisc replace dev eth0 root handle 1: htb",
    ]


def test_removal_and_listing() -> None:
    assert removal(["a", "b"]).splitlines() == [
        "qdisc del dev a root",
        "qdisc show dev a",
        "qdisc del dev b root",
        "qdisc show dev b",
    ]
    assert listing("a").splitlines() == ["qdisc show dev a", "class show dev a", "filter show dev a"]


@given(st.none() | st.floats(0, 1e5), st.none() | st.floats(1, 1e7))
def test_a_full_cable_fits_into_netem(delay_ms: float | None, rate_kbit: float | None) -> None:
    bits = (delay_ms or 0) * (rate_kbit or 1e6)
    assert limit(constraint(delay_ms=delay_ms, rate_kbit=rate_kbit)) * 1500 * 8 >= bits


def told(text: str) -> str:
    """The listing that tc would give of an interface shaped by a script (iproute2 6.1's words)."""
    netems, classes, filters = [], [], []
    for line in text.splitlines():
        if found := re.fullmatch(r"class add .* classid (\S+) htb rate ([\d.]+)([kmg]bit) quantum 60000", line):
            classes.append(
                f"class htb {found[1]} root prio 0 rate {found[2]}{found[3].capitalize()} ceil 1bit burst 0b"
            )
        elif found := re.fullmatch(r"qdisc add .* parent (\S+) handle (\S+) netem (.*)", line):
            netems.append(f"qdisc netem {found[2]} parent {found[1]} {found[3]}")
        elif found := re.fullmatch(r"filter .* protocol (\S+) .* dst (\S+)/\d+ flowid (\S+)", line):
            number, offset = int(ip_address(found[2])), 24 if found[1] == "ipv6" else 16
            words = [number >> shift & 0xFFFFFFFF for shift in ((96, 64, 32, 0) if found[1] == "ipv6" else (0,))]
            filters.append(f"filter parent 1: protocol {found[1]} pref 1 u32 chain 0 fh 800::800 *flowid {found[3]}")
            filters += [f"  match {word:08x}/ffffffff at {offset + 4 * place}" for place, word in enumerate(words)]
    return "\n".join([*netems, *classes, *filters])


some = st.builds(
    constraint,
    number=st.integers(1, 0xFFFF),
    v6=st.booleans(),
    delay_ms=st.none() | st.floats(0, 1e4),
    rate_kbit=st.none() | st.floats(1, 4e8),
    loss_percent=st.none() | st.floats(1e-3, 100),
)


@given(st.lists(some, max_size=30, unique_by=lambda one: one.destination))
def test_what_is_told_is_what_is_read_back(asked: list[Constraint]) -> None:
    found = shapes(told(script("eth0", asked)))
    assert set(found) == {target for one in asked for target in one.targets}
    for one in asked:
        for target in one.targets:
            shape = found[target]
            assert shape.delay_ms == pytest.approx(one.delay_ms or 0, abs=1e-6)
            assert shape.loss_percent == pytest.approx(one.loss_percent or 0, abs=1e-6)
            assert shape.rate_kbit == pytest.approx(one.rate_kbit or 1e8, abs=1e-5)
