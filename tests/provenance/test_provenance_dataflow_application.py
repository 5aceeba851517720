"""An application written for ``dfa_lib_python``, unchanged: its specification is declared, its tasks are captured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from provenance_application import credentials
from provenance_parts import Service

from e2c.provenance.queries import ask
from e2c.provenance.reporting.status import drain

pytestmark = [pytest.mark.broker, pytest.mark.monetdb]

APPLICATION = """
from dfa_lib_python.attribute import Attribute
from dfa_lib_python.attribute_type import AttributeType
from dfa_lib_python.dataflow import Dataflow
from dfa_lib_python.dataset import DataSet
from dfa_lib_python.element import Element
from dfa_lib_python.extractor import Extractor
from dfa_lib_python.extractor_cartridge import ExtractorCartridge
from dfa_lib_python.extractor_extension import ExtractorExtension
from dfa_lib_python.set import Set
from dfa_lib_python.set_type import SetType
from dfa_lib_python.task import Task
from dfa_lib_python.transformation import Transformation

tag = "Steering"
df = Dataflow(tag)
train = Transformation("Train")
made = Set(
    "oTrain", SetType.OUTPUT, [Attribute("acc", AttributeType.NUMERIC), Attribute("model", AttributeType.FILE)],
    [Extractor("weights", ExtractorCartridge.INDEXING, ExtractorExtension.FASTBIT)],
)
train.set_sets([Set("iTrain", SetType.INPUT, [Attribute("lr", AttributeType.NUMERIC)]), made])
df.add_transformation(train)
test = Transformation("Test")
made.set_type(SetType.INPUT)
made.dependency = train._tag
test.set_sets([made, Set("oTest", SetType.OUTPUT, [Attribute("loss", AttributeType.NUMERIC)])])
df.add_transformation(test)
df.save()

for number in range(1, 4):
    first = Task(2 * number, tag, "Train")
    first.add_dataset(DataSet("iTrain", [Element([number / 10])]))
    first.begin()
    first.add_dataset(DataSet("oTrain", [Element([0.9, "it's \\\\ one;"]), Element([0.95, "--"])]))
    first.end()
    second = Task(2 * number + 1, tag, "Test", dependency=first)
    second.begin()
    second.add_dataset(DataSet("oTest", [Element([float("nan") if number == 3 else number])]))
    second.end()
"""


def test_it_runs_as_it_is(tmp_path: Path, serve: Callable[..., Service]) -> None:
    script = tmp_path / "steering.py"
    script.write_text(APPLICATION)
    python = [sys.executable, "-m"]
    evaluated = subprocess.run(
        [*python, "provlight.dataflow.evaluate", str(script)], capture_output=True, check=True, timeout=60
    )
    declared = tmp_path / "declared.json"
    declared.write_bytes(evaluated.stdout)
    service = serve("--dataflow", str(declared))
    environment = {
        "PROVLIGHT_SERVER_URL": f"127.0.0.1:{service.port}",
        "PROVLIGHT_CREDENTIALS": credentials(tmp_path),
        "PROVLIGHT_FLUSH_TIMEOUT": "60",
    }
    subprocess.run(
        [*python, "provlight.dataflow.run", str(script)], env={**os.environ, **environment}, check=True, timeout=120
    )
    drain(service.folder, 60)

    def rows(sql: str) -> list[tuple[object, ...]]:
        with ask(service.folder, sql) as answer:
            return list(answer.rows)

    # As DfAnalyzer's users write it: the views by their short names, joined by the task.
    assert rows(
        "SELECT i.lr, o.acc, o.model FROM itrain i JOIN otrain o ON o.train_task_id = i.train_task_id ORDER BY o.id"
    ) == [(number / 10, acc, text) for number in (1, 2, 3) for acc, text in ((0.9, "it's \\ one;"), (0.95, "--"))]
    assert rows("SELECT loss FROM otest ORDER BY id") == [(1.0,), (2.0,), (None,)]
    assert rows(
        "SELECT d.tag, t.identifier, t.status FROM task t JOIN data_transformation d ON d.id = t.dt_id "
        "WHERE t.identifier > 3 ORDER BY t.identifier"
    ) == [
        ("train", 4, "FINISHED"),
        ("test", 5, "FINISHED"),
        ("train", 6, "FINISHED"),
        ("test", 7, "FINISHED"),
    ]
    assert rows(
        "SELECT t.identifier, p.identifier FROM task_dependency d JOIN task t ON t.id = d.task_id "
        "JOIN task p ON p.id = d.dependency_id ORDER BY 1"
    ) == [(3, 2), (5, 4), (7, 6)]
    assert rows("SELECT tag, cartridge, extension FROM extractor") == [("weights", "INDEXING", "FASTBIT")]
    assert rows("SELECT count(*) FROM rejected") == [(0,)]
    assert rows("SELECT count(*) FROM undeclared") == [(0,)]
