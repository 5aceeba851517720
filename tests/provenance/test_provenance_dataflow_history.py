"""Whatever declarations follow one another: no value is lost, and the view shows what the version in force declares."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from provenance_parts import T0, Asker, Device

from e2c.provenance.dataflows.dataflow import parse
from e2c.provenance.names import literal
from e2c.provenance.storing.store import Store
from provlight.wire import TASK_END, Record, SetShape

pytestmark = pytest.mark.monetdb

Declared = list[tuple[str, str]]
names = st.sampled_from(["a", "A", "b", "id", "id_2", "t_task_id", "u_task_id", "a,b", "a_b", "ключ"])
types = st.sampled_from(["NUMERIC", "TEXT", "LONG_TEXT", "FILE"])
declarations = st.lists(st.tuples(names, types), max_size=4, unique_by=lambda pair: pair[0].lower())
histories = st.lists(st.tuples(st.sampled_from(["t", "u"]), declarations), min_size=2, max_size=6)
_numbers = itertools.count(1)


def cell(kind: str, number: int) -> Any:
    return float(number) if kind == "NUMERIC" else f"text {number}"


def column(name: str, kind: str) -> tuple[str, bool]:
    """What keeps its values: the name, whatever its case, and how it is stored."""
    return name.lower(), kind == "NUMERIC"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories)
@example([("t", [("a", "NUMERIC")]), ("t", [("a", "TEXT")]), ("t", [("a", "NUMERIC")]), ("u", [("A", "FILE")])])
@example([("t", [("id", "TEXT")]), ("u", [("u_task_id", "TEXT"), ("id_2", "TEXT")]), ("t", [])])
def test_any_history(store: Store, ask: Asker, history: list[tuple[str, Declared]]) -> None:
    flow, tag = f"history {next(_numbers)}", f"past {next(_numbers)}"
    rows: list[dict[tuple[str, bool], Any]] = []
    versions: list[int] = []
    digests: list[str] = []
    device = Device()
    for number, (step, attributes) in enumerate(history):
        listed = [{"name": name, "type": kind} for name, kind in attributes]
        document = {
            "tag": flow,
            "transformations": [{"tag": step, "sets": [{"tag": tag, "type": "OUTPUT", "attributes": listed}]}],
        }
        (declared,) = parse([document])
        store._forget()  # as after a restart
        version = store._catalogue.declare(declared).version
        store._connection.commit()
        assert (version in versions) == (bool(digests) and digests[-1] == declared.digest)
        versions.append(version)
        digests.append(declared.digest)
        values = [cell(kind, number) for _, kind in attributes]
        if values:
            shape = SetShape(tag, None, len(values))
            record = Record(TASK_END, flow, step, number, T0 + number, (), "", [(shape, values)])
            assert store.store([device.batch(record)])[0].last == device.seq
            rows.append(dict(zip([column(*pair) for pair in attributes], values, strict=True)))
        expected = [tuple(row.get(column(*pair)) for pair in attributes) for row in rows]
        found = ask(f'SELECT * FROM "{flow}"."{tag}" ORDER BY id')
        steps = len({one for one, _ in history[: number + 1]})
        assert [row[1 + steps :] for row in found] == expected
    # All values are still in the table, under the columns that the attributes name.
    ((set_id, table),) = ask(f"SELECT id, table_name FROM data_set WHERE tag = {literal(tag)}")
    columns = ask(f"SELECT name, type, column_name FROM attribute WHERE ds_id = {set_id} ORDER BY id")
    assert len({one for _, _, one in columns}) == len(columns)
    for name, kind, one in columns:
        kept = ask(f'SELECT "{one}" FROM "{table}" ORDER BY id')
        assert [value for (value,) in kept] == [row.get(column(name, kind)) for row in rows]
    client = store._clients.get((device.user, device.name))
    if client is not None:
        told = ask(f"SELECT df_version FROM task WHERE client_id = {client.id} ORDER BY id")
        assert [version for (version,) in told] == [
            version for version, (_, attributes) in zip(versions, history, strict=True) if attributes
        ]
