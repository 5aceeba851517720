"""Every OpenLineage event is what its specification requires, judged by a JSON Schema validator."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from export_parts import make_odd_database
from jsonschema import Draft202012Validator, FormatChecker

from e2c.provenance.export.formats import export
from e2c.provenance.export.openlineage import PRODUCER

SCHEMA = json.loads((Path(__file__).parents[1] / "cases/openlineage/run-event.json").read_text(encoding="utf-8"))


def _checker() -> FormatChecker:
    checker = FormatChecker(formats=["uuid"])

    @checker.checks("date-time", raises=ValueError)
    def _(value: object) -> bool:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).tzinfo is not None and "T" in str(value)

    @checker.checks("uri", raises=ValueError)
    def _(value: object) -> bool:
        parts = urlsplit(str(value))
        return bool(parts.scheme and (parts.netloc or parts.path)) and str(value).isascii() and " " not in str(value)

    return checker


VALIDATOR = Draft202012Validator(SCHEMA, format_checker=_checker())


def problems(event: dict[str, Any]) -> list[str]:
    return [f"{one.json_path}: {one.message}" for one in VALIDATOR.iter_errors(event)]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Of a database in which everything odd occurs."""
    folder = tmp_path_factory.mktemp("openlineage")
    server = make_odd_database(folder / "data")
    try:
        export(server.folder, "openlineage", str(folder / "events.jsonl"))
    finally:
        server.end()
    return [json.loads(line) for line in (folder / "events.jsonl").read_bytes().decode().splitlines()]


def facets(event: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for holder in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        for group in ("facets", "inputFacets", "outputFacets"):
            yield from holder.get(group, {}).items()


@pytest.mark.monetdb
def test_each_event_is_valid(events: list[dict[str, Any]]) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert len(events) > 20
    for event in events:
        assert problems(event) == []
    assert {kind for event in events for kind, _ in facets(event)} >= set(SCHEMA["x-facets"])
    assert {event["eventType"] for event in events} == {"START", "COMPLETE", "FAIL"}


@pytest.mark.monetdb
def test_facets_name_the_version_they_follow(events: list[dict[str, Any]]) -> None:
    for event in events:
        assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        assert event["producer"] == PRODUCER
        for name, facet in facets(event):
            if not name.startswith("e2c_"):  # facets of others have a prefix
                assert facet["_schemaURL"] == SCHEMA["x-facets"][name]


@pytest.mark.monetdb
@pytest.mark.parametrize(
    "damage",
    [
        lambda event: event.pop("run"),
        lambda event: event.pop("producer"),
        lambda event: event["run"].update(runId="task.1"),
        lambda event: event.update(eventTime="2026-01-02 03:04:05"),
        lambda event: event.update(eventType="FINISHED"),
        lambda event: event.update(producer="e2c"),
        lambda event: event["job"].pop("namespace"),
        lambda event: event["job"]["facets"]["jobType"].pop("integration"),
        lambda event: event["run"]["facets"].update(other={"_producer": PRODUCER}),
        lambda event: event["inputs"].append({"name": "x"}),
    ],
)
def test_the_validator_refuses_what_is_damaged(
    events: list[dict[str, Any]], damage: Callable[[dict[str, Any]], object]
) -> None:
    event = copy.deepcopy(next(event for event in events if "facets" in event["run"]))
    assert not problems(event)
    damage(event)
    assert problems(event)
