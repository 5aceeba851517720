"""Declared dataflows: evaluated in a process of their own, checked, and entered into the database."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from provenance_parts import TUTORIAL, Asker, Database, Device, begin, end

from e2c.errors import DataflowError
from e2c.provenance.connections import connect
from e2c.provenance.dataflows.dataflow import Attribute, Combination, Extractor, parse
from e2c.provenance.dataflows.specification import evaluate, read
from e2c.provenance.folder import write_json
from e2c.provenance.names import SCHEMA, free, identifier, literal, quoted
from provlight.wire import TASK_BEGIN, TASK_END, Record, SetShape

SPECIFICATION = """
from dfa_lib_python.attribute import Attribute
from dfa_lib_python.attribute_type import AttributeType
from dfa_lib_python.dataflow import Dataflow
from dfa_lib_python.set import Set
from dfa_lib_python.set_type import SetType
from dfa_lib_python.transformation import Transformation
flow = Dataflow("Flow")
step = Transformation("step", [Set("made", SetType.OUTPUT, [Attribute("Value", AttributeType.NUMERIC)])])
flow.add_transformation(step)
print("noise")
flow.save()
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.py"
    path.write_text(text)
    return path


def test_a_specification_gives_its_dataflows(tmp_path: Path) -> None:
    (flow,) = parse(evaluate(write(tmp_path, SPECIFICATION), 30))
    assert (flow.tag, flow.transformations[0].tag) == ("flow", "step")
    assert [(item.tag, item.output) for item in flow.transformations[0].sets] == [("made", True)]
    assert [(one.name, one.type) for one in flow.transformations[0].sets[0].attributes] == [("Value", "NUMERIC")]


def test_a_missing_specification(tmp_path: Path) -> None:
    with pytest.raises(DataflowError, match="does not exist"):
        evaluate(tmp_path / "none.py", 5)


def test_a_failing_specification_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataflowError, match=r"spec\.py:2"):
        evaluate(write(tmp_path, "import os\nraise ValueError('no good')\n"), 30)


def test_a_specification_that_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataflowError, match="failed"):
        evaluate(write(tmp_path, "x = 1\n"), 30)


def test_an_endless_specification_is_ended_with_all_it_started(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    text = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(marker)!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    with pytest.raises(DataflowError, match="did not end within 3 s"):
        evaluate(write(tmp_path, text), 3)
    deadline = time.monotonic() + 10
    while _alive(int(marker.read_text())):
        assert time.monotonic() < deadline


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_greedy_specification_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DataflowError, match="MemoryError"):
        evaluate(write(tmp_path, "x = bytearray(8 << 30)\n"), 30)


def _changed(path: str, value: Any) -> dict[str, Any]:
    flow = copy.deepcopy(TUTORIAL)
    *steps, last = path.split("/")
    place: Any = flow
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return flow


_INPUT = "transformations/0/sets/0"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([1], "must be a JSON object"),
        ([_changed("tag", None)], "name of a dataflow"),
        ([_changed("tag", "")], "name of a dataflow"),
        ([_changed("tag", "x" * 300)], "longer than 256"),
        ([_changed("tag", "a\nb")], "control character"),
        ([_changed("transformations", {})], "must be a list"),
        ([_changed("transformations/0/tag", 1)], "name of a transformation"),
        ([_changed(f"{_INPUT}/type", "IN")], "INPUT or OUTPUT"),
        ([_changed(f"{_INPUT}/attributes/0/name", " ")], "name of an attribute"),
        ([_changed(f"{_INPUT}/attributes/0/type", None)], "must have one of the types"),
        ([_changed(f"{_INPUT}/attributes/0/name", "num_kernels")], "declared twice"),
        ([_changed(f"{_INPUT}/dependency", "nobody")], "does not produce it"),
        ([TUTORIAL, {**TUTORIAL, "tag": "MODEL_TRAINING"}], "declared twice"),
    ],
)
def test_what_is_wrong_in_a_declaration_is_said(document: Any, reason: str) -> None:
    with pytest.raises(DataflowError, match=reason):
        parse(document)


