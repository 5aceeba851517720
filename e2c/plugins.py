"""Plugins: found by entry point, loaded when they are first asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from e2c.errors import E2CError

ENVIRONMENTS = "e2c.environments"
"""Entry points to a callable that returns an ``e2c.environments.base.Provider``."""


class UnknownPluginError(E2CError, LookupError):
    """No plugin of that name is installed."""


def names(group: str) -> list[str]:
    """Names registered in an entry point group, sorted; loads none of them."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """The object behind an entry point.

    Raises:
        UnknownPluginError: no plugin of that name, or two distributions claim it.
    """
    found: dict[str, EntryPoint] = {point.value: point for point in entry_points(group=group, name=name)}
    if not found:
        known = names(group)
        near = get_close_matches(name, known, n=1)
        raise UnknownPluginError(
            f"no plugin named {name!r} in {group}",
            why=f"installed: {', '.join(known) or 'none'}",
            hint=f"Did you mean {near[0]!r}" if near else "Install the distribution that provides it",
        )
    if len(found) > 1:
        raise UnknownPluginError(
            f"two plugins claim the name {name!r} in {group}",
            why=" and ".join(sorted(found)),
            hint="Uninstall one of them",
        )
    return next(iter(found.values())).load()
