"""What is written for ``dfa_lib_python`` runs as it is: specifications declare, applications are captured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from provlight_broker import ROOT

IMPORTS = """
from dfa_lib_python import Dataflow as FromThePackage
from dfa_lib_python.ProvenanceObject import ProvenanceObject
from dfa_lib_python.attribute import Attribute
from dfa_lib_python.attribute_type import AttributeType
from dfa_lib_python.dataflow import Dataflow
from dfa_lib_python.dataset import DataSet
from dfa_lib_python.dependency import Dependency
from dfa_lib_python.element import Element
from dfa_lib_python.extractor import Extractor
from dfa_lib_python.extractor_cartridge import ExtractorCartridge
from dfa_lib_python.extractor_extension import ExtractorExtension
from dfa_lib_python.file import File
from dfa_lib_python.method_type import MethodType
from dfa_lib_python.performance import Performance
from dfa_lib_python.program import Program
from dfa_lib_python.raw_data_extractor import RawDataExtractor
from dfa_lib_python.raw_data_indexer import RawDataIndexer
from dfa_lib_python.set import Set
from dfa_lib_python.set_type import SetType
from dfa_lib_python.task import Task, end_task, start_task
from dfa_lib_python.task_status import TaskStatus
from dfa_lib_python.transformation import Transformation
"""

FLOW = """
df = Dataflow("Net")
t1 = Transformation("Train")
i = Set("iTrain", SetType.INPUT, [Attribute("lr", AttributeType.NUMERIC), Attribute("Opt", AttributeType.TEXT)])
o = Set("oTrain", SetType.OUTPUT, [Attribute("acc", AttributeType.NUMERIC)])
t1.set_sets([i, o])
df.add_transformation(t1)
t2 = Transformation("Test")
o.set_type(SetType.INPUT)
o.dependency = t1._tag
t2.set_sets([o, Set("oTest", SetType.OUTPUT, [Attribute("loss", AttributeType.NUMERIC)])])
df.add_transformation(t2)
df.save()
"""


def execute(program: str, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"provlight.dataflow.{program}", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "application.py"
    path.write_text(IMPORTS + text)
    return path


def declared(tmp_path: Path, text: str) -> dict[str, Any]:
    done = execute("evaluate", written(tmp_path, text))
    assert done.returncode == 0, done.stderr
    (flow,) = json.loads(done.stdout)["dataflows"]
    return flow


def captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, *arguments: str) -> list[Any]:
    """Records of an application, without their times."""
    monkeypatch.setenv("PROVLIGHT_TRANSPORT", "memory")
    end = """
import json, sys, atexit
def show():
    import provlight
    from provlight.transport import memory
    provlight.flush()
    json.dump([record._replace(time_us=0) for record in memory.records()], sys.stdout)
atexit.register(show)
"""
    done = execute("run", written(tmp_path, end + text), *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_module_class_and_enum_is_there(tmp_path: Path) -> None:
    text = """
step = Transformation(tag="Step", sets=[])
e = Extractor(tag="E", cartridge=ExtractorCartridge.EXTRACTION, extension=ExtractorExtension.FASTBIT)
e.cartridge = ExtractorCartridge.INDEXING
e.extension = ExtractorExtension.OPTIMIZED_FASTBIT
e.setTag = "raw"
a = Attribute("big", AttributeType.TEXT)
a.type = AttributeType.RDFILE
data = Set(tag="Raw", type=SetType.OUTPUT, attributes=[a], extractors=[e], dependency="")
data.add_attribute(Attribute("f", AttributeType.FILE))
data.add_extractor(Extractor("e2", ExtractorCartridge.EXTRACTION, ExtractorExtension.POSTGRES_RAW))
data.type = SetType.INPUT
step.add_set(data)
other = Set("other", SetType.OUTPUT, [])
step.output = [other]
assert [one["tag"] for one in step.input + step.output] == ["raw", "other"]
step.set_sets([Set("third", SetType.INPUT, [])])  # adds
assert len(step.sets) == 3
flow = Dataflow(tag="Whole", transformations=[step])
flow.save()
assert FromThePackage is Dataflow
Program("p", "/p"), File("/data/x", "x"), Element([1, None]), DataSet("s", [Element(["a"])])
assert Element([1, None]).values == ["1", "None"]
d = Dependency(["t"], ["1"])
assert d.get_specification() == {"tags": [{"tag": "t"}], "ids": [{"id": "1"}]}
p = Performance("2026-01-01 00:00:00", "2026-01-01 00:00:01", MethodType.COMPUTATION)
p.method = MethodType.PROVENANCE
p.description = "writing"
assert p.get_specification()["method"] == "PROVENANCE" and p.endTime.endswith("1")
assert [kind.name for kind in MethodType] == ["COMPUTATION", "INSTRUMENTATION", "EXTRACTION", "PROVENANCE", "INDEXING"]
r = RawDataExtractor(ExtractorCartridge.EXTRACTION, "cat x", [a])
assert r.get_command_line().endswith("bin/RDE EXTRACTION:EXTRACT extractor . cat x [big:RDFILE]")
RawDataIndexer(ExtractorCartridge.INDEXING, "e", ".", "x.csv", [a]).get_command_line()
t = Task(1, "Whole", "Step", workspace="/w", resource="n1", sub_id="7")
t.set_datasets([DataSet("raw", [Element([1])])])
t.set_status(TaskStatus.RUNNING)
assert t.get_specification() == {
    "tag": "step", "workspace": "/w", "resource": "n1", "sets": [{"tag": "raw", "elements": [["1"]]}],
    "status": "RUNNING", "dataflow": "whole", "transformation": "step", "id": "1", "subid": "7",
}
"""
    flow = declared(tmp_path, text)
    (raw,) = [one for one in flow["transformations"][0]["sets"] if one["tag"] == "raw"]
    assert raw["type"] == "INPUT"
    assert raw["attributes"] == [{"name": "big", "type": "RDFILE"}, {"name": "f", "type": "FILE"}]
    assert raw["extractors"] == [
        {"tag": "e", "cartridge": "INDEXING", "extension": "OPTIMIZED_FASTBIT", "setTag": "raw"},
        {"tag": "e2", "cartridge": "EXTRACTION", "extension": "POSTGRES_RAW"},
    ]


def test_attributes_of_extractors_and_their_combination(tmp_path: Path) -> None:
    text = """
