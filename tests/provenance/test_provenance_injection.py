"""Whatever texts a device, a broker user or a specification brings: they are stored as they are, and nothing else is
done. Each example compares all tables, views, schemas, users and functions before and after.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from provenance_parts import T0, Asker, Device

from e2c.provenance.dataflows.dataflow import parse
from e2c.provenance.names import MAX_NAME, identifier, literal
from e2c.provenance.storing.store import Delivery, Store
from provlight.wire import (
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    WORKFLOW_BEGIN,
    WORKFLOW_FAILED,
    Encoder,
    Record,
    SetShape,
    frame,
)

pytestmark = pytest.mark.monetdb

PIECES = [
    *("'", '"', "''", '""', "\\", "\\'", '\\"', "\\\\", ";", "--", "/*", "*/", "%", "%s", "%(x)s", "{", "}", "?", ":1"),
    *(
        "R'",
        "E'",
        "X'",
        "U&'",
        'U&"\\0027',
        "UESCAPE '!'",
        "$$",
        "`",
        "\u00b4",
        "\u02bc",
        "\uff07",
        "\u2019",
        "\\047",
        "\\x27",
    ),
    *(
        "\n",
        "\r\n",
        "\r",
        "\t",
        "\x0b",
        "\x1b[2J",
        "\u2028",
        "\x7f",
        "\x85",
        "\xa0",
        "\ufeff",
        "\u202e",
        "İ",
        "ß",
        "😀",
    ),
    *(
        " ",
        "a",
        "task",
        "DROP TABLE task",
        '; DROP TABLE "public".task; --',
        "' OR '1'='1",
        "NULL",
        "select",
        "public.",
    ),
    *("COPY task INTO '/tmp/x'", "COMMIT;", "ROLLBACK", "null", "\ud7ff", "\ue000", "\U0010ffff", "<!--", "${x}"),
]
hostile = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
texts = hostile | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
names = texts.map(lambda text: text[:MAX_NAME]).filter(str.strip)
declared_names = names.filter(
    lambda text: not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u2028\u2029" for c in text)
)
topic_names = names.map(lambda text: "".join("_" if c in "/+#" else c for c in text))
repeat = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
_numbers = itertools.count(1)

EVERYTHING = (
    "SELECT 'table', s.name, t.name, t.type FROM sys.tables t JOIN sys.schemas s ON s.id = t.schema_id "
    "UNION ALL SELECT 'schema', name, '', 0 FROM sys.schemas "
    "UNION ALL SELECT 'user', name, '', 0 FROM sys.auths "
    "UNION ALL SELECT 'function', s.name, f.name, f.id FROM sys.functions f JOIN sys.schemas s ON s.id = f.schema_id "
    "UNION ALL SELECT 'privilege', a.name, '', p.privileges FROM sys.privileges p "
    "JOIN sys.auths a ON a.id = p.auth_id WHERE a.name NOT IN ('monetdb', 'public', 'reader')"
)


class Watch:
    """What is in the database, and that only what is expected came."""

    def __init__(self, ask: Asker) -> None:
        self.ask = ask
        self.before = set(ask(EVERYTHING))

    def came(self) -> set[tuple[Any, ...]]:
        """What came since; nothing may have gone."""
        now = set(self.ask(EVERYTHING))
        assert self.before <= now
        return {row[:3] for row in now - self.before}


def store_one(store: Store, device: Device, *records: Record) -> None:
    try:
        (told,) = store.store([device.batch(*records)])
    except Exception:
        store.recover()  # the next example must not suffer from this one
        raise
    assert told.last == device.seq
    client = store._clients[device.user, device.name].id
    assert store._rows(f"SELECT reason FROM rejected WHERE client_id = {client}") == []


@repeat
@given(workflow=names, step=names, tag=names, attributes=st.lists(names, min_size=1, max_size=3), value=texts)
@example("w", "t", "s", ["v"], "'" * 1001)
@example("'" * 256, '"' * 256, "\\" * 256, [";" * 256], "%" * 100_000)
@example("a\nb", "a\r\nb", "'; --\n", ["\\'; DROP TABLE task; --"], "E'\\\\'")
def test_names_and_values_of_what_is_captured(
    store: Store, ask: Asker, workflow: str, step: str, tag: str, attributes: list[str], value: str
) -> None:
    mark = f"{next(_numbers)}"
    workflow = f"{workflow[:240]}#{mark}"  # a dataflow of its own, so that each example starts anew
    distinct = tuple({name.lower(): name for name in attributes}.values())
    watch, device = Watch(ask), Device()
    shape = SetShape(tag, distinct, len(distinct))
    store_one(store, device, Record(TASK_END, workflow, step, 1, T0, (), "", [(shape, [value] * len(distinct))]))
    ((flow,),) = ask(f"SELECT id FROM dataflow WHERE tag = {literal(workflow.lower())}")
    assert ask(f"SELECT tag FROM data_transformation WHERE df_id = {flow}") == [(step.lower(),)]
    ((number, stored, table, view),) = ask(f"SELECT id, tag, table_name, view_name FROM data_set WHERE df_id = {flow}")
    assert stored == tag.lower()
    assert table.startswith(f"ds_{identifier(tag)}")
    columns = ask(f"SELECT name, column_name FROM attribute WHERE ds_id = {number} ORDER BY ordinal")
    assert tuple(name for name, _ in columns) == distinct
    shown = ", ".join('"{}"'.format(column.replace('"', '""')) for _, column in columns)
    for target in [table] + [view] * (view is not None):
        assert ask('SELECT {} FROM "{}"'.format(shown, target.replace('"', '""'))) == [(value,) * len(distinct)]
    # Just its table and perhaps its view came, and both are in the common schema.
    expected = {("table", "public", one) for one in (table, view) if one is not None}
    assert watch.came() == expected


@repeat
@given(
    user=topic_names,
    client=topic_names,
    task=texts,
    depends=st.lists(texts, max_size=2, unique=True),
    error=texts,
    path=texts,
    extra=st.tuples(names, texts),
    derived=names,
    host=texts,
)
@example("u'", "c\\", "1;", ["'"], "it's\\", "/data/'; --", ("x'y", "\\"), "d'", "h'\\")
@example("u", "c", "k" * 100_000, ["d" * 100_000], "e" * 100_000, "/" + "p" * 100_000, ("n", "v" * 100_000), "d", "h")
def test_identities_errors_files_and_facts(
    store: Store,
    ask: Asker,
    user: str,
    client: str,
    task: str,
    depends: Sequence[str],
    error: str,
    path: str,
    extra: tuple[str, str],
    derived: str,
    host: str,
) -> None:
    device = Device(user, f"{next(_numbers)}{client}", host=host)
    shape = SetShape("hostile_places", ("p",), 1, 1, (derived,))
    if "places" not in store._catalogue.flows:
        first = Record(TASK_END, "places", "t", "first", T0, (), "", [(shape, ["x"])])
        store_one(store, Device(), first)
    watch = Watch(ask)
    files = msgpack.packb([["hostile_places", "p", path, 1, b"\x00" * 32, ""]])
    extras = {"files": files, extra[0]: extra[1]} if extra[0] not in ("files", "parent") else {"files": files}
    begun = Record(
        TASK_BEGIN, "places", "t", task, T0, tuple(depends), "", [], {"parent": task, "parent_transformation": ""}
    )
    ended = Record(TASK_FAILED, "places", "t", task, T0 + 1, (), error, [(shape, [path])], extras)
    store_one(store, device, begun, ended)
    known = store._clients[device.user, device.name].id
    assert ask(f"SELECT user_name, client, host FROM client WHERE id = {known}") == [(user, device.name, host)]
    ((number, key, said, parent),) = ask(f"SELECT id, key, error_msg, parent_key FROM task WHERE client_id = {known}")
    assert (key, said, parent) == (task, error, task)
    assert ask(f"SELECT dependency_key FROM task_dependency WHERE task_id = {number} ORDER BY 1") == sorted(
        ((one,) for one in depends), key=lambda row: row[0].encode()
    )
    assert ask(f"SELECT path, name FROM file WHERE task_id = {number}") == [(path, path.rpartition("/")[2])]
    assert ask(f"SELECT derived_from FROM derivation WHERE task_id = {number}") == [(derived,)]
    if extra[0] in extras and extra[0] != "parent_transformation":
        assert ask(f"SELECT name, value FROM task_extra WHERE task_id = {number}") == [extra]
    assert watch.came() == set()
    # Found again by a later transaction, whose statements name them too.
    again = Record(TASK_BEGIN, "places", "t", task, T0 + 2, (task,), "", [])
    store._forget()
    store_one(store, device, again, again._replace(kind=TASK_END, dependencies=()))
    assert ask(f"SELECT count(*) FROM task WHERE client_id = {known} AND key = {literal(task)}") == [(2,)]
    assert watch.came() == set()


@repeat
@given(tag=names, error=texts)
def test_workflows(store: Store, ask: Asker, tag: str, error: str) -> None:
    device = Device()
    watch = Watch(ask)
    store_one(store, device, Record(WORKFLOW_BEGIN, tag, "", None, T0, (), "", []))
    store._forget()
    store_one(store, device, Record(WORKFLOW_FAILED, tag, "", None, T0 + 1, (), error, []))
    known = store._clients[device.user, device.name].id
    assert ask(f"SELECT tag, status, error_msg FROM workflow WHERE client_id = {known}") == [(tag, "FAILED", error)]
    assert watch.came() == set()


@repeat
@given(tags=st.lists(declared_names, min_size=7, max_size=7), path=declared_names)
@example(["'", '"', "\\", ";", "--", "%", "/*"], "*/")
@example(["sys", "task", "ds_x", "id", "public", "tmp", "performance"], "x")
def test_declarations(store: Store, ask: Asker, tags: list[str], path: str) -> None:
    flow_tag, step, tag, attribute, extractor, program, consumer = tags
    flow_tag = f"{flow_tag[:200]}#{next(_numbers)}"
    consumer = f"{consumer[:200]}#c"
    named = {"name": attribute, "type": "TEXT", "extractor": extractor}
    kinds = {"tag": extractor, "cartridge": "EXTRACTION", "extension": "CSV"}
    made = {"tag": tag, "type": "OUTPUT", "attributes": [named], "extractors": [kinds]}
    made["extractor.combinations"] = [{"outer": extractor, "inner": extractor, "keys": path, "key_types": path}]
    used = {"tag": tag, "type": "INPUT", "dependency": step}
    steps = [
        {"tag": step, "sets": [made], "programs": [{"name": program, "path": path}]},
        {"tag": consumer, "sets": [used]},
    ]
    (declared,) = parse([{"tag": flow_tag, "transformations": steps}])
    watch, device = Watch(ask), Device()
    store._catalogue.declare(declared)
    store._connection.commit()
    shape = SetShape(tag, None, 1)
    store_one(store, device, Record(TASK_END, flow_tag, step, 1, T0, (), "", [(shape, [path])]))
    ((flow, schema),) = ask(f"SELECT id, schema_name FROM dataflow WHERE tag = {literal(flow_tag.lower())}")
    ((number, stored, table, view),) = ask(f"SELECT id, tag, table_name, view_name FROM data_set WHERE df_id = {flow}")
    assert stored == tag.lower()
    assert ask(f"SELECT name, path FROM program WHERE df_id = {flow}") == [(program, path)]
    ((ext_view, ext_tag),) = ask(f"SELECT view_name, tag FROM extractor WHERE ds_id = {number}")
    assert ext_tag == extractor.lower()
    assert ask(f"SELECT keys, key_types FROM extractor_combination WHERE ds_id = {number}") == [(path, path)]
    ((column,),) = ask(f"SELECT column_name FROM attribute WHERE ds_id = {number}")
    quoted = ['"{}"'.format(name.replace('"', '""')) for name in (column, schema, identifier(tag), ext_view)]
    assert ask(f"SELECT {quoted[0]} FROM {quoted[1]}.{quoted[2]}") == [(path,)]
    assert ask(f"SELECT {quoted[0]} FROM {quoted[3]}") == [(path,)]
    own = {("table", "public", one) for one in (table, view, ext_view) if one is not None}
    assert watch.came() == own | {("schema", schema, ""), ("table", schema, identifier(tag))}
    # It is what it was for a writer that learns it from the database.
    store._forget()
    store._catalogue.declare(declared)
    store._connection.commit()
    assert ask(f"SELECT count(*) FROM dataflow_version WHERE df_id = {flow}") == [(1,)]


@repeat
@given(where=st.sampled_from(["workflow", "transformation", "tag", "attribute", "value", "task"]), text=texts)
def test_a_nul_character_is_rejected_with_the_whole_record(store: Store, ask: Asker, where: str, text: str) -> None:
    text = f"{text[:100]}\0{text[:100]}"
    parts: dict[str, Any] = {
        "workflow": "nul",
        "transformation": "t",
        "tag": "s",
        "attribute": "v",
        "value": "x",
        "task": 1,
    }
    parts[where] = text
    device = Device()
    if "nul" not in store._catalogue.flows:
        first = Record(TASK_END, "nul", "t", 0, T0, (), "", [(SetShape("s", ("v",), 1), ["x"])])
        store_one(store, Device(), first)
    watch = Watch(ask)
    shape = SetShape(parts["tag"], (parts["attribute"],), 1)
    sets = [(shape, [parts["value"]])]
    record = Record(TASK_END, parts["workflow"], parts["transformation"], parts["task"], T0, (), "", sets)
    assert store.store([device.batch(record)])[0].last == 1
    known = store._clients[device.user, device.name].id
    ((reason, payload),) = ask(f"SELECT reason, payload FROM rejected WHERE client_id = {known}")
    assert "NUL" in reason
    assert "\\u0000" in payload
    assert ask(f"SELECT count(*) FROM task WHERE client_id = {known}") == [(0,)]
    assert watch.came() == set()


@repeat
@given(topic=texts, payload=st.binary(max_size=60), reason=texts)
def test_messages_that_are_none_and_losses(store: Store, ask: Asker, topic: str, payload: bytes, reason: str) -> None:
    watch = Watch(ask)
    before = ask("SELECT count(*) FROM rejected")[0][0]
    assert store.store([Delivery(f"provlight/1/{topic}", payload)]) == []
    assert ask("SELECT count(*) FROM rejected")[0][0] == before + 1
    device = Device()
    device.seq = 1
    body = Encoder(device.name).tombstone(1, 3, reason)
    store.store([Delivery(f"provlight/1/{device.user}/{device.name}", frame(body, 1))])
    known = store._clients[device.user, device.name].id
    assert ask(f"SELECT reason, lost_records FROM loss WHERE client_id = {known}") == [(reason[:MAX_NAME], 3)]
    poison = device.batch(Record(TASK_END, "w", "t", 1, T0, (), "", []))
    store.store([poison], reason)
    assert ask(f"SELECT reason FROM rejected WHERE client_id = {known}") == [(reason,)]
    assert watch.came() == set()
