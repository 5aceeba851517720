"""Runs: what one program captures again and again under the same identities is kept apart."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from provenance_parts import T0, Asker, Database, Device, begin, end, workflow

from e2c.errors import QueryError
from e2c.provenance import queries
from e2c.provenance.export.formats import export
from e2c.provenance.export.selection import Selection
from e2c.provenance.storing.store import Store
from provlight.wire import WORKFLOW_BEGIN, WORKFLOW_END, Encoder, Record

pytestmark = pytest.mark.monetdb

RUNS = ("small", "repeat-2/large", None)
"""The last one as an earlier client has it."""


class RunDevice(Device):
    """A client that tells of its run."""

    def __init__(self, run: str | None, host: str = "raspberry") -> None:
        super().__init__(host=host)
        self.encoder = Encoder(self.name, about={"host": host} if run is None else {"host": host, "run": run})


def of_client(ask: Asker, device: Device) -> list[tuple[Any, ...]]:
    return ask(
        f"SELECT t.key, t.run FROM task t JOIN client c ON c.id = t.client_id WHERE c.client = '{device.name}' "
        "ORDER BY t.id"
    )


def dependencies(ask: Asker, device: Device) -> list[tuple[Any, ...]]:
    """The runs and hosts of the tasks that a client's tasks depend on."""
    return ask(
        "SELECT d.dependency_key, o.run, o.computing_resource FROM task_dependency d JOIN task t ON t.id = d.task_id "
        "JOIN client c ON c.id = t.client_id LEFT JOIN task o ON o.id = d.dependency_id "
        f"WHERE c.client = '{device.name}' ORDER BY d.id"
    )


def test_every_task_has_the_run_of_its_client(store: Store, ask: Asker) -> None:
    devices = [RunDevice(run) for run in RUNS]
    # In one transaction, in an order of all; then ends that come later, and tasks whose beginning is not known.
    store.store([device.batch(begin(1), begin(2)) for device in devices])
    store.store([devices[0].batch(begin(3), end(1), end(9))])
    store.store([device.batch(end(2)) for device in devices[1:]])
    assert [of_client(ask, device) for device in devices] == [
        [("1", "small"), ("2", "small"), ("3", "small"), ("9", "small")],
        [("1", "repeat-2/large"), ("2", "repeat-2/large")],
        [("1", None), ("2", None)],
    ]
    names = ", ".join(f"'{device.name}'" for device in devices)
    assert ask(f"SELECT run FROM client WHERE client IN ({names}) ORDER BY id") == [(run,) for run in RUNS]


def test_a_store_that_was_opened_again_knows_the_run(database: Database, ask: Asker) -> None:
    device = RunDevice("kept")
    for number in (1, 2):
        store = database.store()
        store.store([device.batch(begin(number))])
        store.close()
    assert of_client(ask, device) == [("1", "kept"), ("2", "kept")]


def test_a_database_made_anew_is_told_the_run_with_the_shapes(store: Store, ask: Asker) -> None:
    from provlight.wire import frame

    device = RunDevice("anew")
    device.encoder.encode(1, [begin(0)])  # what another database has
    device.seq, device.base = 1, 2
    delivery = device.batch(begin(1))
    (answer,) = store.store([delivery])
    assert (answer.last, answer.announce) == (0, True)
    body = delivery.payload[len(frame(b"", device.base)) :]
    again = frame(body, device.base, device.encoder.announcements(body), {"host": "pi", "run": "anew"})
    (answer,) = store.store([delivery._replace(payload=again)])
    assert (answer.last, answer.announce) == (2, False)
    assert of_client(ask, device) == [("1", "anew")]


@pytest.mark.parametrize("name", ["x" * 300, "nul\0 in it", "' OR 1=1; DROP TABLE task; --", 7])
def test_a_run_of_any_name_is_a_text(store: Store, ask: Asker, name: Any) -> None:
    device = RunDevice(name)
    store.store([device.batch(begin(1))])
    assert of_client(ask, device) == [("1", str(name).replace("\0", "")[:256])]


