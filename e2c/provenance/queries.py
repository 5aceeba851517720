"""SQL over captured provenance, as a user who can only read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from e2c.errors import QueryError
from e2c.provenance.connections import connect, exact, explain
from e2c.provenance.folder import READER, DataFolder
from e2c.provenance.names import free

DEFAULT_LIMIT_S = 300.0
"""Limit of a statement, in seconds."""

_BLOCK = 5000


@dataclass(frozen=True)
class Answer:
    """The result of a statement: unique column names, and rows that come as they are asked for."""

    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def ask(folder: DataFolder, sql: str, limit_s: float = DEFAULT_LIMIT_S) -> Iterator[Answer]:
    """Answer one statement. Only reading is possible; the snapshot is released afterwards.

    Args:
        limit_s: time that the statement may take, in seconds; parts of a second count as one.

    Raises:
        QueryError: the statement was refused, or took too long.
        ProvenanceError: the database does not answer.
    """
    import pymonetdb

    if not sql.strip():
        raise QueryError("the statement is empty")
    connection = connect(folder, READER, autocommit=True, timeout_s=limit_s + 10)
    try:
        connection.set_replysize(_BLOCK)
        cursor = connection.cursor()
        cursor.arraysize = _BLOCK
        try:
            cursor.execute(f"CALL sys.setquerytimeout({max(1, math.ceil(limit_s))})")
            cursor.execute(sql)
        except (pymonetdb.Error, OSError) as error:
            raise QueryError("the database refused the statement", why=explain(error)) from error
        except (ValueError, LookupError) as error:  # the client library cannot read the answer
            raise QueryError("the answer cannot be read", why=str(error)) from error
        description = cursor.description or ()
        names: list[str] = []
        for column in description:
            names.append(free(column.name, names))
        numeric = tuple(column.type_code in _NUMERIC for column in description)
        yield Answer(tuple(names), numeric, _rows(cursor) if description else iter(()))
    finally:
        connection.close()


def _rows(cursor: Any) -> Iterator[tuple[Any, ...]]:
    import pymonetdb

    try:
        while block := cursor.fetchmany(_BLOCK):
            yield from map(exact, block)
    except (pymonetdb.Error, OSError) as error:
        raise QueryError("the answer broke off", why=explain(error)) from error


_NUMERIC = frozenset(("tinyint", "smallint", "int", "bigint", "hugeint", "real", "double", "decimal", "oid"))