EMITTED: dict[str, Any] = {
    "tag": "model_training",
    "transformations": [
        {
            "tag": "training",
            "sets": [
                {"tag": "training_input", "attributes": [{"name": "kernel_size", "type": "NUMERIC"}], "type": "INPUT"},
                {"tag": "training_output", "attributes": [{"name": "Model", "type": "RDFILE"}], "type": "OUTPUT"},
            ],
        },
        {
            "tag": "evaluation",
            "sets": [
                {
                    "tag": "training_output",
                    "attributes": [{"name": "other", "type": "TEXT"}],
                    "type": "INPUT",
                    "dependency": "Training",
                },
                {
                    "tag": "eval_output",
                    "attributes": [{"name": "x", "type": "LONG_TEXT", "extractor": "E1"}],
                    "type": "OUTPUT",
                    "extractors": [
                        {"tag": "e1", "cartridge": "EXTRACTION", "extension": ["FASTBIT"], "setTag": "eval_output"},
                        {"tag": "e2", "cartridge": "INDEXING", "extension": ["OPTIMIZED_FASTBIT"]},
                    ],
                    "extractor.combinations": [{"outer": "e1", "inner": "e2", "keys": "a;b", "key_types": "TEXT;TEXT"}],
                },
            ],
            "programs": [{"name": "p", "path": "/p"}, {"name": "p", "path": "/p"}],
        },
        {"tag": "nothing"},
    ],
}
"""As ``dfa_lib_python`` 1.0.0 emits it, with its peculiarities, and what else DfAnalyzer's service reads."""


@pytest.mark.parametrize("document", [EMITTED, [EMITTED], {"dataflows": [EMITTED]}])
def test_the_json_of_the_library_is_read(document: Any) -> None:
    (value,) = read(json.dumps(document).encode(), "flow.json")
    (flow,) = parse([value])
    training, evaluation, nothing = flow.transformations
    assert flow.attributes()["training_output"] == (Attribute("Model", "RDFILE"),)
    assert flow.attributes()["eval_output"] == (Attribute("x", "LONG_TEXT", "e1"),)
    assert evaluation.sets[0].dependency == training.tag
    assert evaluation.sets[1].extractors == (
        Extractor("e1", "EXTRACTION", "FASTBIT"),
        Extractor("e2", "INDEXING", "OPTIMIZED_FASTBIT"),
    )
    assert evaluation.sets[1].combinations == (Combination("e1", "e2", "a;b", "TEXT;TEXT"),)
    assert len(evaluation.programs) == 1
    assert nothing.sets == ()
    # What is stored of it says the same.
    assert parse([json.loads(flow.document)])[0].digest == flow.digest


def test_all_problems_are_said_at_once() -> None:
    flow = copy.deepcopy(EMITTED)
    first, second, _ = flow["transformations"]
    first["sets"][0]["attributes"].append({"name": "optimizer", "type": "STRING"})
    first["sets"][1]["type"] = "BOTH"
    second["sets"][1]["extractors"][0]["cartridge"] = "MAGIC"
    second["sets"][1]["attributes"][0]["extractor"] = "e9"
    second["programs"].append({"name": "nowhere"})
    with pytest.raises(DataflowError) as caught:
        parse([flow])
    for part in (
        "has 6 problems",
        "attribute 'optimizer' of 'training_input' must have one of the types NUMERIC, TEXT",
        "it has 'STRING'",
        "set 'training_output' of 'training' must be of type INPUT or OUTPUT",
        "extractor 'e1' of 'eval_output' must have one of the cartridges EXTRACTION, INDEXING (it has 'MAGIC')",
        "attribute 'x' of set 'eval_output' names the extractor 'e9', which the set does not have",
        "; the path of program 'nowhere' of 'evaluation' must be a text that is not empty (it is missing)",
        "set 'training_output' of 'evaluation' depends on 'training', which does not produce it",
    ):
        assert part in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "tag",
                    "transformations",
                    "sets",
                    "attributes",
                    "name",
                    "type",
                    "dependency",
                    "programs",
                    "extractors",
                    "extractor.combinations",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(json_values)
