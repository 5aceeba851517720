"""Reading what tc prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.constraint import Exemption
from e2c.emulation.readback import Shape, layout

LISTING = """\
qdisc htb 1: root refcnt 2 r2q 10 default 0 direct_packets_stat 3 direct_qlen 1000
qdisc netem 21: parent 1:12 limit 1000 delay 2.5s
qdisc netem 10: parent 1:1 limit 1000 delay 28ms loss 0.1%
qdisc netem 12: parent 1:3 limit 1000
class htb 1:1 root leaf 10: prio 0 rate 1Gbit ceil 1Gbit burst 1375b cburst 1375b
class htb 1:2 root leaf 11: prio 0 rate 512Kbit ceil 512Kbit burst 1600b cburst 1600b
class htb 1:3 root leaf 12: prio 0 rate 10Mbit ceil 10Mbit burst 1600b cburst 1600b
class htb 1:12 root leaf 21: prio 0 rate 10500bit ceil 10500bit burst 0b cburst 0b
filter parent 1: protocol ipv6 pref 49150 u32 chain 0
filter parent 1: protocol ipv6 pref 49150 u32 chain 0 fh 802: ht divisor 1
filter parent 1: protocol ipv6 pref 49150 u32 chain 0 fh 802::800 order 2048 key ht 802 bkt 0 *flowid 1:12 not_in_hw
  match fd7e9d9b/ffffffff at 24
  match 514c0000/ffffffff at 28
  match 00000000/ffffffff at 32
  match 0000000c/ffffffff at 36
filter parent 1: protocol ip pref 49152 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid 1:1
  match 0a557b0c/ffffffff at 16
filter parent 1: protocol ip pref 49153 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid 1:2
  match 0a557b0d/ffffffff at 16
filter parent 1: protocol ip pref 49154 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid 1:3
  match 0a557b0e/ffffffff at 16
"""


def test_a_listing_gives_the_shape_per_destination() -> None:
    found = layout(LISTING).by_address
    assert {target: (s.delay_ms, s.loss_percent, s.rate_kbit) for target, s in found.items()} == {
        "10.85.123.12": (28, 0.1, 1e6),
        "10.85.123.14": (0, 0, 1e4),
        "fd7e:9d9b:514c::c": (2500, 0, 10.5),
    }
    assert found["10.85.123.12"].words == "delay 28ms loss 0.1% rate 1Gbit"


def test_a_class_without_netem_is_not_shaped() -> None:
    assert "10.85.123.13" not in layout(LISTING).by_address
    assert layout(LISTING.replace("netem", "pfifo")).by_address == {}
    assert layout("qdisc noqueue 0: root refcnt 2\n").by_address == {}


FULL = """\
#= 1:1 rate 100mbit quantum 60000 | limit 1500 delay 28ms 2ms distribution normal loss 0.1% reorder 25%
qdisc htb 1: root refcnt 2 r2q 10 default 0 direct_packets_stat 16 direct_qlen 1000
qdisc netem 4010: parent 1:1 limit 1500 delay 28ms  2ms loss 0.1% reorder 25% corrupt 0.01% gap 1
class htb 1:1 root leaf 4010: prio 0 rate 100Mbit ceil 100Mbit burst 1600b cburst 1600b\x20
filter parent 1: protocol ip pref 1 u32 chain 0\x20
filter parent 1: protocol ip pref 1 u32 chain 0 fh 801: ht divisor 1\x20
filter parent 1: protocol ip pref 1 u32 chain 0 fh 801::800 order 2048 key ht 801 bkt 0 *flowid 1: not_in_hw\x20
  match 00060000/00ff0000 at 8
  match 0000075b/0000ffff at 20
  match 0a5ca50c/ffffffff at 16
filter parent 1: protocol ipv6 pref 2 u32 chain 0\x20
filter parent 1: protocol ipv6 pref 2 u32 chain 0 fh 800: ht divisor 1\x20
filter parent 1: protocol ipv6 pref 2 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 *flowid 1: not_in_hw\x20
  match 00003a00/0000ff00 at 4
  match 87000000/ff000000 at 40
