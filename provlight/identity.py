"""Identities of tasks: those that users give, and those made here, which no other process makes."""

from __future__ import annotations

import os
from itertools import count

from .shapes import MAX_NAME
from .values import MAX_INT_BITS, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    Identity = Union[int, str]

_numbers = count(1)
_prefix = ""


def fresh() -> str:
    """An identity that no other process has: 64 random bits of this process and a number."""
    global _prefix
    if not _prefix:
        _prefix = os.urandom(8).hex()
    return "{}-{}".format(_prefix, next(_numbers))


def checked(value: Any) -> Identity:
    """The identity as an integer or a text.

    Raises:
        TypeError: it is neither.
        ValueError: it is empty or too long.
    """
    identity = plain(value)
    if type(identity) is int:
        if identity.bit_length() > MAX_INT_BITS:
            raise ValueError("the identity of a task is too large")
        return int(identity)
    if type(identity) is not str:
        raise TypeError("the identity of a task must be an integer or a text, not {}".format(type(value).__name__))
    if not 0 < len(identity) <= MAX_NAME:
        raise ValueError("the identity of a task must have 1 to {} characters".format(MAX_NAME))
    return identity


def _after_fork() -> None:
    global _prefix
    _prefix = ""


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
