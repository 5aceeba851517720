"""Boards of IoT-LAB in a plan: no play, link or capture reaches them; in a rehearsal local hosts play them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from plan_scenarios import read_case

from e2c.config.load import examine_scenario
from e2c.config.problems import Problem
from e2c.model.plan import Plan
from e2c.plan.build import examine

POWER = {"name": "power", "archi": "m3", "power": True}
SENSOR = {"name": "Sensor", "archi": "m3:at86rf231", "quantity": 2}
SERVER = {"name": "Server", "archi": "a8:at86rf231"}


def look(
    folder: Path,
    *services: dict[str, Any],
    plays: list[dict[str, Any]] | None = None,
    links: list[dict[str, Any]] | None = None,
    testbed: str | None = None,
    **more: Any,
) -> tuple[Plan | None, list[Problem]]:
    layers = {
        "environment": {"iotlab": {"cluster": "grenoble"}},
        **more,
        "layers": [{"name": "edge", "services": list(services)}],
    }
    case = {"layers_services": yaml.safe_dump(layers, sort_keys=False)}
    if plays is not None:
        case["workflow"] = yaml.safe_dump([{**play, "launch": [{"ping": None}]} for play in plays])
    if links is not None:
        case["network"] = yaml.safe_dump({"networks": [{"delay": "1ms", "rate": "1gbit", **link} for link in links]})
    return examine(read_case(folder, case), testbed=testbed)


def test_a_play_whose_hosts_are_all_boards_is_refused(tmp_path: Path) -> None:
    plan, problems = look(tmp_path, SENSOR, SERVER, plays=[{"hosts": "edge.sensor.*"}])

    assert plan is None
    (problem,) = problems
    assert (problem.code, problem.severity, problem.line) == ("board-only", "error", 1)
    assert problem.file.endswith("workflow.yaml")
    assert "edge.sensor.1.1, edge.sensor.1.2" in problem.message
    assert "firmware" in problem.hint


def test_a_play_runs_on_the_hosts_beside_boards(tmp_path: Path) -> None:
    play = {"hosts": "edge", "depends_on": [{"service_selector": "edge", "grouping": "asarray", "prefix": "all"}]}

    plan, problems = look(tmp_path, SENSOR, SERVER, plays=[play])

    assert plan is not None
    assert plan.plays[0].hosts == plan.plays[0].depends_on[0].hosts == ("edge.server.2.1",)
    assert [(problem.code, problem.severity) for problem in problems] == [("board-skipped", "warning")] * 2
    assert len(plan.hosts) == 3


def test_links_have_no_boards(tmp_path: Path) -> None:
    plan, problems = look(tmp_path, SENSOR, SERVER, links=[{"src": "edge", "dst": "edge.server.*"}])

    assert plan is not None
    assert plan.links[0].sources == ("edge.server.2.1",)
    assert [problem.code for problem in problems] == ["board-skipped"]

    plan, problems = look(tmp_path, SENSOR, SERVER, links=[{"src": "edge.server.*", "dst": "edge.sensor.*"}])

    assert plan is None
    assert [(problem.code, problem.line) for problem in problems] == [("board-only", 3)]


def test_boards_do_not_capture(tmp_path: Path) -> None:
    plan, problems = look(tmp_path, {**SENSOR, "roles": ["far", "Provenance"]}, SERVER)

    assert plan is None
    (problem,) = problems
    assert problem.code == "board-provenance"
    assert problem.path == "layers[0].services[0].roles[1]"


@pytest.mark.parametrize(
    "service", [{"archi": "rpi3:none"}, {"servers": ["a8-7", "node-a8-8"]}, {"archi": "a99:nonsense"}]
)
def test_what_runs_linux_or_is_not_known_is_no_board(tmp_path: Path, service: dict[str, Any]) -> None:
    plan, problems = look(tmp_path, {"name": "s", "roles": ["provenance"], **service}, plays=[{"hosts": "edge"}])

    assert plan is not None
    assert plan.plays[0].hosts == ("edge.s.1.1",)
    assert problems == []


@pytest.mark.parametrize(
    ("image", "verdict"),
    [
        ("sense.elf", []),
        ("sub/other.elf", [("artifact", "error")]),
        ("/etc/passwd", [("artifact", "error")]),
        ("sence.elf", [("artifact-stored", "warning")]),
        ("tutorial_m3", [("artifact-stored", "warning")]),
    ],
)
def test_firmware_is_looked_for_in_the_artifacts_folder(
    tmp_path: Path, image: str, verdict: list[tuple[str, str]]
) -> None:
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "sense.elf").write_bytes(b"\x7fELF")
    layers = {"environment": {"iotlab": {}}, "layers": [{"name": "edge", "services": [{**SENSOR, "image": image}]}]}
    (tmp_path / "layers_services.yaml").write_text(yaml.safe_dump(layers))

    _, problems = examine_scenario(tmp_path, artifacts, need=["layers_services"])

    assert [(problem.code, problem.severity) for problem in problems] == verdict
    if image == "sence.elf":
        assert problems[0].hint == "Did you mean 'sense.elf'?"


def test_named_boards_are_boards(tmp_path: Path) -> None:
    plan, problems = look(tmp_path, {"name": "s", "servers": ["m3-7", "m3-8"]}, plays=[{"hosts": "edge"}])

    assert plan is None
    assert [problem.code for problem in problems] == ["board-only"]


def test_in_a_rehearsal_local_hosts_play_boards_and_it_is_said(tmp_path: Path) -> None:
    more = {"monitoring_iotlab": {"profiles": [POWER]}}

    plan, problems = look(tmp_path, SENSOR, SERVER, plays=[{"hosts": "edge"}], testbed="local", **more)

    assert plan is not None
    assert len(plan.plays[0].hosts) == 3
    assert [(problem.code, problem.severity) for problem in problems] == [
        ("board-rehearsed", "warning"),
        ("not-deployed", "warning"),
    ]


def test_profiles_are_planned_for_the_testbed(tmp_path: Path) -> None:
    radio = {**POWER, "name": "radio", "radio": {"mode": "sniffer", "channels": [26]}}
    more = {"monitoring_iotlab": {"profiles": [POWER, radio]}}

    plan, problems = look(tmp_path, {**SENSOR, "profile": "radio"}, **more)

    assert plan is not None
    power, heard = plan.testbeds["iotlab"]["profiles"]
    assert power == {
        "name": "power",
        "archi": "m3",
        "current": False,
        "power": True,
        "voltage": False,
        "period": 8244,
        "average": 4,
    }
    assert heard["radio"] == {"mode": "sniffer", "channels": [26]}
    assert problems == []
    assert plan.hosts[0].request["profile"] == "radio"
