"""Values and tables as people read them on a terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from e2c.provenance.command import render


def cell(value: Any) -> str:
    """A value as text, as SQL writes it; NULL is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return render.text(value)


def printable(text: str) -> str:
    """A text on one line, which cannot command a terminal."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(lambda match: _NAMED.get(match.group(), f"\\x{ord(match.group()):02x}"), text)


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def width(text: str) -> int:
    """Places on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def table(names: Sequence[str], rows: Sequence[Sequence[str]], rights: Sequence[bool] = ()) -> Iterator[str]:
    """The lines of a table.

    Args:
        rows: printable texts.
        rights: whether each column stands to the right; without it, all stand to the left.
    """
    names = [printable(name) for name in names]
    widths = [max(map(width, column)) for column in zip(names, *rows, strict=True)]
    for line in [names, ["-" * wide for wide in widths], *rows]:
        spaces = [" " * (wide - width(text)) for text, wide in zip(line, widths, strict=True)]
        placed = zip(line, spaces, rights or [False] * len(line), strict=True)
        yield "  ".join(space + text if right else text + space for text, space, right in placed).rstrip()
