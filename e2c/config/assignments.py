"""Values of links as words of a command line: ``delay=100ms loss=5% down``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from e2c.config import document
from e2c.config.network import Change, Values
from e2c.config.problems import listed, nearest
from e2c.config.validate import validate
from e2c.errors import ScenarioError

WHERE = "command line"
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ALONE = {"down": True, "up": False}
"""Words that say something without a value."""


def read_change(src: str, dst: str, words: Iterable[str], *, symmetric: bool = False) -> Change:
    """A change that holds from now on.

    Args:
        src, dst: selectors.
        words: ``KEY=VALUE`` each, with the keys and values of a rule in network.yaml; ``down`` and ``up`` alone.
        symmetric: the way back, too.

    Raises:
        ScenarioError: a word has an unknown key or a wrong value, or there is none.
    """
    given: dict[str, Any] = {}
    for word in words:
        key, value = _read(word)
        if key in given:
            raise ScenarioError(f"{key} is given twice", where=WHERE, hint="Give it once")
        given[key] = value
    if not given:
        raise ScenarioError("no value is given", where=WHERE, hint="Add one, such as delay=100ms or down")
    content = {"at": "0s", "src": src, "dst": dst, "symmetric": symmetric, **given}
    read_in, problems = document.parse(yaml.safe_dump(content).encode(), WHERE, "network")
    change, wrong = validate(read_in, Change)
    for problem in (*problems, *wrong):
        raise ScenarioError(problem.message, where=WHERE, hint=problem.hint or None)
    assert change is not None
    return change


def _read(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals:
        if key in _ALONE:
            return "down", _ALONE[key]
        raise ScenarioError(f"{word!r} is no KEY=VALUE", where=WHERE, hint=_meant(key, [*KEYS, *_ALONE]))
    if key not in KEYS:
        raise ScenarioError(f"links have no {key!r}", where=WHERE, hint=_meant(key, KEYS))
    return key, _TRUTHS.get(text.lower(), text) if key == "down" else int(text) if _whole(key, text) else text


KEYS = tuple(Values.model_fields)
"""What links have, as in a rule of network.yaml."""


def _whole(key: str, text: str) -> bool:
    return key == "limit" and text.isascii() and text.isdigit() and len(text) < 20


def _meant(word: str, known: Sequence[str]) -> str:
    near = nearest(word, known)
    if near is None:
        return f"Known are {listed(known)}"
    return f"Did you mean {near!r}?" if near in _ALONE else f"Did you mean {near}=...?"
