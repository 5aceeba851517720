"""Expressions match what Python's engine matches, and none takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2c.plan.expressions import NotFollowed, compiled, plain

ATOMS = st.sampled_from(
    ["a", "b", ".", r"\d", r"\w", r"\S", "[ab]", "[^a-c]", "[0-9_]", r"\.", "^", "$", r"\b", r"\B", "A", "(?=a)"]
)
COUNTS = st.sampled_from(["", "", "*", "+", "?", "*?", "+?", "{2}", "{0,2}", "{1,}", "{2,3}?"])


def extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.sampled_from(["(", "(?:", "(?=", "(?!"])
    return st.one_of(
        st.tuples(group, inner, COUNTS).map(lambda parts: f"{parts[0]}{parts[1]}){parts[2]}"),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        inner.map(lambda text: f"(?<={text})" if len(text) == 1 else text),
    )


SINGLE = st.tuples(ATOMS, COUNTS).map("".join)
EXPRESSIONS = st.recursive(SINGLE, extended, max_leaves=8)
NAMES = st.text(alphabet="abc0._-", min_size=1, max_size=12)


@given(EXPRESSIONS, st.lists(NAMES, min_size=1, max_size=5))
@settings(max_examples=1000, deadline=None)
def test_all_ways_at_once_lead_where_one_after_the_other_does(text: str, names: list[str]) -> None:
    try:
        python = re.compile(text, re.IGNORECASE)
    except re.error:
        with pytest.raises(re.error):
            compiled(text)
        return
    matches = compiled(f"(?:){{1}}(?:{text})")  # never plain

    assert not plain(f"(?:){{1}}(?:{text})")
    assert [bool(matches(name)) for name in names] == [bool(python.match(name)) for name in names]


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+$",
        "(a|a)*b",
        "(a*)*b",
        "(.*)*x",
        "(a?){40}a{40}b",
        ".*.*.*.*.*.*.*x",
        "(?!(a+)+$)b",
    ],
)
def test_what_never_ends_for_python_ends(text: str) -> None:
    assert not compiled(text)("a" * 100 + "!")


@pytest.mark.parametrize("text", ["(a", "[", "*", "a{99999999999}", "(?P<a>x)(?P<a>y)"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(re.error):
        compiled(text)


def test_references_are_left_to_plain_expressions() -> None:
    assert compiled(r"(.)\1")("aab")
    with pytest.raises(NotFollowed, match="refers back"):
        compiled(r"(.+)+\1$")


@pytest.mark.filterwarnings("error")
def test_what_python_only_warns_of_is_no_warning_here() -> None:
    assert compiled("[[a]")("a")
