"""Values, texts and names arrive exactly, whatever they are."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from provenance_parts import T0, Asker, Device, begin, client_row

from e2c.provenance.names import literal
from e2c.provenance.storing.store import Store
from provlight.wire import TASK_END, Encoder, Record, SetShape

pytestmark = pytest.mark.monetdb


def test_numbers_are_exact(store: Store, ask: Asker) -> None:
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, 123456789.123456789, math.nan]
    ints = [0, -1, 2**53, 2**53 + 1, -(2**63), 2**63, 10**400, True]
    device = Device()
    records = [begin(n, value, whole, None, "1e3") for n, (value, whole) in enumerate(zip(values, ints, strict=True))]
    store.store([device.batch(*records)])
    mine = f"SELECT t.id FROM task t JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}'"
    rows = ask(
        "SELECT kernel_size, num_kernels, length_of_strides, pooling_size FROM training_input "
        f"WHERE training_task_id IN ({mine}) ORDER BY id"
    )
    assert [repr(row[0]) for row in rows[:7]] == [repr(value) for value in values[:7]]
    assert [row[1] for row in rows[:3]] == [0.0, -1.0, 2.0**53]
    assert {row[2:] for row in rows} == {(None, 1000.0)}
    noted = ask(
        "SELECT a.name, x.value FROM exact_value x JOIN attribute a ON a.id = x.attribute_id "
        "JOIN training_input i ON i.id = x.element_id "
        f"WHERE i.training_task_id IN ({mine}) ORDER BY x.element_id"
    )
    assert noted == [("num_kernels", str(2**53 + 1)), ("num_kernels", str(10**400)), ("kernel_size", "NaN")]


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.tuples(texts, st.none() | st.floats(), texts), min_size=1, max_size=20))
@example(values=[("ends", 1.0, "a\r\nb\r\r\n\n\r\r"), ("none", None, "\r"), ("key\r\n", 2.0, "\r\n")])
def test_any_text_and_float_is_stored_exactly(
    store: Store, ask: Asker, values: list[tuple[str, float | None, str]]
) -> None:
    device = Device(name=values[0][2][:20] + "-" + Device().name.replace("/", ""))
    device.name = device.name.replace("/", "_").replace("+", "_").replace("#", "_")
    device.encoder = Encoder(device.name)
    shape = SetShape("free text", ("words", "number"), 2)
    if "texts" not in store._catalogue.flows:
        first = Record(TASK_END, "texts", "writing", 1, T0, (), "", [(shape, ["", 1.0])])
        store.store([Device().batch(first)])
    records = [
        Record(TASK_END, "texts", "writing", key, T0, (), "", [(shape, [words, number])])
        for key, number, words in values
    ]
    assert store.store([device.batch(*records)])[0].last == 1
    client = store._clients[device.user, device.name].id
    rows = ask(
        'SELECT t.key, f.words, f.number FROM "free text" f JOIN task t ON t.id = f.writing_task_id '
        f"WHERE t.client_id = {client} ORDER BY f.id"
    )
    expected = [
        (key, words, "None" if number is None or number != number else repr(number)) for key, number, words in values
    ]
    assert [(key, words, repr(number)) for key, words, number in rows] == expected


names = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30).filter(str.strip)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(workflow_tag=names, transformation=names, tag=names, attributes=st.lists(names, min_size=1, max_size=4))
def test_any_name_is_stored_and_nothing_else_happens(
    store: Store, ask: Asker, workflow_tag: str, transformation: str, tag: str, attributes: list[str]
) -> None:
    distinct = tuple({name.lower(): name for name in attributes}.values())
    shape = SetShape(tag, distinct, len(distinct))
    device = Device()
    record = Record(
        TASK_END, workflow_tag, transformation, 1, T0, (), "", [(shape, [float(n) for n in range(len(distinct))])]
    )
    tables = ask("SELECT count(*) FROM task")[0][0]
    assert store.store([device.batch(record)])[0].last == 1
    assert ask("SELECT count(*) FROM task")[0][0] == tables + 1
    assert client_row(ask, device)[:4] == (1, 1, 1, 0)


NASTY = [
    "select",
    'x"; DROP TABLE task; --',
    "a'b",
    "ключ",
    "日本語",
    "a.b",
    "ds_training_input",
    "task",
    "id",
    "%s",
    "\\n",
    "tab\tand\nline",
]


@pytest.mark.parametrize("name", NASTY)
def test_reserved_and_hostile_names(store: Store, ask: Asker, name: str) -> None:
    device = Device()
    shape = SetShape(name, (name, "plain"), 2)
    store.store([device.batch(Record(TASK_END, "hostile", name, name, T0, (), "", [(shape, [1.5, name])]))])
    ((table, view),) = ask(
        "SELECT s.table_name, s.view_name FROM data_set s JOIN dataflow f ON f.id = s.df_id "
        f"WHERE f.tag = 'hostile' AND s.tag = {literal(name.lower())}"
    )
    quoted = table.replace('"', '""')
    assert ask(f'SELECT plain FROM "{quoted}"') == [(name,)]
    # A short view is only made where the name is free.
    assert (view is None) == (name in ("ds_training_input", "task"))
    assert ask("SELECT count(*) > 0 FROM task") == [(True,)]
