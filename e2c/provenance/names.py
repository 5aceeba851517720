"""Names and literals in SQL: quoted, escaped, and never in the way of one another."""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import count

from e2c.errors import DataflowError

SCHEMA = "public"
"""Schema of all tables."""

MAX_NAME = 256
"""Longest tag or attribute name, in characters."""

MAX_IDENTIFIER = 200
"""Longest name of a table or column that is made from a tag, in characters. What is longer is cut."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNFIT = re.compile(_CONTROL.pattern[:-1] + r"#,\"\\\ufeff]")


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def qualified(name: str, schema: str = SCHEMA) -> str:
    """An SQL identifier with its schema."""
    return f"{quoted(schema)}.{quoted(name)}"


def literal(value: str | int | bool | None) -> str:
    """An SQL literal.

    Raises:
        ValueError: a text with a NUL character, which MonetDB cannot hold.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if "\0" in value:
        raise ValueError("a text with a NUL character cannot be stored")
    doubled = value.replace("'", "''")
    if "\\" not in value:
        return f"'{doubled}'"
    # With the prefix a backslash means the same whatever the server's setting ``raw_strings``.
    return "E'" + doubled.replace("\\", "\\\\") + "'"


def identifier(name: str) -> str:
    r"""The name of a table or column made from a tag.

    Lower case, because that is what an unquoted name in a query means. Control characters become ``_``, as do U+FEFF,
    which MonetDB refuses in a name, and ``# , " \\``, at which pymonetdb cuts the names of a result. A leading ``%``,
    which MonetDB keeps for itself, gets ``_`` before it. Different tags may give the same name: see :func:`free`.
    """
    made = _UNFIT.sub("_", name).lower()[:MAX_IDENTIFIER]
    return f"_{made}"[:MAX_IDENTIFIER] if made.startswith("%") else made


def free(name: str, taken: Container[str]) -> str:
    """``name``, or the first of ``name_2``, ``name_3``... that is not taken."""
    if name not in taken:
        return name
    return next(other for number in count(2) if (other := f"{name}_{number}") not in taken)


def checked(name: object, what: str) -> str:
    """A declared tag or attribute name.

    Args:
        what: what is named, such as ``the name of a set``.

    Raises:
        DataflowError: not a text of 1 to 256 printable characters.
    """
    if not isinstance(name, str) or not name.strip():
        shown = "missing" if name is None else f"{name!r:.60}"
        raise DataflowError(f"{what} must be a text that is not empty", why=f"it is {shown}")
    if len(name) > MAX_NAME:
        raise DataflowError(f"{what} is longer than {MAX_NAME} characters", why=f"{name[:40]!r}...")
    if _CONTROL.search(name):
        raise DataflowError(f"{what} holds a control character", why=repr(name))
    return name