@pytest.mark.parametrize("order", [("maker", "user"), ("user", "maker")])
def test_a_dependency_on_another_client_stays_in_its_run(store: Store, ask: Asker, order: tuple[str, str]) -> None:
    """Maker and user are two processes; each run has both, with the same identities."""
    tag = f"kept-apart-{order[0]}"

    def made(kind: str) -> Record:
        depends = ("made",) if kind == "user" else ()
        return begin("made" if kind == "maker" else "used", depends=depends)._replace(workflow=tag)

    users = []
    for run in RUNS:
        for kind in order:
            device = RunDevice(run, host=f"{kind} of {run}")
            store.store([device.batch(made(kind))])
            store.resolve_dependencies()
            users += [device] if kind == "user" else []
    assert [dependencies(ask, user) for user in users] == [[("made", run, f"maker of {run}")] for run in RUNS]
    late = RunDevice("a run without a maker")
    store.store([late.batch(made("user"))])
    store.resolve_dependencies()
    assert dependencies(ask, late) == [("made", None, None)]


# --------------------------------------------------------------------------------------------- questions and exports


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """The same program three times, the first time with a client that knows of no runs."""
    server = Database(tmp_path_factory.mktemp("repeated") / "data")
    try:
        store = server.store()
        for number, run in enumerate((None, "repeat-1", "repeat-2")):
            device, at = RunDevice(run, host="pi"), T0 + number * 60_000_000
            store.store(
                [
                    device.batch(workflow(WORKFLOW_BEGIN, at=at), begin(1, number, 16, 1, 2, at=at)),
                    device.batch(end(1, number / 10, 1.5, at=at + 1_000_000)),
                    device.batch(begin(2, number, 8, 1, 2, depends=[1], at=at + 1_000_000)),
                    device.batch(end(2, number / 5, 2.5, at=at + 3_000_000), workflow(WORKFLOW_END, at=at + 3_000_000)),
                ]
            )
        store.close()
        yield server
    finally:
        server.end()


