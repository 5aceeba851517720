"""Quantities with units become numbers, and nothing else gets through."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.config.names import configuration_fault, is_identifier, key_part, safe_text
from e2c.config.units import (
    DELAY_UNITS,
    RATE_UNITS,
    parse_delay,
    parse_moment,
    parse_rate,
    parse_share,
    parse_walltime,
)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("28ms", 28),
        ("500us", 0.5),
        ("1.5s", 1500),
        (" 2 S ", 2000),
        (".5ms", 0.5),
        ("0ms", 0),
        ("28", 28),
        ("3msec", 3),
    ],
)
def test_delays(text: str, milliseconds: float) -> None:
    assert parse_delay(text) == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    ("text", "kilobits"),
    [
        ("1gbit", 1e6),
        ("100 Mbit", 1e5),
        ("64kbit", 64),
        ("8bit", 0.008),
        ("1.5mbit", 1500),
        ("1000", 1),
        ("10GBIT", 1e7),
    ],
)
def test_rates(text: str, kilobits: float) -> None:
    assert parse_rate(text) == pytest.approx(kilobits)


@pytest.mark.parametrize(("text", "percent"), [("0.1%", 0.1), ("0%", 0), ("100%", 100), (" 5 % ", 5), (".5%", 0.5)])
def test_losses(text: str, percent: float) -> None:
    assert parse_share(text) == pytest.approx(percent)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("500ms", 0.5), ("1.5 min", 90), ("2H", 7200), ("0s", 0), ("10sec", 10)]
)
def test_moments(text: str, seconds: float) -> None:
    assert parse_moment(text) == pytest.approx(seconds)


def test_a_moment_before_the_launch_is_told_apart() -> None:
    with pytest.raises(ValueError, match=r"^must not lie before the launch begins$"):
        parse_moment("-5s")


@pytest.mark.parametrize(("text", "seconds"), [("00:59:00", 3540), ("1:00:00", 3600), ("480:00:01", 1728001)])
def test_walltimes(text: str, seconds: int) -> None:
    assert parse_walltime(text) == seconds


BAD = ["", " ", "-1", "1e3", "nan", "inf", "1;id", "$(id)", "1ms 2ms", "ms", "1\nms", "\u0661ms", "1,5", "--"]


@pytest.mark.parametrize("parse", [parse_delay, parse_rate, parse_share, parse_moment, parse_walltime])
@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match=r"^(must|has) "):
        parse(text)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_delay, "2h"),
        (parse_delay, "3601s"),
        (parse_rate, "1mbps"),
        (parse_rate, "0kbit"),
        (parse_rate, "2tbit"),
        (parse_share, "101%"),
        (parse_share, "0.1"),
        (parse_moment, "30"),
        (parse_moment, "3us"),
        (parse_moment, "169h"),
        (parse_walltime, "00:00:00"),
        (parse_walltime, "1:60:00"),
    ],
)
def test_out_of_range_is_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match=r"^(must|has) "):
        parse(text)


@given(st.floats(0, 274, allow_subnormal=False), st.sampled_from(sorted(DELAY_UNITS)))
def test_any_delay_in_range_is_read_in_any_case(number: float, unit: str) -> None:
    text = f"{number:.6f}"

    assert parse_delay(f"{text}{unit}") == parse_delay(f"{text} {unit.upper()}") == float(text) * DELAY_UNITS[unit]


@given(st.integers(1, 10**9), st.sampled_from(sorted(RATE_UNITS)))
def test_any_rate_is_read_or_out_of_range(number: int, unit: str) -> None:
    kilobits = number * RATE_UNITS[unit]
    try:
        assert parse_rate(f"{number}{unit}") == kilobits
    except ValueError:
        assert not 0.008 <= kilobits <= 1e9


@given(st.text(max_size=12))
def test_whatever_is_accepted_is_a_finite_number_of_plain_characters(text: str) -> None:
    for parse in (parse_delay, parse_rate, parse_share, parse_moment):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert math.isfinite(value)
        assert value >= 0
        assert re.fullmatch(r" *[0-9.]+ *[A-Za-z%]* *", text)


@given(st.integers(0, 999_999), st.integers(0, 59), st.integers(0, 59))
def test_any_walltime_but_zero(hours: int, minutes: int, seconds: int) -> None:
    total = hours * 3600 + minutes * 60 + seconds
    if total:
        assert parse_walltime(f"{hours:02}:{minutes:02}:{seconds:02}") == total


@given(st.text(max_size=40))
def test_safe_text_is_safe_and_stays_so(text: str) -> None:
    safe = safe_text(text)

    assert re.fullmatch(r"[A-Za-z0-9_.@+-]+", safe)
    assert not safe.startswith((".", "-"))
    assert safe_text(safe) == safe


@given(st.text(max_size=40))
def test_a_configuration_is_one_part_of_a_path(name: str) -> None:
    if configuration_fault(name) is None:
        assert "/" not in name
        assert "," not in name
        assert name not in (".", "..", "")
        assert not name.startswith((".", "-"))


def test_names() -> None:
    assert key_part("My  Master") == "my_master"
    assert is_identifier("server_1")
    assert not any(is_identifier(name) for name in ("1a", "a-b", "", "for", "é", "a b"))
