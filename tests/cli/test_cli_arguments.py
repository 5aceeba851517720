"""Arguments that several commands share."""

from __future__ import annotations

import pytest
import typer

from e2c.cli.arguments import finite, names


@pytest.mark.parametrize(
    ("text", "found"), [("", ()), (" ", ()), ("a", ("a",)), ("a, b ,,a", ("a", "b")), ("7,é", ("7", "é"))]
)
def test_names_are_separated_by_commas(text: str, found: tuple[str, ...]) -> None:
    assert names(text) == found


@pytest.mark.parametrize("text", [",", " , ,"])
def test_commas_alone_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="holds no name"):
        names(text)


def test_seconds_pass() -> None:
    assert (finite(None), finite(0), finite(2.5)) == (None, 0, 2.5)
    for never in ("nan", "inf"):
        with pytest.raises(typer.BadParameter, match=f"^{never} is no number of seconds"):
            finite(float(never))
