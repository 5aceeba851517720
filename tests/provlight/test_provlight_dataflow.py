"""Declaring a dataflow, and evaluating specifications as they were written for DfAnalyzer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from provlight_broker import ROOT

from provlight.dataflow import (
    Attribute,
    AttributeType,
    Dataflow,
    DataSet,
    Extractor,
    ExtractorCartridge,
    ExtractorExtension,
    Program,
    Set,
    SetType,
    Transformation,
)

TUTORIAL = """
from dfa_lib_python.attribute import Attribute
from dfa_lib_python.attribute_type import AttributeType
from dfa_lib_python.dataflow import Dataflow
from dfa_lib_python.set import Set
from dfa_lib_python.set_type import SetType
from dfa_lib_python.transformation import Transformation

flow = Dataflow("Model_Training")
training = Transformation("Training")
inputs = Set("Training_Input", SetType.INPUT, [
    Attribute(n, AttributeType.NUMERIC) for n in ("kernel_size", "num_kernels")
])
outputs = Set("training_output", SetType.OUTPUT, [Attribute("accuracy", AttributeType.NUMERIC)])
training.set_sets([inputs, outputs])
flow.add_transformation(training)
flow.save()
"""


def evaluate(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "provlight.dataflow.evaluate", str(path), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "specification.py"
    path.write_text(text)
    return path


def dataflows(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["dataflows"]


def test_a_specification_in_the_style_of_the_tutorial(tmp_path: Path) -> None:
    (flow,) = dataflows(evaluate(written(tmp_path, TUTORIAL)))
    numeric = [{"name": name, "type": "NUMERIC"} for name in ("kernel_size", "num_kernels")]
    assert flow == {
        "tag": "model_training",
        "transformations": [
            {
                "tag": "training",
                "sets": [
                    {"tag": "training_input", "type": "INPUT", "attributes": numeric},
                    {
                        "tag": "training_output",
                        "type": "OUTPUT",
                        "attributes": [{"name": "accuracy", "type": "NUMERIC"}],
                    },
                ],
            }
        ],
    }


def test_an_output_that_becomes_an_input_by_changing_the_same_object() -> None:
    first, second = Transformation("T1"), Transformation("T2")
    output = Set("oT1", SetType.OUTPUT, [Attribute("x", AttributeType.TEXT)])
    first.set_sets([output])
    flow = Dataflow("f")
    flow.add_transformation(first)
    output.set_type(SetType.INPUT)
    output.dependency = first._tag
    second.set_sets([output, DataSet("oT2", SetType.OUTPUT)])
    flow.add_transformation(second)
    found = flow.to_json()["transformations"]
    assert [(item["type"], item.get("dependency")) for item in found[0]["sets"]] == [("OUTPUT", None)]
    assert [(item["type"], item.get("dependency")) for item in found[1]["sets"]] == [("INPUT", "t1"), ("OUTPUT", None)]
    assert second.input == [found[1]["sets"][0]]
    assert [item["tag"] for item in second.output] == ["ot2"]


def test_programs_and_extractors() -> None:
    extractor = Extractor("E1", ExtractorCartridge.EXTRACTION, ExtractorExtension.FASTBIT)
    data = Set("s", SetType.OUTPUT, [Attribute("f", AttributeType.FILE)], [extractor], "t")
    step = Transformation("t", [data], [Program("solver", "/bin/solver")])
    assert Dataflow("f", [step]).to_json()["transformations"] == [
        {
            "tag": "t",
            "sets": [
                {
                    "tag": "s",
                    "type": "OUTPUT",
                    "attributes": [{"name": "f", "type": "FILE"}],
                    "extractors": [{"tag": "e1", "cartridge": "EXTRACTION", "extension": "FASTBIT"}],
                    "dependency": "t",
                }
            ],
            "programs": [{"name": "solver", "path": "/bin/solver"}],
        }
    ]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Attribute("", AttributeType.TEXT), "name of an attribute"),
        (lambda: Attribute("a", "BLOB"), r"type of attribute 'a' must be a AttributeType \(TEXT, NUMERIC"),
        (lambda: Set("s", "SIDEWAYS"), "type of set 's'"),
        (lambda: Set(5, SetType.INPUT), "tag of a set"),
        (lambda: Set("s", SetType.INPUT, ["a"]), "must hold Attribute objects"),
        (lambda: Transformation("t", Set("s", SetType.INPUT)), "must be a list"),
        (lambda: Dataflow("f").add_transformation("t"), "must hold Transformation objects"),
        (lambda: Program("", "/x"), "name of a program"),
    ],
)
def test_wrong_declarations_are_sentences(make: Any, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        make()


def test_contradictions_are_found_when_saving() -> None:
    twice = [Attribute("A", AttributeType.TEXT), Attribute("a", AttributeType.TEXT)]
    with pytest.raises(ValueError, match="two attributes named 'a'"):
        Transformation("t", [Set("s", SetType.INPUT, twice)])
    with pytest.raises(ValueError, match="two transformations 't'"):
        Dataflow("f", [Transformation("t"), Transformation("T")]).save()
    with pytest.raises(ValueError, match="depends on 'gone', which is no transformation"):
        Dataflow("f", [Transformation("t", [Set("s", SetType.INPUT, dependency="gone")])]).save()


def test_what_a_specification_prints_does_not_mix_with_the_document(tmp_path: Path) -> None:
    noise = "import os\nprint('hello')\nos.system('echo from a child')\n"
    done = evaluate(written(tmp_path, noise + TUTORIAL))
    assert len(dataflows(done)) == 1
    assert "hello" in done.stderr
    assert "from a child" in done.stderr


def test_a_specification_may_import_its_neighbours_and_be_its_own_program(tmp_path: Path) -> None:
    (tmp_path / "flow_names.py").write_text("TAG = 'neighbour'\n")
    text = (
        "import flow_names\nfrom provlight.dataflow import Dataflow\n"
        "if __name__ == '__main__':\n    Dataflow(flow_names.TAG).save()\n    Dataflow('second').save()\n"
    )
    assert [flow["tag"] for flow in dataflows(evaluate(written(tmp_path, text)))] == ["neighbour", "second"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = (\n", ":1", "SyntaxError"),
        ("import nosuchmodule\n", ":1", "No module named 'nosuchmodule'"),
        ("\ndef f():\n    raise ValueError('two\\nlines')\n\nf()\n", ":3", "ValueError: two lines"),
        ("import json\n\njson.loads('x')\n", ":3", "JSONDecodeError"),
        ("raise SystemExit(3)\n", ":1", "it exits with 3"),
        ("print('nothing saved')\n", "", "it saves no dataflow"),
        (
            "from provlight.dataflow import *\nDataflow('f').save()\nDataflow('F').save()\n",
            "",
            "two dataflows named 'f'",
        ),
    ],
)
def test_a_failing_specification_is_one_line(tmp_path: Path, text: str, line: str, message: str) -> None:
    path = written(tmp_path, text)
    done = evaluate(path)
    assert (done.returncode, done.stdout) == (1, "")
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{path}{line}: ")
    assert message in last


def test_missing_files_and_wrong_calls(tmp_path: Path) -> None:
    assert "No such file" in evaluate(tmp_path / "absent.py").stderr
    assert evaluate(tmp_path / "a", "b").returncode == 2
