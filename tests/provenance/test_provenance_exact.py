"""Each value is found again exactly: in the view, or in ``exact_value`` where its column cannot hold it."""

from __future__ import annotations

import datetime
import itertools
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from provenance_parts import T0, Asker, Device

from e2c.provenance.dataflows.dataflow import parse
from e2c.provenance.queries import ask as ask_reader
from e2c.provenance.storing.store import Store
from provlight.wire import TASK_END, Record, SetShape

pytestmark = pytest.mark.monetdb

repeat = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200)
floats = st.floats(allow_subnormal=True) | st.sampled_from(
    [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, math.inf, -math.inf, math.nan, 0.1]
)
integers = st.integers() | st.integers(-(2**70), 2**70) | st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**64, 10**400])
datetimes = st.datetimes(timezones=st.none() | st.just(datetime.timezone.utc))
numbers = st.none() | st.booleans() | integers | floats | (integers | floats).map(str)
anything = st.none() | st.booleans() | integers | floats | texts | st.binary(max_size=60) | datetimes
_numbers = itertools.count(1)

FLOW = {
    "tag": "exact",
    "transformations": [
        {
            "tag": "t",
            "sets": [
                {
                    "tag": "exact_x",
                    "type": "OUTPUT",
                    "attributes": [
                        {"name": "number", "type": "NUMERIC"},
                        {"name": "other number", "type": "NUMERIC"},
                        {"name": "words", "type": "TEXT"},
                        {"name": "long", "type": "LONG_TEXT"},
                        {"name": "select", "type": "FILE"},
                    ],
                }
            ],
        }
    ],
}


def capture(store: Store, *rows: tuple[Any, Any, Any]) -> int:
    """Store rows of ``number``, ``words`` and ``long``. Returns the number of the first of their elements."""
    if "exact" not in store._catalogue.flows:
        store._catalogue.declare(parse([FLOW])[0])
        store._connection.commit()
    shape = SetShape("exact_x", ("number", "words", "long"), 3)
    device = Device()
    records = [Record(TASK_END, "exact", "t", n, T0 + n, (), "", [(shape, list(row))]) for n, row in enumerate(rows, 1)]
    assert store.store([device.batch(*records)])[0].last == 1
    client = store._clients[device.user, device.name].id
    assert store._rows(f"SELECT reason FROM rejected WHERE client_id = {client}") == []
    return store._rows("SELECT max(id) FROM ds_exact_x")[0][0] - len(rows) + 1


def numeric(value: Any) -> tuple[float | None, str | None]:
    """What column and ``exact_value`` say of a number."""
    if value is None:
        return None, None
    if isinstance(value, int):
        try:
            rough = float(value)
        except OverflowError:
            return None, str(value)
        return rough, None if int(rough) == value else str(value)
    number = float(value)
    return (None, "NaN") if math.isnan(number) else (number, None)


def textual(value: Any) -> str | None:
    """The text of a value."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return "\\x" + value.hex()
    return value.isoformat(sep=" ") if isinstance(value, datetime.datetime) else str(value)


@repeat
@given(values=st.lists(numbers, min_size=1, max_size=25))
@example(
    [math.nan, None, -0.0, 0.0, math.inf, -math.inf, 5e-324, 2**53 + 1, -(2**63), 10**400, True, False, "1e400", "nan"]
)
@example([2**62, -(2**62), 2**53, 2**53 + 1])
@example([math.inf, -math.inf])
@example([0.1, math.nan])
def test_numbers(store: Store, ask: Asker, values: list[Any]) -> None:
    first = capture(store, *[(value, "", "") for value in values])
    rows = ask(
        "SELECT x.number, e.value FROM exact_x x LEFT JOIN exact_value e ON e.element_id = x.id "
        "AND e.ds_id = (SELECT id FROM data_set WHERE tag = 'exact_x') "
        f"AND e.attribute_id = (SELECT id FROM attribute WHERE name = 'number') WHERE x.id >= {first} ORDER BY x.id"
    )
    assert [(repr(number), exact) for number, exact in rows] == [
        (repr(number), exact) for number, exact in map(numeric, values)
    ]


@repeat
@given(values=st.lists(anything, min_size=1, max_size=25))
@example(
    ["", " ", "NULL", "null", "\\N", "\x80", "'", "\r\n", "\r\r\n", "\n\r", "\ufeff", "\ud7ff", "\U0010ffff", "a\u0301"]
)
@example([b"", b"\xff\x00", b"text", b"\r\n", True, None, -0.0, math.nan, 10**400, datetime.datetime(1, 1, 1)])
def test_texts(store: Store, ask: Asker, values: list[Any]) -> None:
    values = [value for value in values if not (isinstance(value, bytes) and "\0" in (textual(value) or ""))]
    if not values:
        return
    first = capture(store, *[(None, value, value) for value in values])
    rows = ask(f"SELECT words, long FROM exact_x WHERE id >= {first} ORDER BY id")
    assert rows == [(textual(value), textual(value)) for value in values]


@pytest.mark.parametrize("piece", ["x", "é", "😀", "'", "\\", "\r\n", '"; --'])
def test_texts_of_a_megabyte(store: Store, ask: Asker, piece: str) -> None:
    text = piece * (1_000_000 // len(piece.encode()))
    first = capture(store, (1, text, "short"), (2, "between", text))
    assert ask(f"SELECT words, long FROM exact_x WHERE id >= {first} ORDER BY id") == [
        (text, "short"),
        ("between", text),
    ]


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@repeat
@given(
    tag=words.filter(str.strip),
    attributes=st.lists(words.filter(str.strip), min_size=1, max_size=4, unique_by=str.lower),
)
@example("order", ["select", "from", "user", "id"])
@example("a,b", ["x,y", "x#y", 'x"y', "x\\y"])
@example("% weird", ["%", "a b", " a ", "\ufeff"])
@example("naïve ключ 日本語 😀", ["Ä", "ä́", "İ", "\u017f"])
def test_names(store: Store, ask: Asker, tag: str, attributes: list[str]) -> None:
    """Whatever the names: the reader finds the values by ``SELECT *``, and the names in ``attribute``."""
    flow = f"names {next(_numbers)}"
    shape = SetShape(tag, tuple(attributes), len(attributes))
    device = Device()
    values = [n + 0.5 for n in range(len(attributes))]
    store.store([device.batch(Record(TASK_END, flow, "naming", 1, T0, (), "", [(shape, values)]))])
    ((number, table, view),) = ask(
        "SELECT s.id, s.table_name, s.view_name FROM data_set s JOIN dataflow f ON f.id = s.df_id "
        f"WHERE f.tag = '{flow}'"
    )
    assert ask(f"SELECT name FROM attribute WHERE ds_id = {number} ORDER BY ordinal") == [(one,) for one in attributes]
    with ask_reader(store._folder, f'SELECT * FROM "{view or table}"') as answer:
        (row,) = answer.rows
        # The columns of a table are in the order of their making; its view has those of tasks first.
        assert row[2:] == tuple(values) if view else set(values) <= set(row)
        assert len(answer.columns) == 2 + len(attributes)
