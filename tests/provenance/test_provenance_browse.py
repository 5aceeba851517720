"""``list``, ``show``, ``lineage``, ``compare`` and ``timeline`` on the command line, and what Python gets of them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import pytest
from provenance_parts import T0, Database, Device, begin, end

from e2c.provenance import queries
from e2c.provenance.queries import timeline


@pytest.fixture(scope="module")
def filled(database: Database) -> Database:
    store = database.store()
    one, two = Device(name="one", host="node-1"), Device(name="two", host="node-2")
    store.store(
        [
            one.batch(begin("a", 3, 16, 1, 2), end("a", 0.9, 1.5)),
            one.batch(begin("b", 5, 16, 1, 2, depends=["a"], at=T0 + 2_000_000)),
            one.batch(end("b", 0.7, 2.5, error="out of\nmemory", at=T0 + 4_500_036)),
            two.batch(begin("a", 7, 16, 1, 2, at=T0 + 1_000_000)),
        ]
    )
    store.close()
    return database


def run(database: Database, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "e2c.provenance", name, "--data", str(database.folder.root), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answered(database: Database, name: str, *arguments: str) -> Any:
    done = run(database, name, *arguments, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.monetdb
def test_lists(filled: Database) -> None:
    tasks = answered(filled, "list")
    assert [(row["key"], row["status"], row["host"]) for row in tasks] == [
        ("a", "RUNNING", "node-2"),
        ("b", "FAILED", "node-1"),
        ("a", "FINISHED", "node-1"),
    ]
    assert tasks[1]["duration"] == 2.500036
    table = run(filled, "list", "--limit", "1").stdout
    assert table.splitlines()[-1] == "1 shown of 3 tasks: 1 failed, 1 finished, 1 running"
    for arguments, keys in (
        (["--status", "failed"], ["b"]),
        (["--client", "two"], ["a"]),
        (["--transformation", "Training", "--sort", "duration"], ["b", "a", "a"]),
        (["--since", "2026-01-02T03:04:06.5"], ["b"]),
        (["--since", "2026-01-02T04:04:06.5+01:00"], ["b"]),
        (["--workflow", "nobody's"], []),
    ):
        assert [row["key"] for row in answered(filled, "list", *arguments)] == keys, arguments
    assert [row["tag"] for row in answered(filled, "list", "dataflows")] == ["model_training"]
    assert [row["client"] for row in answered(filled, "list", "clients")] == ["one", "two"]
    assert {row["tag"] for row in answered(filled, "list", "sets")} == {"training_input", "training_output"}
    assert answered(filled, "list", "workflows") == []
    assert run(filled, "list", "--since", "yesterday").returncode == 2
    assert run(filled, "list", "--limit", "-1").returncode == 2


@pytest.mark.monetdb
def test_everything_of_a_task(filled: Database) -> None:
    task = answered(filled, "show", "b")
    assert task["inputs"] == {
        "training_input": [{"kernel_size": 5, "num_kernels": 16, "length_of_strides": 1, "pooling_size": 2}]
    }
    assert task["outputs"] == {"training_output": [{"accuracy": 0.7, "training_time": 2.5}]}
    assert task["error"] == "out of\nmemory"
    assert [one["key"] for one in task["depends_on"]] == ["a"]
    sheet = run(filled, "show", "b").stdout
    assert "error          out of\\nmemory" in sheet
    assert "depends on     training a (row 1, FINISHED)" in sheet
    assert "accuracy             0.7" in sheet


@pytest.mark.monetdb
def test_a_task_is_named_by_its_identity_or_row(filled: Database) -> None:
    done = run(filled, "show", "a")
    assert done.returncode == 1
    assert "several tasks are named a: row 3 (training, workflow model_training, client two), row 1" in done.stderr
    assert answered(filled, "show", "a", "--client", "two")["id"] == 3
    assert answered(filled, "show", "row:1")["client"] == "one"
    assert answered(filled, "show", "3")["key"] == "a"
    assert "there is no task nobody" in run(filled, "show", "nobody").stderr
    assert "there is no task row:99" in run(filled, "show", "row:99").stderr


@pytest.mark.monetdb
def test_lineage_formats(filled: Database) -> None:
    found = answered(filled, "lineage", "b", "--up")
    assert [(row["key"], row["distance"]) for row in found["tasks"]] == [("a", -1), ("b", 0)]
    assert found["edges"] == [{"from": 1, "to": 2, "kind": "depends"}]
    assert run(filled, "lineage", "b").stdout.splitlines()[-1] == "1 tasks before, 0 after"
    assert 'label="training a\\nFINISHED' in run(filled, "lineage", "b", "--format", "dot").stdout
    ElementTree.fromstring(run(filled, "lineage", "b", "--format", "svg").stdout)


@pytest.mark.monetdb
def test_comparisons(filled: Database) -> None:
    found = answered(filled, "compare", "row:1", "b")
    lines = {line["name"]: line for line in found["lines"]}
    assert found["kind"] == "task"
    assert (lines["training_input.kernel_size"]["delta"], lines["duration"]["delta"]) == (2, 1.000036)
    assert lines["training_output.accuracy"]["delta"] == pytest.approx(-0.2)
    assert lines["transformation"]["same"] is True
    assert (lines["status"]["first"], lines["status"]["second"]) == ("FINISHED", "FAILED")
    table = run(filled, "compare", "row:1", "b").stdout
    assert "transformation" not in table
    assert "transformation" in run(filled, "compare", "row:1", "b", "--all").stdout
    runs = answered(filled, "compare", "model_training", "model_training")
    assert runs["kind"] == "workflow"
    means = {line["name"]: line["first"] for line in runs["lines"]}
    assert (means["tasks"], means["training failed"], means["training_input.kernel_size: mean"]) == (3, 1, 5)


@pytest.mark.monetdb
def test_timelines(filled: Database) -> None:
    lanes = answered(filled, "timeline")
    assert [(lane["host"], [task["key"] for task in lane["tasks"]]) for lane in lanes] == [
        ("node-1", ["a", "b"]),
        ("node-2", ["a"]),
    ]
    first, second, times = run(filled, "timeline", "--width", "61").stdout.splitlines()
    assert len(first) <= 61
    assert first.endswith("| 2")
    assert first.index("|") == second.index("|")
    assert "2026-01-02 03:04:05.000" in times
    ElementTree.fromstring(run(filled, "timeline", "--format", "svg").stdout)
    assert run(filled, "timeline", "--client", "nobody").stdout == "no tasks\n"


def test_bars_show_how_many_ran_at_once() -> None:
    import datetime

    zero = datetime.datetime(2026, 1, 1)

    def task(low: int, high: int | None) -> dict[str, Any]:
        ended = None if high is None else zero + datetime.timedelta(seconds=high)
        return {"started": zero + datetime.timedelta(seconds=low), "ended": ended}

    lanes = [{"tasks": [task(0, 10), task(5, None)]}, {"tasks": [task(2, 4), task(9, 10)]}]
    assert timeline.bars(lanes, 10) == ["▄▄▄▄▄█████", "  ▄▄▄    ▄"]


@pytest.mark.monetdb
def test_python_gets_the_same(filled: Database) -> None:
    with queries.open(filled.folder.root) as provenance:
        assert [task["key"] for task in provenance.tasks(status="failed")] == ["b"]
        assert provenance.task("b")["outputs"]["training_output"][0]["accuracy"] == 0.7
        assert [row["key"] for row in provenance.lineage("b", down=False).tasks] == ["a", "b"]
        assert provenance.compare("row:1", "b")["kind"] == "task"
        assert len(provenance.timeline(client="one")) == 1


@pytest.mark.monetdb
def test_names_cannot_be_sql(filled: Database) -> None:
    hostile = "x' OR 1=1; DROP TABLE task; --"
    assert answered(filled, "list", "--workflow", hostile) == []
    assert "there is no task x' OR" in run(filled, "show", hostile).stderr
    assert len(answered(filled, "list")) == 3
