"""From constraints to what tc is told: no host, no tc."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.commands import copier, layout, limit, listing, removal, text
from e2c.emulation.constraint import Constraint, Exemption
from e2c.emulation.copying import copies


def constraint(number: int = 2, *, v6: bool = True, **values: Any) -> Constraint:
    return Constraint(
        source="cloud.master.1.1",
        destination=f"edge.client.1.{number}",
        device="eth0",
        v4=str(IPv4Address(0x0A000000 + number)),
        v6=str(IPv6Address((0xFD << 120) + number)) if v6 else None,
        rule=0,
        src="cloud",
        dst="edge",
        symmetric=False,
        **values,
    )


NEIGHBOURS = [
    f"filter add dev eth0 parent 1: protocol ipv6 pref 2 u32 match ip6 protocol 58 0xff match u8 {kind} 0xff at 40"
    " flowid 1:0"
    for kind in ("0x87", "0x88")
]


def test_an_interface_is_laid_out_line_by_line() -> None:
    asked = [
        constraint(2, delay_ms=28, rate_kbit=1e6, loss_percent=0.1),
        constraint(3, delay_ms=12.5, v6=False),
    ]
    assert layout("eth0", asked) == [
        "qdisc replace dev eth0 root pfifo",
        "qdisc replace dev eth0 root handle 1: htb",
        *NEIGHBOURS,
        "class add dev eth0 parent 1: classid 1:1 htb rate 1gbit quantum 60000",
        "qdisc add dev eth0 parent 1:1 handle 10: netem limit 15000 delay 28ms loss 0.1%",
        "filter add dev eth0 parent 1: protocol ip pref 5 u32 match ip dst 10.0.0.2/32 flowid 1:1",
        "filter add dev eth0 parent 1: protocol ipv6 pref 6 u32 match ip6 dst fd00::2/128 flowid 1:1",
        "class add dev eth0 parent 1: classid 1:2 htb rate 100gbit quantum 60000",
        "qdisc add dev eth0 parent 1:2 handle 11: netem limit 63500 delay 12.5ms",
        "filter add dev eth0 parent 1: protocol ip pref 5 u32 match ip dst 10.0.0.3/32 flowid 1:2",
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
        ({"delay_ms": 20, "jitter_ms": 2.5, "rate_kbit": 1e5}, "rate 100mbit", "limit 2500 delay 20ms 2.5ms"),
        ({"delay_ms": 20, "jitter_ms": 0, "distribution": "normal"}, "rate 100gbit", "limit 101000 delay 20ms"),
        ({"delay_ms": 20, "duplicate_percent": 50}, "rate 100gbit", "limit 151000 delay 20ms"),
        ({"delay_ms": 20, "limit_packets": 7}, "rate 100gbit", "limit 7 delay 20ms"),
        (
            {"delay_ms": 1, "loss_percent": 1, "reorder_percent": 2.5, "corrupt_percent": 1e-3},
            "rate 100gbit",
            "limit 6000 delay 1ms loss 1% reorder 2.5% corrupt 0.001%",
        ),
        ({"delay_ms": 1, "loss_percent": 1, "down": True}, "rate 100gbit", "limit 6000 delay 1ms loss 100%"),
        ({"loss_percent": 1, "down": False}, "rate 100gbit", "limit 1000 delay 0ms loss 1%"),
    ],
)
def test_every_value_is_written_plainly(values: dict[str, Any], class_words: str, netem_words: str) -> None:
    lines = layout("eth0", [constraint(**values)])
    assert lines[4] == f"class add dev eth0 parent 1: classid 1:1 htb {class_words} quantum 60000"
    assert lines[5] == f"qdisc add dev eth0 parent 1:1 handle 10: netem {netem_words}"


def test_numbers_of_classes_are_hexadecimal() -> None:
    lines = layout("ens3", [constraint(number, v6=False) for number in range(1, 301)])
    assert lines[-3].startswith("class add dev ens3 parent 1: classid 1:12c ")
    assert lines[-2].startswith("qdisc add dev ens3 parent 1:12c handle 13b: ")
    assert lines[-1].endswith("flowid 1:12c")


def test_nothing_asked_leaves_an_htb_without_classes() -> None:
    assert layout("eth0", []) == [
        "qdisc replace dev eth0 root pfifo",
        "qdisc replace dev eth0 root handle 1: htb",
        *NEIGHBOURS,
    ]


def test_the_number_of_a_netem_tells_its_distribution() -> None:
    numbers = {"uniform": "10", "normal": "4010", "pareto": "8010", "paretonormal": "c010"}
    for distribution, number in numbers.items():
        lines = layout("eth0", [constraint(delay_ms=9, jitter_ms=1, distribution=distribution)])
        words = "" if distribution == "uniform" else f" distribution {distribution}"
        assert lines[5] == f"qdisc add dev eth0 parent 1:1 handle {number}: netem limit 66000 delay 9ms 1ms{words}"


def test_what_is_exempt_is_asked_first() -> None:
    exempt = (Exemption(port=1883, end="dst"), Exemption(port=22, end="src"))
    lines = layout("eth0", [constraint(delay_ms=1, exempt=exempt)])
    begin = "filter add dev eth0 parent 1: protocol"
    assert lines[6:] == [
        f"{begin} ip pref 1 u32 match ip protocol 6 0xff match ip dport 1883 0xffff"
        " match ip dst 10.0.0.2/32 flowid 1:0",
        f"{begin} ip pref 1 u32 match ip protocol 6 0xff match ip sport 22 0xffff match ip dst 10.0.0.2/32 flowid 1:0",
        f"{begin} ipv6 pref 2 u32 match ip6 protocol 6 0xff match ip6 dport 1883 0xffff"
        " match ip6 dst fd00::2/128 flowid 1:0",
        f"{begin} ipv6 pref 2 u32 match ip6 protocol 6 0xff match ip6 sport 22 0xffff"
        " match ip6 dst fd00::2/128 flowid 1:0",
        f"{begin} ip pref 5 u32 match ip dst 10.0.0.2/32 flowid 1:1",
        f"{begin} ipv6 pref 6 u32 match ip6 dst fd00::2/128 flowid 1:1",
    ]


def test_copies_are_taken_before_packets_are_delayed_and_not_of_copies() -> None:
    lines = layout("eth0", [constraint(delay_ms=1, duplicate_percent=5)])
    begin = "filter add dev eth0 parent 1: protocol"
    assert lines[6:8] == [
        f"{begin} ip pref 3 u32 match mark 0 0x40000000 match ip dst 10.0.0.2/32 flowid 1:0"
        " action mirred egress mirror dev dup-eth0 continue",
        f"{begin} ipv6 pref 4 u32 match mark 0 0x40000000 match ip6 dst fd00::2/128 flowid 1:0"
        " action mirred egress mirror dev dup-eth0 continue",
    ]
    assert len(lines) == 10
    assert [one.loss_percent for one in copies([constraint(duplicate_percent=100), constraint()])] == [0]


def test_names_of_interfaces_for_copies_are_no_longer_than_the_kernel_allows() -> None:
    names = [copier(name) for name in ("eth0", "enp129s0f1", "enp129s0f1np0", "enp129s0f1np1", "abcdefghijklmno")]
    assert names[:2] == ["dup-eth0", "dup-enp129s0f1"]
    assert len(set(names)) == 5
    assert max(map(len, names)) < 15  # the other end has one letter more


def test_a_script_ends_with_the_record_of_its_words() -> None:
    assert text(["a", "b"], {17: ("rate 1mbit", "delay 2ms"), 2: ("rate 2mbit", "delay 1ms")}).splitlines() == [
        "a",
        "b",
        "#= 1:2 rate 2mbit | delay 1ms",
        "#= 1:11 rate 1mbit | delay 2ms",
    ]


def test_removal_and_listing() -> None:
    assert removal(["a", "b"]).splitlines() == [
        "qdisc del dev a root",
        "qdisc show dev a",
        "qdisc del dev dup-a root",
        "qdisc del dev b root",
        "qdisc show dev b",
        "qdisc del dev dup-b root",
    ]
    assert listing("a").splitlines() == ["qdisc show dev a", "class show dev a", "filter show dev a"]


@given(st.none() | st.floats(0, 1e5), st.none() | st.floats(1, 1e7))
def test_a_full_cable_fits_into_netem(delay_ms: float | None, rate_kbit: float | None) -> None:
    bits = (delay_ms or 0) * (rate_kbit or 1e6)
    assert limit(constraint(delay_ms=delay_ms, rate_kbit=rate_kbit)) * 1500 * 8 >= bits
