"""Exports hold what the database holds, in forms that the packages of each standard read back."""

from __future__ import annotations

import csv
import json
import math
import struct
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from export_parts import BIG, CHAIN, FLOATS, PATH, TEXTS, chain, make_odd_database, settle
from prov.model import ProvDocument
from provenance_parts import T0, Asker, Database, Device, begin, end

from e2c.errors import ProvenanceError
from e2c.provenance.__main__ import main
from e2c.provenance.export.formats import export
from e2c.provenance.export.prov_document import local
from e2c.provenance.export.selection import Selection

pytestmark = pytest.mark.monetdb
csv.field_size_limit(1 << 20)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    server = make_odd_database(tmp_path_factory.mktemp("export") / "data")
    try:
        yield server
    finally:
        server.end()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One chain of four tasks."""
    server = Database(tmp_path_factory.mktemp("small") / "data", [CHAIN])
    store = server.store()
    store.store([Device(name="small", host="pi").batch(*chain(1))])
    settle(store)
    store.close()
    try:
        yield server
    finally:
        server.end()


# ------------------------------------------------------------------------------------------------------------- PROV


def records(document: ProvDocument, kind: str) -> list[Any]:
    return [one for one in document.get_records() if one.get_type().localpart == kind]


def ends(relation: Any) -> tuple[str, str]:
    (_, first), (_, second), *_ = relation.formal_attributes
    return str(first), str(second)


@pytest.mark.parametrize(("form", "name"), [("prov-json", "json"), ("prov-n", "provn")])
def test_documents_are_read_back_equal(database: Database, tmp_path: Path, form: str, name: str) -> None:
    export(database.folder, form, str(tmp_path / "all"))
    text = (tmp_path / "all").read_bytes().decode()
    read = ProvDocument.deserialize(content=text, format=name)
    # NaN differs from itself, so the texts are compared.
    assert sorted(read.get_provn().splitlines()) == sorted(
        ProvDocument.deserialize(content=read.serialize(format="json"), format="json").get_provn().splitlines()
    )
    values = {
        repr(value)
        for one in read.get_records()
        for attribute, value in one.attributes
        if str(attribute) in ("attribute:kernel_size", "attribute:num%22ber", "attribute:text")
    }
    assert {repr(float(value)) for value in FLOATS if value is not None} <= values
    assert {repr(BIG), *(repr(value) for value in TEXTS if value is not None)} <= values


def test_both_forms_say_the_same(small: Database, tmp_path: Path) -> None:
    for form in ("prov-json", "prov-n"):
        export(small.folder, form, str(tmp_path / form))
    first = ProvDocument.deserialize(str(tmp_path / "prov-json"), format="json")
    second = ProvDocument.deserialize(str(tmp_path / "prov-n"), format="provn")
    assert normal(first) == normal(second)


def normal(document: ProvDocument) -> list[tuple[str, str, list[str]]]:
    """Records in an order of their own; NaN is equal to itself."""
    return sorted(
        (str(one.get_type()), str(one.identifier), sorted(f"{name} {value!r}" for name, value in one.attributes))
        for one in document.get_records()
    )


def test_the_mapping_is_the_documented_one(small: Database, tmp_path: Path) -> None:
    export(small.folder, "prov-json", str(tmp_path / "all.json"))
    document = ProvDocument.deserialize(str(tmp_path / "all.json"), format="json")
    tasks = {str(one.identifier): one for one in records(document, "Activity") if "task." in str(one.identifier)}
    assert list(tasks) == [f"data:task.{n}" for n in range(1, 5)]
    clean, failed = tasks["data:task.1"], tasks["data:task.4"]
    assert clean.get_startTime() == datetime.fromtimestamp(T0 // 10**6, timezone.utc).replace(microsecond=1006)
    assert (clean.get_endTime() - clean.get_startTime()).microseconds == 500
    facts = {str(name): str(value) for name, value in failed.attributes}
    assert facts["e2c:status"] == "FAILED"
    assert facts["e2c:error"] == "Error: it's\nbroken"
    assert facts["prov:label"] == "t2"
    assert facts["e2c:host"] == "pi"
    assert facts["extra:note"] == 'extra "ü"'
    assert facts["dcterms:isPartOf"] == "data:task.3"
    # Both trainings used the four elements that the two cleanings made, and depend on these.
    used = {ends(one) for one in records(document, "Usage")}
    made = {ends(one) for one in records(document, "Generation")}
    elements = {entity for entity, task in made if task in ("data:task.1", "data:task.2")}
    assert len(elements) == 4
    for training in ("data:task.3", "data:task.4"):
        assert {entity for task, entity in used if task == training} == elements
    informed = {ends(one) for one in records(document, "Communication")}
    assert informed == {(f"data:task.{n}", f"data:task.{m}") for n in (3, 4) for m in (1, 2)}
    derived = {ends(one) for one in records(document, "Derivation")}
    assert {entity for entity, _ in derived} == elements
    assert all(source.startswith("data:element.") for _, source in derived)
    # Agents and plans.
    agents = {
        str(one.identifier): {str(value) for value in one.get_asserted_types()} for one in records(document, "Agent")
    }
    assert agents == {
        "data:client.1": {"prov:SoftwareAgent", "e2c:Client"},
        "data:user.edge": {"e2c:User"},
        "data:host.pi": {"e2c:Host"},
    }
    assert {ends(one) for one in records(document, "Delegation")} == {("data:client.1", "data:user.edge")}
    plans = {
        (str(agent), str(plan))
        for one in records(document, "Association")
        for (_, _), (_, agent), (_, plan) in [one.formal_attributes]
    }
    assert plans == {
        ("data:client.1", "data:dataflow.1.version.1"),
        ("data:host.pi", "data:program.1"),
        ("data:host.pi", "None"),
    }
    # Files and sets.
    files = [one for one in records(document, "Entity") if "file." in str(one.identifier)]
    assert len(files) == 2
    about = {str(name): str(value) for name, value in files[0].attributes}
    assert (about["e2c:path"], about["e2c:sha256"], about["e2c:size"]) == (PATH, bytes(range(32)).hex(), "12")
    members = {entity for _, entity in map(ends, records(document, "Membership"))}
    assert elements | {str(one.identifier) for one in files} <= members
    # Values: names with any character, NaN, and what a double cannot hold.
    values = {
        (str(name), repr(value))
        for one in records(document, "Entity")
        for name, value in one.attributes
        if str(name).startswith("attribute:")
    }
    assert {
        ("attribute:Mean%20Wert%20%25", "nan"),
        ("attribute:score", repr(BIG)),
        ("attribute:order", "'a 1'"),
    } <= values


def test_a_large_document_comes_in_parts_that_hold_everything(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "all-0099.prov.json").write_text("of an earlier export")
    (folder / "all.prov.json").write_text("of an earlier export")
    export(database.folder, "prov-json", str(folder / "all.prov.json"), part_tasks=7)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"all-{n:04}.prov.json" for n in range(1, len(names) + 1)]
    assert len(names) > 5
    export(database.folder, "prov-json", str(tmp_path / "whole.json"))
    whole = ProvDocument.deserialize(str(tmp_path / "whole.json"), format="json")
    united = ProvDocument()
    for name in names:
        part = ProvDocument.deserialize(str(folder / name), format="json")
        assert len([one for one in records(part, "Activity") if "task." in str(one.identifier)]) <= 7
        united.update(part)

    def lines(document: ProvDocument) -> set[str]:
        return set(document.get_provn().splitlines())

    assert lines(united) == lines(whole)
    tasks = [one for one in records(whole, "Activity") if "task." in str(one.identifier)]
    assert len(names) == math.ceil(len(tasks) / 7)


def test_names_are_safe_and_differ() -> None:
    odd = ["a b", "a_b", "a%20b", "ü", "u", "日本", "", ":", "a'b(c)=,;[]", "-x", ".x.", "x.", "\U0001f389", "~"]
    made = [local(name) for name in odd]
    assert len(set(made)) == len(odd)
    document = ProvDocument()
    space = document.add_namespace("n", "urn:uuid:x#")
    for name in made:
        if name:
            document.entity(space[f"e{name}"], {space[name]: name})
    for form in ("json", "provn"):
        assert ProvDocument.deserialize(content=document.serialize(format=form), format=form) == document


# ------------------------------------------------------------------------------------------------------ OpenLineage


def test_openlineage_events_are_what_the_specification_asks(database: Database, tmp_path: Path, ask: Asker) -> None:
    export(database.folder, "openlineage", str(tmp_path / "events.jsonl"))
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    runs: dict[str, list[str]] = {}
    for event in events:
        assert set(event) == {"eventType", "eventTime", "run", "job", "inputs", "outputs", "producer", "schemaURL"}
        assert event["eventTime"].endswith("Z")
        datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00"))
        UUID(event["run"]["runId"])
        assert event["job"]["namespace"]
        assert event["job"]["name"]
        runs.setdefault(event["run"]["runId"], []).append(event["eventType"])
        facets = [*event["run"].get("facets", {}).items(), *event["job"]["facets"].items()]
        for data in event["inputs"] + event["outputs"]:
            assert data["namespace"]
            assert data["name"]
            facets += [*data["facets"].items(), *data.get("outputFacets", {}).items()]
        for name, facet in facets:
            assert facet["_producer"] == event["producer"]
            assert ":" in facet["_schemaURL"]
            if name == "parent":
                UUID(facet["run"]["runId"])
                assert set(facet["job"]) == {"namespace", "name"}
            if name == "schema":
                assert all(set(field) == {"name", "type"} for field in facet["fields"])
            if name == "errorMessage":
                assert event["eventType"] == "FAIL"
                assert set(facet) >= {"message", "programmingLanguage"}
    counts = dict(
        ask(
            "SELECT status, count(*) FROM (SELECT status FROM task UNION ALL SELECT status FROM workflow) AS x "
            "GROUP BY status"
        )
    )
    assert sorted(runs.values()) == sorted(
        [["START"]] * counts["RUNNING"]
        + [["START", "COMPLETE"]] * counts["FINISHED"]
        + [["START", "FAIL"]] * counts["FAILED"]
    )


def test_openlineage_names_runs_jobs_and_data(small: Database, tmp_path: Path) -> None:
    for name in ("first", "second"):
        export(small.folder, "openlineage", str(tmp_path / name))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    events = [json.loads(line) for line in (tmp_path / "first").read_text(encoding="utf-8").splitlines()]
    done = {event["run"]["facets"]["e2c_task"]["key"]: event for event in events if event["eventType"] != "START"}
    flow = CHAIN["tag"]
    assert done["1"]["job"]["name"] == f"{flow}.clean"
    assert [data["name"] for data in done["1"]["inputs"]] == [f"{flow}.raw", PATH]
    assert done["1"]["inputs"][1]["namespace"] == "file://pi"
    assert done["1"]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 2
    facets = done["t2"]["run"]["facets"]
    assert facets["errorMessage"]["message"] == "Error: it's\nbroken"
    assert facets["parent"]["run"]["runId"] == done["t1"]["run"]["runId"]
    assert set(facets["e2c_task"]["dependencies"]) == {done[key]["run"]["runId"] for key in "12"}
    assert [data["name"] for data in done["t2"]["inputs"]] == [f"{flow}.cleaned"]


# ---------------------------------------------------------------------------------------------------------- RO-Crate


def test_a_crate_has_what_its_profiles_require(small: Database, tmp_path: Path) -> None:
    from rocrate.rocrate import ROCrate

    export(small.folder, "ro-crate", str(tmp_path / "crate"))
    crate = ROCrate(tmp_path / "crate")
    graph = {
        one["@id"]: one for one in json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text())["@graph"]
    }

    def typed(kind: str) -> list[dict[str, Any]]:
        return [one for one in graph.values() if kind in _list(one["@type"])]

    def targets(entity: dict[str, Any], name: str) -> list[dict[str, Any]]:
        return [graph[one["@id"]] for one in _list(entity.get(name, []))]

    profiles = {one["@id"] for one in _list(graph["./"]["conformsTo"])}
    assert {f"https://w3id.org/ro/wfrun/{name}/0.5" for name in ("process", "workflow", "provenance")} <= profiles
    assert all("CreativeWork" in _list(graph[one]["@type"]) for one in profiles)
    for name in ("name", "description", "license", "datePublished"):
        assert graph["./"][name]
    (workflow,) = typed("ComputationalWorkflow")
    assert crate.mainEntity["@id"] == workflow["@id"] == "dataflow-1.json"
    assert {"File", "SoftwareSourceCode", "HowTo"} <= set(_list(workflow["@type"]))
    definition = json.loads((tmp_path / "crate" / "dataflow-1.json").read_text())
    assert definition["tag"] == CHAIN["tag"]
    assert targets(workflow, "programmingLanguage")[0]["@type"] == "ComputerLanguage"
    tools = {one["name"]: one for one in targets(workflow, "hasPart")}
    assert set(tools) == {"clean", "train"}
    steps = targets(workflow, "step")
    assert [targets(step, "workExample")[0]["name"] for step in steps] == ["clean", "train"]
    assert [step["position"] for step in steps] == ["0", "1"]
    assert {one["name"] for one in targets(workflow, "input")} == {"raw.file"}
    assert {one["name"] for one in targets(workflow, "output")} == {
        "cleaned.Mean Wert %",
        "cleaned.order",
        "model.score",
    }
    assert {one["name"] for one in targets(tools["train"], "input")} == {"cleaned.Mean Wert %", "cleaned.order"}
    (run,) = targets(graph["./"], "mentions")
    assert targets(run, "instrument") == [workflow]
    (organize,) = typed("OrganizeAction")
    assert targets(organize, "result") == [run]
    controls = typed("ControlAction")
    assert sorted(one["@id"] for one in targets(organize, "object")) == sorted(one["@id"] for one in controls)
    actions = {one["@id"]: one for control in controls for one in targets(control, "object")}
    for control in controls:
        assert targets(control, "instrument")[0] in steps
    assert sorted(actions) == [f"#task-{n}" for n in range(1, 5)]
    for action in actions.values():
        assert action["@type"] == "CreateAction"
        assert targets(action, "instrument")[0] in tools.values()
        assert action["startTime"] < action["endTime"]
        assert targets(action, "agent")[0]["name"] == "edge"
        for value in targets(action, "object") + targets(action, "result"):
            if value["@type"] == "PropertyValue":
                (parameter,) = targets(value, "exampleOfWork")
                assert parameter["@type"] == "FormalParameter"
                assert parameter["name"].endswith(value["name"])
    failed = actions["#task-4"]
    assert failed["actionStatus"] == "http://schema.org/FailedActionStatus"
    assert failed["error"] == "Error: it's\nbroken"
    assert [one["value"] for one in targets(failed, "result")] == [BIG]
    assert sorted(str(one["value"]) for one in targets(failed, "object")) == [
        "1.5",
        "2.5",
        "NaN",
        "NaN",
        "a 1",
        "a 2",
        "b",
        "b",
    ]
    (file,) = [one for one in typed("File") if one["@id"].startswith("file:")]
    assert (file["@id"], file["contentSize"]) == ("file://pi/data/ro%20w%2C%C3%BC.csv", "12")
    assert file["sha256"] == bytes(range(32)).hex()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_odd_values_and_several_crates(database: Database, tmp_path: Path) -> None:
    from rocrate.rocrate import ROCrate

    export(database.folder, "ro-crate", str(tmp_path / "crate"))
    graph = json.loads((tmp_path / "crate" / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
    values = [one["value"] for one in graph if one["@type"] == "PropertyValue"]
    assert {text for text in TEXTS if text is not None} <= {value for value in values if isinstance(value, str)}
    numbers = {struct.pack("<d", value) for value in values if isinstance(value, float)}
    assert {struct.pack("<d", value) for value in FLOATS if value is not None and math.isfinite(value)} <= numbers
    assert {"NaN", "INF", "-INF"} <= {value for value in values if isinstance(value, str)}
    export(database.folder, "ro-crate", str(tmp_path / "several"), part_tasks=20)
    parts = sorted((tmp_path / "several").iterdir())
    assert [part.name for part in parts] == [f"part-{n:04}" for n in range(1, len(parts) + 1)]

    def tasks(folder: Path) -> set[str]:
        return {one.id for one in ROCrate(folder).get_entities() if one.id.startswith("#task-")}

    assert len(parts) > 1
    assert set().union(*map(tasks, parts)) == tasks(tmp_path / "crate")


# --------------------------------------------------------------------------------------------------- CSV and Parquet


def test_csv_files_hold_every_value(database: Database, tmp_path: Path) -> None:
    export(database.folder, "csv", str(tmp_path / "csv"))
    written = {path.name: path for path in (tmp_path / "csv").iterdir()}
    assert {"task.csv", "client.csv", "training_input.csv", "training_output.csv", "performance.csv"} <= set(written)
    assert "ds_training_input_2.csv" in written  # of the other dataflow
    (name,) = [name for name in written if name.startswith("we_")]
    with written[name].open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header[2:4] == ["text", "num_ber"]
    assert [row[2] for row in rows] == [text or "" for text in TEXTS]
    expected = [FLOATS[n % len(FLOATS)] for n in range(len(TEXTS))]
    assert [repr(float(row[3])) if row[3] else None for row in rows] == [
        None if number is None or number != number else repr(number) for number in expected
    ]
    # NULL and the empty text differ.
    raw = written[name].read_text(encoding="utf-8")
    assert ',"",0.1\n' in raw
    assert raw.endswith(f",,{expected[-1]}\n")
    package = json.loads(written["datapackage.json"].read_text(encoding="utf-8"))
    described = {item["path"]: item for item in package["resources"]}
    assert set(described) == set(written) - {"datapackage.json"}
    assert [field["type"] for field in described[name]["schema"]["fields"]][2:] == ["string", "number"]
    assert described[name]["e2c"]["rows"] == len(TEXTS)


def test_sets_whose_names_give_the_same_file_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    from provlight.wire import TASK_END, Record, SetShape

    server = Database(tmp_path / "data", [])
    try:
        store = server.store()
        ends = [
            Record(TASK_END, "w", "t", tag, 1, (), "", [(SetShape(tag, ("value",), 1), [tag])])
            for tag in ("a/b", "a:b", "../../etc/passwd", "." * 20, "x" * 250)
        ]
        store.store([Device().batch(*ends)])
        store.close()
        export(server.folder, "csv", str(tmp_path / "csv"))
    finally:
        server.end()
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "csv").iterdir()]
    for one in ends:
        assert sum(f',"{one.task}"\n' in text for text in texts if text.startswith('"id","t_task_id"')) == 1, one.task
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv", "data"]


def test_a_value_that_is_no_longer_declared_is_exported(tmp_path: Path) -> None:
    from e2c.provenance.folder import write_json

    def flow(*names: str) -> dict[str, Any]:
        attributes = [{"name": name, "type": "NUMERIC"} for name in names]
        sets = [{"tag": "s", "type": "INPUT", "attributes": attributes}]
        return {"tag": "f", "transformations": [{"tag": "t", "sets": sets}]}

    from provlight.wire import TASK_BEGIN, Record, SetShape

    server = Database(tmp_path / "data", [flow("old", "kept")])
    try:
        device = Device()
        store = server.store()
        store.store([device.batch(Record(TASK_BEGIN, "f", "t", 1, 1, (), "", [(SetShape("s", None, 2), [1.5, 2.5])]))])
        store.close()
        write_json(server.folder.dataflows, {"dataflows": [flow("kept", "new")]})
        store = server.store()
        store.store([device.batch(Record(TASK_BEGIN, "f", "t", 2, 1, (), "", [(SetShape("s", None, 2), [3.5, 4.5])]))])
        store.close()
        export(server.folder, "csv", str(tmp_path / "csv"))
        export(server.folder, "prov-json", str(tmp_path / "x.json"))
    finally:
        server.end()
    assert (tmp_path / "csv" / "s.csv").read_text() == (
        '"id","t_task_id","kept","new","old"\n1,1,2.5,,1.5\n2,2,3.5,4.5,\n'
    )
    document = ProvDocument.deserialize(str(tmp_path / "x.json"), format="json")
    element = next(one for one in records(document, "Entity") if str(one.identifier) == "data:element.1.1")
    values = {str(name): value for name, value in element.attributes if str(name).startswith("attribute:")}
    assert values == {"attribute:kept": 2.5, "attribute:old": 1.5}


def test_parquet_keeps_types_nulls_and_every_bit(database: Database, tmp_path: Path, ask: Asker) -> None:
    from pyarrow import parquet

    export(database.folder, "parquet", str(tmp_path / "all"))
    files = {path.stem: parquet.read_table(path) for path in (tmp_path / "all").iterdir()}
    task = files["task"]
    types = {field.name: str(field.type) for field in task.schema}
    assert types["id"] == "int32"
    assert types["identifier"] == "int64"
    assert types["key"] == "string"
    assert types["started"] == types["ended"] == "timestamp[us, tz=UTC]"
    assert str(files["dataflow"].schema.field("declared").type) == "bool"
    assert task.column("started")[0].as_py() == datetime.fromtimestamp(T0 // 10**6, timezone.utc).replace(microsecond=6)
    assert task.num_rows == ask("SELECT count(*) FROM task")[0][0]
    (name,) = [name for name in files if name.startswith("we_")]
    assert files[name].column("text").to_pylist() == TEXTS
    numbers = files[name].column("num_ber").to_pylist()
    expected = [FLOATS[n % len(FLOATS)] for n in range(len(TEXTS))]

    def bits(value: float | None) -> bytes | None:
        return None if value is None else b"nan" if value != value else struct.pack("<d", value)

    assert [bits(value) for value in numbers] == [bits(value) for value in expected]


# --------------------------------------------------------------------------------------------------------- selection


def test_only_what_was_asked_for_is_exported(database: Database, tmp_path: Path) -> None:
    def exported(name: str, **asked: Any) -> dict[str, list[list[str]]]:
        export(database.folder, "csv", str(tmp_path / name), Selection(**asked))
        out = {}
        for path in (tmp_path / name).glob("*.csv"):
            with path.open(newline="", encoding="utf-8") as file:
                out[path.stem] = list(csv.reader(file))[1:]
        return out

    everything = exported("all")
    other = exported("other", workflow="other-flow")
    assert len(other["task"]) == 1
    assert len(other["ds_training_input_2"]) == 1
    assert other["training_input"] == other["training_output"] == other["file"] == []
    assert other["dataflow"] == everything["dataflow"]
    flow = exported("flow", dataflow=CHAIN["tag"])
    assert len(flow["task"]) == 4
    assert len(flow["cleaned"]) == 4
    assert len(flow["file"]) == 2
    assert len(flow["exact_value"]) == 3  # NaN twice, and what a double cannot hold
    start = datetime.fromtimestamp(T0 / 10**6, timezone.utc)
    late = exported("late", since=start.replace(microsecond=5000), until=start.replace(microsecond=6001))
    assert [row[8:] for row in late["task"]] == [row[8:] for row in everything["task"] if row in late["task"]]
    assert {"t1"} <= {value for row in late["task"] for value in row}
    assert len(late["task"]) < len(everything["task"])
    # What the selected training used is there, though another task made it.
    training = exported("training", since=start.replace(microsecond=6000), until=start.replace(microsecond=6500))
    assert len(training["cleaned"]) == 4
    document = tmp_path / "x.json"
    export(database.folder, "prov-json", str(document), Selection(workflow="other-flow"))
    found = ProvDocument.deserialize(str(document), format="json")
    assert len(records(found, "Activity")) == 1


# -------------------------------------------------------------------------------------------------------- the command


def test_the_command_says_what_it_wrote(small: Database, tmp_path: Path, capsysbinary: Any) -> None:
    data = str(small.folder.root)
    assert main(["export", "--data", data, "--format", "prov-n", "--output", "-", "--until", "2026-01-03"]) == 0
    shown = capsysbinary.readouterr()
    assert shown.out.startswith(b"document\n")
    assert shown.out.endswith(b"endDocument\n")
    assert shown.err == b"4 tasks in -\n"
    assert main(["export", "--data", data, "--format", "csv", "--output", str(tmp_path / "csv")]) == 0
    assert b"files in" in capsysbinary.readouterr().err
    assert main(["export", "--data", data, "--format", "parquet", "--output", str(tmp_path / "csv")]) == 1
    assert b"exists already and is not an empty folder" in capsysbinary.readouterr().err
    assert main(["export", "--data", data, "--format", "csv", "--output", "-"]) == 1
    assert b"several files" in capsysbinary.readouterr().err
    assert main(["export", "--data", data, "--format", "prov-n", "--output", "-", "--part-tasks", "2"]) == 1
    assert b"larger --part-tasks" in capsysbinary.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["csv"]
    with pytest.raises(SystemExit):
        main(["export", "--data", data, "--format", "csv", "--output", "-", "--since", "yesterday"])
    assert b"is not a time like" in capsysbinary.readouterr().err


@pytest.mark.parametrize(("form", "package"), [("parquet", "pyarrow"), ("ro-crate", "rocrate")])
def test_a_missing_package_is_one_sentence(
    small: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, package: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ProvenanceError, match=rf"need.? the Python package {package}\. Install it: pip install"):
        export(small.folder, form, str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []


def test_the_database_is_released_after_an_export(database: Database, tmp_path: Path) -> None:
    """A transaction that stayed open would keep the next export from seeing what came meanwhile."""
    for number in range(2):
        store = database.store()
        store.store(
            [Device(name=f"between{number}").batch(begin(f"between {number}", 1, 1, 1, 1), end(f"between {number}"))]
        )
        store.close()
        export(database.folder, "csv", str(tmp_path / str(number)))
        assert f'"between {number}"' in (tmp_path / str(number) / "task.csv").read_text(encoding="utf-8")
