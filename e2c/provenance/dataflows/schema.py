"""The statements that make the system tables (``schema.sql``, ``monitoring.sql``), and those that explain them."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r'^(?:CREATE TABLE IF NOT EXISTS|CREATE OR REPLACE VIEW) "public"\.(\w+)')


def statements() -> list[str]:
    """What makes the tables. A statement does nothing, or fails because a column is there, when it was done before."""
    return _statements("schema.sql") + _statements("monitoring.sql")


def meanings() -> list[str]:
    """What explains each table and column, as comments in the database."""
    return _statements("meanings.sql") + _statements("monitoring_meanings.sql")


@cache
def names() -> frozenset[str]:
    """Names of the system tables and views."""
    return frozenset(found[1] for statement in statements() if (found := _NAME.match(statement)))


def _statements(name: str) -> list[str]:
    text = files("e2c.provenance.dataflows").joinpath(name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";\n") if statement.strip(" \n;")]
