"""Rows of the system tables that describe dataflows, and statements that make tables; one writer, no keys."""

# ruff: noqa: S608 - statements are made of names and literals that names.py has quoted
from __future__ import annotations

from typing import Any

from e2c.provenance.connections import rows
from e2c.provenance.folder import READER
from e2c.provenance.names import SCHEMA, literal, qualified, quoted


class Definitions:
    """Executes within the caller's transaction. After a rollback it has to be made anew."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._next: dict[str, int] = {}

    def execute(self, statement: str) -> None:
        """Execute one statement."""
        self._connection.cursor().execute(statement)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        return rows(self._connection, statement)

    def insert(self, table: str, key: str = "id", **values: str | int | bool | None) -> int:
        """Insert a row under the next number. Numbers are never used again, because no row is ever deleted."""
        if table not in self._next:
            self._next[table] = (self.rows(f"SELECT max({key}) FROM {qualified(table)}")[0][0] or 0) + 1
        number = self._next[table]
        self._next[table] += 1
        self.add(table, **{key: number}, **values)
        return number

    def add(self, table: str, **values: str | int | bool | None) -> None:
        """Insert a row."""
        names = ", ".join(map(quoted, values))
        shown = ", ".join(map(literal, values.values()))
        self.execute(f"INSERT INTO {qualified(table)} ({names}) VALUES ({shown})")

    def update(self, table: str, number: int, **values: str | int | bool | None) -> None:
        """Change the row of this id."""
        shown = ", ".join(f"{quoted(name)} = {literal(value)}" for name, value in values.items())
        self.execute(f"UPDATE {qualified(table)} SET {shown} WHERE id = {number}")

    def grant(self, target: str) -> None:
        """Let the reader read a table or view. A view that is replaced loses its grants."""
        self.execute(f"GRANT SELECT ON {target} TO {READER}")

    def tables(self) -> set[str]:
        """Names of the tables and views of the common schema."""
        return {
            name
            for (name,) in self.rows(
                "SELECT t.name FROM sys.tables AS t JOIN sys.schemas AS s ON s.id = t.schema_id "
                f"WHERE s.name = {literal(SCHEMA)}"
            )
        }

    def schemas(self) -> set[str]:
        """Names of all schemas."""
        return {name for (name,) in self.rows("SELECT name FROM sys.schemas")}