def test_any_document_is_parsed_or_refused_by_a_sentence(value: Any) -> None:
    try:
        flows = parse(value)
    except DataflowError as error:
        said = str(error)
    else:
        said = "".join(flow.tag for flow in flows)
    assert "\n" not in said


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quoting_leaves_no_way_out(name: str) -> None:
    inner = quoted(name)[1:-1]
    assert '"' not in inner.replace('""', "")
    if "\0" not in name:
        made = literal(name)
        assert made.startswith("E'" if "\\" in name else "'")
        inside = made[made.index("'") + 1 : -1]
        assert "'" not in inside.replace("\\\\", "").replace("''", "")
        assert (len(inside) - len(inside.rstrip("\\"))) % 2 == 0


@given(st.text(min_size=1), st.sets(st.text(max_size=3)))
def test_names_are_lower_case_printable_and_free(name: str, taken: set[str]) -> None:
    made = identifier(name)
    assert made == identifier(made)
    assert not any(ord(character) < 32 for character in made)
    chosen = free(made, taken)
    assert chosen not in taken


# ------------------------------------------------------------------------------------------------ in the database


def declare(server: Database, dataflows: list[dict[str, Any]]) -> None:
    write_json(server.folder.dataflows, {"dataflows": dataflows})
    server.store().close()


@pytest.mark.monetdb
def test_versions_and_ids(tmp_path: Path) -> None:
    server = Database(tmp_path / "data")
    try:
        connection = connect(server.folder)
        ask = Asker(connection)
        store = server.store()
        device = Device()
        store.store([device.batch(begin(1, 1, 2, 3, 4), end(1, 0.5, 6))])
        store.close()

        def state() -> list[list[tuple[Any, ...]]]:
            tables = ("dataflow", "dataflow_version", "data_transformation", "data_set", "data_dependency", "attribute")
            return [ask(f"SELECT * FROM {table} ORDER BY 1") for table in tables]

        before = state()
        declare(server, [TUTORIAL])
        assert state() == before

        # An attribute more, one less, one of another type, another order: a new version, old rows stay readable.
        changed = copy.deepcopy(TUTORIAL)
        changed["transformations"][0]["sets"][0]["attributes"] = [
            {"name": "optimizer", "type": "TEXT"},
            {"name": "kernel_size", "type": "NUMERIC"},
            {"name": "num_kernels", "type": "TEXT"},
        ]
        declare(server, [changed])
        assert ask("SELECT version, df_id FROM dataflow_version ORDER BY version") == [(1, 1), (2, 1)]
        store = server.store()
        store.store([device.batch(begin(2, "adam", 5, "six"))])
        store.close()
        assert ask("SELECT * FROM training_input ORDER BY id") == [
            (1, 1, None, 1.0, None),
            (2, 2, "adam", 5.0, "six"),
        ]
        assert ask("SELECT kernel_size, num_kernels, num_kernels_2, pooling_size FROM ds_training_input") == [
            (1.0, 2.0, None, 4.0),
            (5.0, None, "six", None),
        ]
        assert ask("SELECT id, df_version FROM task ORDER BY id") == [(1, 1), (2, 2)]
        connection.close()
    finally:
        server.end()


