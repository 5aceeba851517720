"""Reading what tc and fping print."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.probe import RoundTrips, command, loss_bounds, parse
from e2c.emulation.readback import shapes

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
    found = shapes(LISTING)
    assert {target: (s.delay_ms, s.loss_percent, s.rate_kbit) for target, s in found.items()} == {
        "10.85.123.12": (28, 0.1, 1e6),
        "10.85.123.14": (0, 0, 1e4),
        "fd7e:9d9b:514c::c": (2500, 0, 10.5),
    }
    assert found["10.85.123.12"].words == "delay 28ms loss 0.1% rate 1Gbit"


def test_a_class_without_netem_is_not_shaped() -> None:
    assert "10.85.123.13" not in shapes(LISTING)
    assert shapes(LISTING.replace("netem", "pfifo")) == {}
    assert shapes("qdisc noqueue 0: root refcnt 2\n") == {}


@given(st.text(max_size=200))
def test_any_text_is_read_without_failing(text: str) -> None:
    shapes(text)
    parse(text)


def test_fping_output() -> None:
    lines = ["10.0.0.1    : 0.9 0.5 28.4 - 28.2 29.0", "fd00::1 : - - - -", "ICMP Host Unreachable from 10.0.0.9"]
    found = parse("\n".join([*lines, "10.0.0.2 : 1.0"]))
    assert found["10.0.0.1"].times_ms == (28.4, 28.2, 29.0)
    assert (found["10.0.0.1"].sent, found["10.0.0.1"].lost, found["10.0.0.1"].median_ms) == (6, 1, 28.4)
    assert (found["fd00::1"].sent, found["fd00::1"].lost, found["fd00::1"].median_ms) == (4, 4, None)
    assert found["10.0.0.2"].times_ms == ()
    assert set(found) == {"10.0.0.1", "fd00::1", "10.0.0.2"}


def test_ping_output_is_put_as_fping_puts_it() -> None:
    """A script plays a ping that loses one probe, once as iputils counts them and once as busybox does."""
    asked = command(["10.0.0.1", "fd00::1"], count=4, period_ms=20, timeout_ms=500)
    script = """
ping() {
  case $1 in -4) first=1;; -6) first=0;; esac
  echo "PING"; for at in 0 1 3; do echo "64 bytes from x: icmp_seq=$((at + first)) ttl=64 time=0.$at ms"; done
}
"""
    program = script + asked.replace("command -v fping", "false").replace("command -v ping", "true")
    found = parse(subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True).stdout)
    assert found == {address: RoundTrips(4, (0.3,), 1) for address in ("10.0.0.1", "fd00::1")}


@given(st.integers(0, 300), st.integers(1, 300))
def test_loss_bounds_hold_the_observed_share(lost: int, sent: int) -> None:
    low, high = loss_bounds(min(lost, sent), sent)
    assert 0 <= low <= 100 * min(lost, sent) / sent + 1e-9
    assert 100 * min(lost, sent) / sent - 1e-9 <= high <= 100


def test_loss_bounds_narrow_with_more_probes() -> None:
    assert loss_bounds(0, 0) == (0, 100)
    low, high = loss_bounds(20, 200)
    assert (low, high) == pytest.approx((4.9, 19.1), abs=0.5)
