"""What fping and ping are told, and what they print."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from e2c.emulation.probe import RoundTrips, Volley, command, parse


def test_fping_output() -> None:
    lines = [
        "10.0.0.1 : duplicate for [1], 64 bytes, 13.8 ms",
        "10.0.0.1 : duplicate for [2], 64 bytes, 13.8 ms",
        "fd00::1 : duplicate for [3], 64 bytes, 13.8 ms",
        "fd00::1 : duplicate for [3], 64 bytes, 13.9 ms",
        "10.0.0.1    : 0.9 0.5 28.4 - 28.2 29.0",
        "fd00::1 : - - - -",
        "ICMP Host Unreachable from 10.0.0.9",
        "10.0.0.2 : 1.0",
    ]
    found = parse("\n".join(lines))
    assert found["10.0.0.1"] == RoundTrips((28.4, None, 28.2, 29.0), repeated=1)
    assert (found["10.0.0.1"].sent, found["10.0.0.1"].lost, found["10.0.0.1"].median_ms) == (4, 1, 28.4)
    assert found["10.0.0.1"].best_ms == 28.2
    assert (found["fd00::1"].sent, found["fd00::1"].lost, found["fd00::1"].median_ms) == (2, 2, None)
    assert found["fd00::1"].repeated == 1  # one probe, three answers
    assert found["10.0.0.2"].times_ms == ()
    assert set(found) == {"10.0.0.1", "fd00::1", "10.0.0.2"}


@given(st.text(max_size=200))
def test_any_text_is_read_without_failing(text: str) -> None:
    parse(text)


def test_answers_that_overtake_are_counted() -> None:
    assert RoundTrips((40.0, 20.0, None, 12.0, 40.0)).overtaking(10) == 1  # they arrive at 40, 30, never, 42, 80
    assert RoundTrips((40.0, 20.0, 12.0)).overtaking(100) == 0
    assert RoundTrips().overtaking(1) == 0


def test_volleys_go_out_together_each_with_its_own_count() -> None:
    text = command([Volley(("10.0.0.1", "fd00::1"), 12, 50, 1000), Volley(("10.0.0.2",), 500, 3, 1200)])
    assert "fping -q -C 14 -p 50 -i 1 -t 1000 -b 56 10.0.0.1 fd00::1 >" in text
    assert "fping -q -C 502 -p 3 -i 0.3 -t 1200 -b 56 10.0.0.2 >" in text
    busy = command([Volley(("10.0.0.1", "10.0.0.2"), 500, 2, 1000)])
    assert "-p 2 -i 0.1 " in busy, "fping counts from when it was late, so it must not have to wait for that"


def test_ping_output_is_put_as_fping_puts_it() -> None:
    """A script plays a ping that loses one probe, once as iputils counts them and once as busybox does."""
    asked = command([Volley(("10.0.0.1", "fd00::1"), 3, 20, 500)])
    script = """
ping() {
  case $1 in -4) first=1;; -6) first=0;; esac
  echo "PING"; for at in 0 1 2 4 4; do echo "64 bytes from x: icmp_seq=$((at + first)) ttl=64 time=0.$at ms"; done
}
"""
    program = script + asked.replace("command -v fping", "false").replace("command -v ping", "true")
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    assert parse(done.stdout) == {
        address: RoundTrips((0.2, None, 0.4), repeated=1) for address in ("10.0.0.1", "fd00::1")
    }


def test_answers_later_than_fping_remembers_its_probes_are_ping_s(tmp_path: Path) -> None:
    asked = command([Volley(("10.0.0.1",), 3, 20, 500), Volley(("10.0.0.2",), 3, 20, 40_000)])
    script = 'fping() { echo "fping $*" >&2; }\nping() { echo "ping $*" >>said; }\n'
    done = subprocess.run(["sh", "-c", script + asked], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "fping -q -C 5 -p 20 -i 1 -t 500 -b 56 10.0.0.1\n" in done.stdout
    assert "10.0.0.2 : - - - - -\n" in done.stdout
    assert (tmp_path / "said").read_text() == "ping -4 -n -c 5 -i 0.02 -W 40 -s 56 10.0.0.2\n"


def test_without_both_programs_the_exit_code_says_so() -> None:
    asked = command([Volley(("10.0.0.1",), 3, 20, 500)]).replace("command -v fping", "false")
    assert subprocess.run(["sh", "-c", asked.replace("command -v ping", "false")], check=False).returncode == 127