@pytest.mark.monetdb
def test_two_dataflows_with_the_same_set_names(tmp_path: Path) -> None:
    second = {**copy.deepcopy(TUTORIAL), "tag": "Second Flow"}
    second["transformations"][0]["sets"][0]["attributes"] = [{"name": "words", "type": "TEXT"}]
    server = Database(tmp_path / "data", [TUTORIAL, second])
    try:
        store = server.store()
        device = Device()
        store.store([device.batch(begin(1, 1, 2, 3, 4), begin(1, "hello")._replace(workflow="second flow"))])
        store.close()
        connection = connect(server.folder)
        ask = Asker(connection)
        assert ask("SELECT kernel_size FROM training_input") == [(1.0,)]
        assert ask("SELECT kernel_size FROM model_training.training_input") == [(1.0,)]
        assert ask('SELECT words FROM "second flow".training_input') == [("hello",)]
        assert ask("SELECT tag, table_name, view_name FROM data_set WHERE df_id = 2 ORDER BY id") == [
            ("training_input", "ds_training_input_2", None),
            ("training_output", "ds_training_output_2", None),
        ]
        connection.close()
    finally:
        server.end()


@pytest.mark.monetdb
def test_a_chain_has_columns_for_producer_and_consumer(tmp_path: Path) -> None:
    attributes = [{"name": "x", "type": "NUMERIC"}]
    chain = {
        "tag": "chain",
        "transformations": [
            {
                "tag": "eval",
                "programs": [{"name": "evaluate", "path": "/bin/evaluate.py"}],
                "sets": [{"tag": "model", "type": "INPUT", "attributes": attributes, "dependency": "train"}],
            },
            {"tag": "train", "sets": [{"tag": "model", "type": "OUTPUT", "attributes": attributes}]},
        ],
    }
    server = Database(tmp_path / "data", [chain])
    try:
        store = server.store()
        device = Device()
        shape = SetShape("model", None, 1)
        store.store(
            [
                device.batch(
                    Record(TASK_END, "chain", "train", 1, 1, (), "", [(shape, [0.5])]),
                    Record(TASK_BEGIN, "chain", "eval", 2, 2, (1,), "", []),
                )
            ]
        )
        store.close()
        connection = connect(server.folder)
        ask = Asker(connection)
        assert ask("SELECT id, train_task_id, eval_task_id, x FROM model") == [(1, 1, None, 0.5)]
        assert ask(
            "SELECT d.previous_dt_id, d.next_dt_id, s.tag FROM data_dependency d JOIN data_set s ON s.id = d.ds_id"
        ) == [(2, 1, "model")]
        assert ask("SELECT name, path FROM program JOIN use_program ON program_id = id") == [
            ("evaluate", "/bin/evaluate.py")
        ]
        connection.close()
        declare(server, [chain])
        store = server.store()
        store.store([device.batch(Record(TASK_END, "chain", "train", 3, 3, (), "", [(shape, [0.75])]))])
        store.close()
        connection = connect(server.folder)
        assert Asker(connection)("SELECT train_task_id, eval_task_id, x FROM model ORDER BY id")[1] == (3, None, 0.75)
        connection.close()
    finally:
        server.end()


def test_the_schema_is_the_one_of_the_reference() -> None:
    from e2c.provenance.dataflows.schema import statements

    text = "\n".join(statements())
    for table, columns in {
        "dataflow": "id tag",
        "dataflow_version": "version df_id",
        "data_transformation": "id df_id tag",
        "program": "id df_id name path",
        "use_program": "dt_id program_id",
        "data_set": "id df_id tag",
        "data_dependency": "id previous_dt_id next_dt_id ds_id",
        "extractor": "id ds_id tag cartridge extension",
        "extractor_combination": "id ds_id outer_ext_id inner_ext_id keys key_types",
        "attribute": "id ds_id extractor_id name type",
        "task": "id identifier df_version dt_id status workspace computing_resource output_msg error_msg",
        "file": "id task_id name path",
        "performance": "id task_id subtask_id method description starttime endtime invocation",
    }.items():
        (definition,) = [line for line in text.splitlines() if f'"{SCHEMA}".{table} (' in line]
        for column in columns.split():
            assert f"{column} " in definition or f"{column}," in definition or f"{column})" in definition
