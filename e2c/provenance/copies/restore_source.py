"""What a dump and a folder of CSV files have in common: tables with typed columns, and rows in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, NoReturn

from e2c.errors import ProvenanceError

BLOCK_ROWS = 20_000
BLOCK_BYTES = 16 << 20
"""A block ends when it has this many rows, or this many bytes of text."""


class Block(NamedTuple):
    """Rows of one table; the first block of a table may have none."""

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    where: str


@dataclass(frozen=True)
class Source:
    """Something to load.

    Args:
        rows: expected number of rows of each table.
        blocks: gives the rows, those of one table after those of another, system tables first.
    """

    where: str
    rows: dict[str, int]
    blocks: Callable[[], Iterator[Block]]


@dataclass
class Gathering:
    """The rows of one table on their way into blocks."""

    table: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    where: str
    _rows: list[tuple[Any, ...]] = field(default_factory=list)
    _size: int = 0

    def add(self, row: tuple[Any, ...], size: int) -> bool:
        """Add a row. Returns whether the block is full."""
        self._rows.append(row)
        self._size += size
        return len(self._rows) >= BLOCK_ROWS or self._size >= BLOCK_BYTES

    def block(self, where: str | None = None) -> Block:
        """The rows so far; the next block begins."""
        made = Block(self.table, self.columns, self.types, self._rows, where or self.where)
        self._rows, self._size = [], 0
        return made


def damaged(where: str, line: int, why: str) -> NoReturn:
    """Say that a file is not what was written.

    Raises:
        ProvenanceError: always.
    """
    raise ProvenanceError("the file is damaged", where=f"{where}:{line}", why=why, hint="Take another copy of it")


def moment(field: bytes) -> datetime:
    """A timestamp as the server writes it.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(field.decode("ascii"))


def truth(field: bytes) -> bool:
    """``true`` or ``false``."""
    return field == b"true"
