"""The SQL on the documentation pages is answered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from provenance_parts import Database, Device, begin, end

from e2c.provenance.queries import ask as ask_reader
from e2c.provenance.storing.store import Store

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


@pytest.mark.monetdb
def test_the_python_of_the_page_runs(
    database: Database,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store.store([Device(name="page").batch(begin("1", 3, 16, 1, 2), end("1", 0.97, 1.5), begin("2", 5, 16, 1, 2))])
    (tmp_path / "provenance-data").symlink_to(database.folder.root)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/howto/query.md").read_text(), re.M | re.S)
    names: dict[str, object] = {"folder": database.folder.root}
    with ask_reader(database.folder, "select id from task where key = '1'") as answer:
        keys = list(answer.rows)
    for block in blocks:
        text = block
        if len(keys) > 1:  # other tests have stored tasks of these identities
            text = re.sub(r'"([12])"(, down=False)?', r'"\1", client="page"\2', text)
            text = text.replace('"1", client="page", "2", client="page"', '"1", "2", client="page"')
        exec(text, names)
    assert len(blocks) == 2
    assert "0.97" in capsys.readouterr().out
    assert len(names["table"]) >= 1  # type: ignore[arg-type]
    assert names["total"] >= 0.97  # type: ignore[operator]
