"""SQL as the user wrote it: its words, where one statement ends, parameters, and the place of an error."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from e2c.errors import QueryError
from e2c.provenance.names import literal

MAX_LENGTH = 1 << 20
"""Longest statement, in characters: the server needs a thousand times its length in memory."""

READING = frozenset(("select", "with", "values", "explain", "plan", "("))
"""First words of statements that read."""

COPIED = frozenset(("select", "with", "values", "("))
"""First words of statements whose result can be sent in bulk."""

CRASHING = frozenset(
    (
        "levenshtein",
        "editdistance",
        "editdistance2",
        "similarity",
        "sql_anyequal",
        "sql_not_anyequal",
        "star",
        "strings",
    )
) | frozenset(("ms_trunc", "ms_round"))
"""Functions of MonetDB 11.41 that end the server for some arguments. Its own functions cannot be taken from a user."""

_BYTE = re.compile(r"\\\\|\\[2-7][0-7]{2}|\\x[89a-fA-F]")
"""Escapes for bytes beyond ASCII: what is no UTF-8 ends the server in some functions."""

_PIECES = re.compile(
    r"""
    (?P<blank>\s+)
  | (?P<comment>--[^\n]*|\#[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<raw>\b[rR]'(?:[^']|'')*(?:'|\Z))
  | (?P<text>'(?:[^'\\]|''|\\.)*(?:'|\Z))
  | (?P<name>"(?:[^"]|"")*(?:"|\Z))
  | (?P<end>;)
  | (?P<parameter>:[A-Za-z_]\w*)
  | (?P<word>\w+)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Piece:
    """A word, literal, comment or sign."""

    kind: str
    text: str


def pieces(sql: str) -> Iterator[Piece]:
    """The pieces of a text of SQL; together they are the text."""
    for match in _PIECES.finditer(sql):
        yield Piece(str(match.lastgroup), match.group())


def split(sql: str) -> tuple[list[str], str]:
    """The statements that end with ``;``, without it, and what follows the last one."""
    statements: list[str] = []
    current: list[str] = []
    for piece in pieces(sql):
        if piece.kind == "end":
            statements.append("".join(current))
            current.clear()
        else:
            current.append(piece.text)
    return [statement for statement in statements if not is_empty(statement)], "".join(current)


def is_empty(sql: str) -> bool:
    """Whether there are only blanks and comments."""
    return all(piece.kind in ("blank", "comment") for piece in pieces(sql))


def is_open(sql: str) -> bool:
    """Whether a literal, name or comment has not ended."""
    last = ""
    for piece in pieces(sql):
        last = ""
        if piece.kind in ("raw", "text", "name"):
            quote = '"' if piece.kind == "name" else "'"
            body = piece.text[piece.text.index(quote) + 1 :]
            whole = _PIECES.fullmatch(piece.text)
            last = "" if whole and body.endswith(quote) and not _escaped(piece) else "open"
        elif piece.text.startswith("/*") and not (piece.text.endswith("*/") and len(piece.text) > 3):
            last = "open"
    return bool(last)


def _escaped(piece: Piece) -> bool:
    """Whether the last quote of a text belongs to it instead of ending it."""
    quote = '"' if piece.kind == "name" else "'"
    body = piece.text[piece.text.index(quote) + 1 : -1]
    if piece.kind == "text":
        body = re.sub(r"\\.", "", body, flags=re.DOTALL)
        if body.endswith("\\"):
            return True
    return body.replace(quote * 2, "").count(quote) > 0


def single(sql: str) -> tuple[str, str]:
    """The one statement of a text, and its first word in lower case.

    Raises:
        QueryError: there is none, there are several, or it is not one that reads.
    """
    if len(sql) > MAX_LENGTH:
        raise QueryError(
            f"the statement has {len(sql)} characters, and {MAX_LENGTH} are allowed",
            hint="Put long lists of values into fewer, shorter statements",
        )
    if "\0" in sql:
        raise QueryError("the statement holds a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in sql):
        raise QueryError("the statement is not UTF-8 text")
    statements, rest = split(sql)
    if not is_empty(rest):
        statements.append(rest)
    if not statements:
        raise QueryError("the statement is empty")
    if len(statements) > 1:
        raise QueryError(f"there are {len(statements)} statements, and one at a time is answered")
    words = (piece for piece in pieces(statements[0]) if piece.kind not in ("blank", "comment"))
    first = next(words).text.lower()
    if first not in READING:
        raise QueryError(
            "the database refused the statement",
            why=f"only reading is possible, and `{first[:40]}` is none of SELECT, WITH, VALUES, EXPLAIN and PLAN",
        )
    _check(statements[0])
    return statements[0], first


def _check(sql: str) -> None:
    """Refuse what would end the server.

    Raises:
        QueryError: the statement holds such a thing.
    """
    said = [piece for piece in pieces(sql) if piece.kind not in ("blank", "comment")]
    for place, piece in enumerate(said):
        was = said[place - 2].text.lower()
        following = said[place + 1].text if place + 1 < len(said) else ""
        if piece.kind in ("text", "name") and place > 1 and said[place - 1].text == "&" and was == "u":
            raise QueryError("literals and names with U& are not possible", hint="Write the characters themselves")
        if piece.kind == "text" and any(match != "\\\\" for match in _BYTE.findall(piece.text)):
            raise QueryError(
                "a text has an escape for a byte beyond ASCII", why=piece.text[:60], hint="Write the character itself"
            )
        name = piece.text[1:-1] if piece.kind == "name" else piece.text
        if piece.kind in ("word", "name") and following == "(" and name.lower() in CRASHING:
            raise QueryError(f"the function {name} is not possible", why="it can end this version of the database")


def bind(sql: str, parameters: Mapping[str, Any]) -> str:
    """The statement with each ``:name`` replaced by the literal of its value; names in literals and comments stay.

    Raises:
        QueryError: a value is missing, has no literal, or is not used.
    """
    used: set[str] = set()

    def one(piece: Piece) -> str:
        if piece.kind != "parameter":
            return piece.text
        name = piece.text[1:]
        if name not in parameters:
            known = f"given are {', '.join(sorted(parameters))}" if parameters else "none is given"
            raise QueryError(f"parameter :{name} has no value", why=known, hint=f"Give it: `--param {name}=VALUE`")
        used.add(name)
        return _literal(name, parameters[name])

    bound = "".join([one(piece) for piece in pieces(sql)])
    unused = sorted(set(parameters) - used)
    if unused:
        raise QueryError(f"parameter {unused[0]} does not occur in the statement", hint=f"Write `:{unused[0]}` there")
    return bound


def _literal(name: str, value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "NULL"  # as it is stored
        if math.isinf(value):
            return f'"json"."number"(CAST(\'{"-" if value < 0 else ""}1e400\' AS JSON))'
        return f"({value!r}{'' if 'e' in repr(value) else 'e0'})"
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:  # stored are times in UTC, without a zone
            value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return f"TIMESTAMP '{value.isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, datetime.date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, decimal.Decimal) and value.is_finite():
        return f"({value:f})"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"({', '.join([_literal(name, item) for item in value]) or 'NULL'})"
    if value is None or isinstance(value, (bool, int, str)):
        if isinstance(value, str) and ("\0" in value or any("\ud800" <= one <= "\udfff" for one in value)):
            raise QueryError(f"parameter {name} is a text with a character that cannot be stored")
        made = literal(value)
        return f"({made})" if isinstance(value, int) and value < 0 else made
    raise QueryError(
        f"parameter {name} is a {type(value).__name__}, which SQL has no literal for",
        hint="Give a number, text, truth value, date or list of these",
    )


def place(sql: str, message: str) -> str | None:
    """Where a syntax error is, from the beginning of the statement that the server repeats.

    Returns:
        ``line 2, column 8``, and None when the message does not say.
    """
    _, mark, quoted = message.partition(' in: "')
    if not mark:
        return None
    excerpt = quoted.rstrip().removesuffix('"').replace("\n!", "\n")
    for prefix in ("prepare ", "copy "):
        excerpt = excerpt.removeprefix(prefix)
    if not sql.lower().startswith(excerpt.lower()) or not excerpt.strip():
        return None
    before = excerpt.rstrip()
    word = re.search(r"(\w+|\W)\Z", before)
    start = word.start() if word else len(before)
    line = before.count("\n", 0, start) + 1
    return f"line {line}, column {start - before.rfind(chr(10), 0, start)}"
