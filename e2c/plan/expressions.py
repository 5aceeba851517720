"""Regular expressions in bounded time.

Python's engine tries one way after the other, so ``(a+)+$`` costs years on a name of sixty letters. An expression that
could do so is matched here by following all ways at once: each part of it turns the places where it may begin into the
places where it may end. That is slower where nothing goes wrong, so plain expressions are left to Python.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

try:
    from re import _parser  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_parse as _parser

Matcher = Callable[[str], object]
"""Tells whether a name, all lower case, begins with a match."""
Places = frozenset[int]

_CHOICE = re.compile(r"[*+?{|]")
_NESTED = re.compile(r"\)[*+{]")
_NOT_FOLLOWED = {
    "GROUPREF": "refers back to a group",
    "GROUPREF_EXISTS": "asks whether a group matched",
    "ATOMIC_GROUP": "has an atomic group",
    "POSSESSIVE_REPEAT": "repeats possessively",
}


class NotFollowed(ValueError):
    """An expression that is neither plain nor regular; the text is a clause for the user."""


def plain(text: str) -> bool:
    """Whether Python's engine surely takes no more than the square of a name's length."""
    return len(_CHOICE.findall(text)) <= 2 and not _NESTED.search(text)


def compiled(text: str) -> Matcher:
    """What an expression matches at the beginning of a name, whatever its case.

    Raises:
        re.error: it cannot be read.
        NotFollowed: it is too complex for Python's engine, and uses what the other cannot do.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what future versions of Python will read otherwise
            python = re.compile(text, re.IGNORECASE)
            if plain(text):
                return python.match
            parts = list(_parser.parse(text, re.IGNORECASE))
    except (RecursionError, OverflowError):
        raise re.error("it is nested too deeply, or repeats too often") from None
    for operation in _operations(parts):
        if operation in _NOT_FOLLOWED:
            raise NotFollowed(_NOT_FOLLOWED[operation])
    return lambda name: bool(_ends(parts, frozenset({0}), name))


def _operations(value: Any) -> Iterator[str]:
    """Names of all operations of a parsed expression."""
    if isinstance(value, (list, tuple, _parser.SubPattern)):
        for inner in value:
            yield from _operations(inner)
    elif hasattr(value, "name"):
        yield value.name


def _ends(parts: Any, starts: Places, name: str) -> Places:
    """Where a sequence of parts may end that may begin at some places of a name."""
    places = starts
    for operation, argument in parts:
        if not places:
            break
        places = _end(operation.name, argument, places, name)
    return places


def _end(operation: str, argument: Any, starts: Places, name: str) -> Places:
    if operation in _ONE:
        fits = _ONE[operation]
        return frozenset(place + 1 for place in starts if place < len(name) and fits(argument, name[place]))
    if operation == "BRANCH":
        return frozenset().union(*(_ends(parts, starts, name) for parts in argument[1]))
    if operation == "SUBPATTERN":
        return _ends(argument[-1], starts, name)
    if operation in ("MAX_REPEAT", "MIN_REPEAT"):
        least, most, parts = argument
        return _repeated(least, most, parts, starts, name)
    if operation == "AT":
        return frozenset(place for place in starts if _stands(argument.name, place, name))
    direction, parts = argument  # ASSERT and ASSERT_NOT
    wanted = operation == "ASSERT"
    return frozenset(place for place in starts if _holds(direction, parts, place, name) is wanted)


def _repeated(least: int, most: int, parts: Any, starts: Places, name: str) -> Places:
    places = starts
    for _ in range(least):
        before, places = places, _ends(parts, places, name)
        if places == before:  # empty, or each further time would change nothing
            break
    found, fresh = places, places
    for _ in range(most - least):
        fresh = _ends(parts, fresh, name) - found
        if not fresh:
            break
        found |= fresh
    return found


def _holds(direction: int, parts: Any, place: int, name: str) -> bool:
    if direction > 0:
        return bool(_ends(parts, frozenset({place}), name))
    width = parts.getwidth()[0]
    return place >= width and place in _ends(parts, frozenset({place - width}), name)


def _stands(what: str, place: int, name: str) -> bool:
    if what.startswith("AT_BEGINNING"):
        return place == 0
    if what.startswith("AT_END"):
        return place == len(name)
    before, after = (0 <= at < len(name) and _is_word(name[at]) for at in (place - 1, place))
    return (before != after) is (what == "AT_BOUNDARY")


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


_CATEGORIES: dict[str, Callable[[str], bool]] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_WORD": _is_word,
}


def _in(items: Any, char: str) -> bool:
    negated = items[0][0].name == "NEGATE"
    return any(_item(operation.name, argument, char) for operation, argument in items[negated:]) is not negated


def _item(operation: str, argument: Any, char: str) -> bool:
    if operation == "CATEGORY":
        positive = argument.name.replace("_NOT_", "_")
        return _CATEGORIES[positive](char) is (positive == argument.name)
    low, high = argument if operation == "RANGE" else (argument, argument)
    return any(low <= ord(form) <= high for form in (char, char.upper()))


_ONE: dict[str, Callable[[Any, str], bool]] = {
    "ANY": lambda _, char: char != "\n",
    "LITERAL": lambda code, char: _item("LITERAL", code, char),
    "NOT_LITERAL": lambda code, char: not _item("LITERAL", code, char),
    "IN": _in,
}
"""Operations that take one character."""
