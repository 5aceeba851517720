"""Configurations as search libraries propose them, made into values that plays and JSON know."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

from e2c.errors import ScenarioError

NAME = "optimization_config"
"""The variable of plays that has the whole configuration."""


def plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with numbers, texts, truth values, None, lists and mappings only.

    Numbers and arrays of numpy become those of Python.

    Raises:
        ScenarioError: a value is something else.
    """
    return {str(name): _plain(value, str(name)) for name, value in configuration.items()}


def variables(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of plays: the whole, and each value as ``env_<name>`` where that is the name of a variable."""
    return {
        NAME: dict(configuration),
        **{f"env_{name}": value for name, value in configuration.items() if _is_name(f"env_{name}")},
    }


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)  # what only derives from it, as numpy's float64 does, becomes plain
    if isinstance(value, Mapping):
        return {str(name): _plain(one, f"{where}.{name}") for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one, f"{where}[{place}]") for place, one in enumerate(value)]
    convert = getattr(value, "tolist", None)  # of numpy's numbers and arrays
    if callable(convert):
        return _plain(convert(), where)
    raise ScenarioError(
        f"{NAME}: {where} has a value that plays cannot take",
        why=f"{str(value)[:60]!r} is neither a number, a text, a truth value, a list nor a mapping",
        hint="Hand over its name or its numbers",
    )


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)
