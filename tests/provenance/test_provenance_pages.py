"""The SQL on the documentation pages is answered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from provenance_parts import Database, Device, begin, end

from e2c.provenance.queries import ask as ask_reader
from e2c.provenance.store import Store

ROOT = Path(__file__).parents[2]
PAGES = ("docs/howto/query.md", "docs/reference/database.md", "docs/explanation/provenance-service.md")


def statements() -> list[str]:
    blocks = [
        block for page in PAGES for block in re.findall(r"^```sql\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S)
    ]
    return [statement.strip() for block in blocks for statement in block.split(";") if statement.strip()]


@pytest.mark.monetdb
def test_every_statement_of_the_pages_is_answered(database: Database, store: Store) -> None:
    store.store([Device().batch(begin(1, 3, 16, 1, 2), end(1, 0.97, 1.5), begin(2, 3, 16, 1, 2))])
    answered = {}
    for statement in statements():
        with ask_reader(database.folder, statement) as answer:
            answered[statement] = list(answer.rows)
    assert len(answered) >= 5
    assert sum(bool(rows) for rows in answered.values()) >= 4
