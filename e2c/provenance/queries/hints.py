"""Names that were perhaps meant, where a statement names what the database does not have."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from e2c.provenance.connections import rows

_MISSING = (
    (re.compile(r"no such table '([^']*)'"), "table"),
    (re.compile(r"no such column '([^']*)'"), "column"),
    (re.compile(r"identifier '([^']*)' unknown"), "column"),
    (re.compile(r"no such schema '([^']*)'"), "schema"),
)
_RESERVED = re.compile(r"syntax error, unexpected ([A-Z]+).* in: .*\b(\1)\"?\s*\Z", re.IGNORECASE | re.DOTALL)
_QUERIES = {
    "table": (
        "SELECT DISTINCT t.name FROM sys.tables AS t JOIN sys.schemas AS s ON s.id = t.schema_id "
        "WHERE NOT t.system AND s.name <> 'tmp'"
    ),
    "column": (
        "SELECT DISTINCT c.name FROM sys.columns AS c JOIN sys.tables AS t ON t.id = c.table_id WHERE NOT t.system"
    ),
    "schema": "SELECT name FROM sys.schemas WHERE NOT system",
}


def suggestion(connection: Any, message: str) -> str | None:
    """What to write instead, for an error about a name; None when there is nothing alike."""
    reserved = _RESERVED.search(message)
    if reserved:
        word = reserved.group(1)
        return f'{word} is a word of SQL; if you mean a name, write "{word.lower()}" in double quotes'
    for pattern, kind in _MISSING:
        found = pattern.search(message)
        if found:
            word = found.group(1).rpartition(".")[2].lower()
            names = [name for (name,) in rows(connection, _QUERIES[kind])]
            near = get_close_matches(word, names, 2, 0.6)
            return f"Perhaps you mean {' or '.join(f'`{name}`' for name in near)}" if near else None
    return None