def run(database: Database, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "e2c.provenance", name, "--data", str(database.folder.root), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def answered(database: Database, name: str, *arguments: str) -> Any:
    return json.loads(run(database, name, *arguments, "--format", "json").stdout)


def test_lists_and_timelines_of_a_run(repeated: Database) -> None:
    assert [row["run"] for row in answered(repeated, "list")] == ["repeat-2"] * 2 + ["repeat-1"] * 2 + [None] * 2
    assert [(row["key"], row["id"]) for row in answered(repeated, "list", "--run", "repeat-1")] == [("2", 4), ("1", 3)]
    lanes = answered(repeated, "timeline", "--run", "repeat-2")
    assert [(lane["run"], len(lane["tasks"])) for lane in lanes] == [("repeat-2", 2)]
    assert sorted(str(lane["run"]) for lane in answered(repeated, "timeline")) == ["None", "repeat-1", "repeat-2"]
    assert "pi repeat-1" in run(repeated, "timeline").stdout
    head, _, first = run(repeated, "list").stdout.splitlines()[:3]
    assert head.split()[4:7] == ["status", "run", "host"]
    assert first.split()[5] == "repeat-2"
    found = [(row["run"], row["tasks"], row["failed"], row["clients"]) for row in answered(repeated, "list", "runs")]
    assert found == [("repeat-2", 2, 0, 1), ("repeat-1", 2, 0, 1), (None, 2, 0, 1)]
    for what in ("workflows", "clients", "runs"):
        assert [row["run"] for row in answered(repeated, "list", what, "--run", "repeat-1")] == ["repeat-1"]


def test_of_a_run_that_is_not_there_those_of_a_like_name_are_told(repeated: Database, tmp_path: Path) -> None:
    missing = "no task belongs to run repeat-3; perhaps you mean `repeat-2` or `repeat-1`\n"
    chosen = ("--run", "repeat-3")
    for name, arguments, output in (
        ("list", (), "0 tasks\n"),
        ("list", ("--format", "json"), "[]\n"),
        ("timeline", (), "no tasks\n"),
        ("export", ("--format", "csv", "--output", str(tmp_path / "csv")), ""),
    ):
        done = run(repeated, name, *arguments, *chosen)
        assert done.stdout == output
        assert done.stderr.endswith(missing)
    other = run(repeated, "list", "--run", "launch")
    assert (other.stdout, other.stderr) == ("0 tasks\n", "no task belongs to run launch, see `list runs`\n")
    # nothing is said where other things than the run leave nothing
    assert run(repeated, "list", "--run", "repeat-1", "--status", "failed").stderr == ""
    with queries.open(repeated.folder.root) as provenance:
        with pytest.raises(QueryError, match=r"no task 1 of run repeat-3: no task .* perhaps you mean `repeat-2`"):
            provenance.task("1", run="repeat-3")
        for pair in (("repeat-1", "repeat-3"), ("repeat-3", "repeat-1"), ("repeat-3", "repeat-4")):
            with pytest.raises(QueryError, match=r"no task, workflow or run repeat-3. Perhaps you mean `repeat-2`"):
                provenance.compare(*pair)
        with pytest.raises(QueryError, match=r"no task, workflow or run launch\. See which there are: `list runs`"):
            provenance.compare("repeat-1", "launch")
        with pytest.raises(QueryError, match="no task launch"):
            provenance.compare("launch", "landing")


def test_a_task_is_that_of_the_run_asked_for_or_of_the_newest(repeated: Database) -> None:
    done = run(repeated, "show", "2", "--format", "json")
    assert json.loads(done.stdout)["run"] == "repeat-2"
    assert done.stderr == "task 2 of run repeat-2, the newest; --run chooses another: run repeat-1, no run\n"
    done = run(repeated, "show", "2", "--run", "repeat-1")
    assert "run            repeat-1" in done.stdout
    assert done.stderr == ""
    for chosen, numbers in (((), [5, 6]), (("--run", "repeat-1"), [3, 4]), (("--run", "repeat-2"), [5, 6])):
        assert [row["id"] for row in answered(repeated, "lineage", "2", *chosen)["tasks"]] == numbers
    assert "of run repeat-2, the newest" in run(repeated, "lineage", "2").stderr
    assert run(repeated, "lineage", "row:3").stderr == ""
    with queries.open(repeated.folder.root) as provenance:
        assert [row["run"] for row in provenance.runs()] == ["repeat-2", "repeat-1", None]
        assert provenance.task("1", run="repeat-1")["id"] == 3
        assert provenance.task("1")["id"] == 5
        assert provenance.lineage("1", run="repeat-1", up=False).tasks[-1]["id"] == 4
        assert len(provenance.tasks(run="repeat-1")) == 2
        with pytest.raises(QueryError, match="no task 1 of run repeat-9"):
            provenance.task("1", run="repeat-9")


def test_comparisons_of_runs(repeated: Database) -> None:
    done = run(repeated, "compare", "1", "2")
    assert done.stderr.count("of run repeat-2, the newest") == 2
    lines = {line["name"]: line for line in answered(repeated, "compare", "repeat-1", "repeat-2")["lines"]}
    assert (lines["tasks"]["first"], lines["tasks"]["second"]) == (2, 2)
    assert lines["training_output.accuracy: mean"]["delta"] == pytest.approx(0.15)
    given = ("model_training", "model_training", "--run", "repeat-1")
    lines = {line["name"]: line for line in answered(repeated, "compare", *given)["lines"]}
    assert (lines["runs"]["first"], lines["tasks"]["first"]) == (1, 2)
    assert lines["training_output.accuracy: mean"]["first"] == pytest.approx(0.15)


def test_one_run_is_exported(repeated: Database, tmp_path: Path) -> None:
    export(repeated.folder, "csv", str(tmp_path / "csv"), Selection(run="repeat-1"))

    def read(name: str) -> list[dict[str, str]]:
        with (tmp_path / "csv" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    assert [(row["key"], row["run"]) for row in read("task")] == [("1", "repeat-1"), ("2", "repeat-1")]
    assert [row["training_task_id"] for row in read("training_input")] == ["3", "4"]
    assert [row["run"] for row in read("client")] == ["repeat-1"]
    assert len(read("workflow")) == len(read("task_dependency")) == 1
    document = tmp_path / "run.prov.json"
    run(repeated, "export", "--format", "prov-json", "--run", "repeat-1", "--output", str(document))
    activities = json.loads(document.read_text())["activity"]
    assert {activity.get("e2c:run") for name, activity in activities.items() if ":task." in name} == {"repeat-1"}
    events = tmp_path / "run.jsonl"
    run(repeated, "export", "--format", "openlineage", "--run", "repeat-2", "--output", str(events))
    facets = [json.loads(line)["run"].get("facets", {}).get("e2c_task") for line in events.read_text().splitlines()]
    assert {facet["run"] for facet in facets if facet} == {"repeat-2"}