one, two = [Extractor(tag, ExtractorCartridge.EXTRACTION, ExtractorExtension.CSV) for tag in ("One", "Two")]
data = Set("s", SetType.OUTPUT, [Attribute("x", AttributeType.LONG_TEXT, extractor=one)], [one, two])
data.combine(one, "Two", ["x", "y"], [AttributeType.TEXT, "NUMERIC"])
Dataflow("f", [Transformation("t", [data])]).save()
"""
    (item,) = declared(tmp_path, text)["transformations"][0]["sets"]
    assert item["attributes"] == [{"name": "x", "type": "LONG_TEXT", "extractor": "one"}]
    assert item["extractor.combinations"] == [
        {"outer": "one", "inner": "two", "keys": "x;y", "key_types": "TEXT;NUMERIC"}
    ]


def test_tasks_of_a_specification_are_not_captured_and_that_is_said_once(tmp_path: Path) -> None:
    text = """
task = Task(1, "Net", "Train")
task.begin()
task.end()
t, used = start_task(2, "net", "Train", [1, 2])
end_task(t, "Train", [3])
"""
    done = execute("evaluate", written(tmp_path, FLOW + text))
    assert [flow["tag"] for flow in json.loads(done.stdout)["dataflows"]] == ["net"]
    assert done.stderr.count("a specification only declares") == 1


def test_an_application_is_captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
a = Task(1, "Net", "Train")
a.add_dataset(DataSet("iTrain", [Element([0.1, "adam"])]))
a.begin()
a.add_dataset(DataSet("oTrain", [Element([3]), Element(["no number"])]))
a.save()
a.save()
a.end()
a.end()
b = Task(2, "Net", "Test", dependency=a)
b.save()
b.begin()
b.add_dataset(DataSet("oTest", [Element([float("inf")])]))
b.end()
"""
    records = captured(tmp_path, monkeypatch, FLOW + text)
    shown = [
        (kind, workflow, step, task, dependencies, [(shape[0], shape[1], values) for shape, values in sets])
        for kind, workflow, step, task, _, dependencies, _, sets, _ in records
    ]
    # Sets that are saved again are captured once, with the names and types of the declaration.
    assert shown == [
        (1, "net", "", None, [], []),
        (4, "net", "train", "1", [], [("itrain", ["lr", "Opt"], [0.1, "adam"])]),
        (5, "net", "train", "1", [], [("otrain", ["acc"], [3, "no number"])]),
        (4, "net", "test", "2", ["1"], []),
        (5, "net", "test", "2", [], [("otest", ["loss"], [float("inf")])]),
        (2, "net", "", None, [], []),
    ]


def test_what_is_not_declared_is_captured_by_position(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
import sys
c = Task("3", "Other", "Step", error="it broke", sub_id="7")
c.add_dependency(Dependency(["train"], ["1"]))
c.add_dataset(DataSet("before", [Element(sys.argv[1:])]))
c.set_status(TaskStatus.RUNNING)
c.save()
c.add_dataset(DataSet("after", [Element([1])]))
c.set_status(TaskStatus.FINISHED)
c.save()
"""
    _, begun, ended, _ = captured(tmp_path, monkeypatch, text, "x", "y")
    assert begun[0] == 4
    assert begun[3:] == ["3.7", 0, ["1"], "", [[["before", None, 2, 1, []], ["x", "y"]]], begun[8]]
    assert begun[8] == {"parent": "3", "parent_transformation": ""}
    assert (ended[0], ended[6], ended[7]) == (6, "it broke", [[["after", None, 1, 1, []], ["1"]]])


def test_an_application_that_fails_fails_as_it_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVLIGHT_TRANSPORT", "none")
    done = execute("run", written(tmp_path, "Task(1, 'f', 't').begin()\nraise SystemExit(3)\n"))
    assert done.returncode == 3
    done = execute("run", written(tmp_path, "raise ValueError('mine')\n"))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "ValueError: mine")
    assert execute("run", tmp_path / "absent.py").returncode == 1