filter parent 1: protocol ipv6 pref 2 u32 chain 0 fh 800::801 order 2049 key ht 800 bkt 0 *flowid 1: not_in_hw\x20
  match 00003a00/0000ff00 at 4
  match 88000000/ff000000 at 40
filter parent 1: protocol ipv6 pref 2 u32 chain 0 fh 800::802 order 2050 key ht 800 bkt 0 *flowid 1: not_in_hw\x20
  match 00000600/0000ff00 at 4
  match 0000075b/0000ffff at 40
  match fdc6e494/ffffffff at 24
  match 96b70000/ffffffff at 28
  match 00000000/ffffffff at 32
  match 0000000c/ffffffff at 36
filter parent 1: protocol ip pref 5 u32 chain 0\x20
filter parent 1: protocol ip pref 5 u32 chain 0 fh 802: ht divisor 1\x20
filter parent 1: protocol ip pref 5 u32 chain 0 fh 802::800 order 2048 key ht 802 bkt 0 *flowid 1:1 not_in_hw\x20
  match 0a5ca50c/ffffffff at 16
filter parent 1: protocol ipv6 pref 6 u32 chain 0\x20
filter parent 1: protocol ipv6 pref 6 u32 chain 0 fh 803: ht divisor 1\x20
filter parent 1: protocol ipv6 pref 6 u32 chain 0 fh 803::800 order 2048 key ht 803 bkt 0 *flowid 1:1 not_in_hw\x20
  match fdc6e494/ffffffff at 24
  match 96b70000/ffffffff at 28
  match 00000000/ffffffff at 32
  match 0000000c/ffffffff at 36
"""
"""As printed by tc of iproute2 6.1, after the record that the host keeps."""


def test_all_that_a_link_does_is_read() -> None:
    found = layout(FULL)
    assert found.ours
    assert found.shapes[1] == Shape(
        delay_ms=28,
        jitter_ms=2,
        distribution="normal",
        loss_percent=0.1,
        reorder_percent=25,
        corrupt_percent=0.01,
        limit_packets=1500,
        rate_kbit=1e5,
        words="delay 28ms jitter 2ms normal loss 0.1% reorder 25% corrupt 0.01% rate 100Mbit",
    )
    assert found.targets == {1: {"10.92.165.12", "fdc6:e494:96b7::c"}}
    assert [(one.handle, one.address, one.exempt) for one in found.filters if one.exempt] == [
        ("801::800", "10.92.165.12", Exemption(port=1883, end="dst")),
        ("800::802", "fdc6:e494:96b7::c", Exemption(port=1883, end="dst")),
    ]
    assert found.record == {
        1: (
            "rate 100mbit quantum 60000",
            "limit 1500 delay 28ms 2ms distribution normal loss 0.1% reorder 25%",
        )
    }


@pytest.mark.parametrize(
    ("said", "delay_ms", "jitter_ms", "loss_percent"),
    [
        ("limit 1500 delay 1.23s  122us loss 12.3457%", 1230, 0.122, 12.3457),
        ("limit 1500 delay 1e+03ms  1e+03ms", 1000, 1000, 0),
        ("limit 1500 delay 14us  14us loss 1.00117e-06%", 0.014, 0.014, 1.00117e-6),
        ("limit 1500 delay 500ns", 0.0005, 0, 0),
        ("limit 1500 delay 28ms  2ms 25% loss 5% 25%", 28, 2, 5),
        ("limit 1500 corrupt 99.9999%", 0, 0, 0),
    ],
)
def test_numbers_as_tc_prints_them(said: str, delay_ms: float, jitter_ms: float, loss_percent: float) -> None:
    begin, _, end = FULL.partition("limit 1500 delay 28ms  2ms")
    found = layout(begin + said + "\n" + end.partition("\n")[2]).shapes[1]
    assert (found.delay_ms, found.jitter_ms, found.loss_percent) == pytest.approx((delay_ms, jitter_ms, loss_percent))


@given(st.text(max_size=200))
def test_any_text_is_read_without_failing(text: str) -> None:
    layout(text)
