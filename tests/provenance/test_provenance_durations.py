"""Durations as people read them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from e2c.provenance.queries.durations import shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.000036, "36 us"),
        (0.000999, "999 us"),
        (0.001, "1 ms"),
        (0.02841, "28.4 ms"),
        (0.9996, "1 s"),
        (3.5, "3.5 s"),
        (99.94, "99.9 s"),
        (99.96, "1 min 40 s"),
        (3599.4, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90_061, "25 h 01 min"),
        (-0.002, "-2 ms"),
        (-125, "-2 min 05 s"),
    ],
)
def test_the_unit_suits(seconds: float, text: str) -> None:
    assert shown(timedelta(seconds=seconds)) == text
