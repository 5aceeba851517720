"""From a scenario to its plan: cases as data, rehearsals, and what a plan refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from plan_scenarios import CASES, read_case, read_layers

from e2c.config.load import read_scenario
from e2c.config.problems import ProblemsError
from e2c.config.scenario import Scenario
from e2c.errors import ScenarioError
from e2c.model.plan import Plan
from e2c.plan.build import build, examine

PLANS = sorted((CASES / "plan").glob("*.yaml"))
TUTORIAL = CASES / "tutorial"


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_planned_as_the_case_says(path: Path, tmp_path: Path) -> None:
    case: dict[str, Any] = yaml.safe_load(path.read_text())

    plan = build(read_case(tmp_path, case)).model_dump(mode="json")

    wanted = {name: value for name, value in case.items() if name not in ("layers_services", "network", "workflow")}
    for name, value in wanted.items():
        assert within(value, plan[name]) == value, name


def within(wanted: Any, found: Any) -> Any:
    """What was found, without the keys that nobody asked about."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return {key: within(value, found.get(key)) for key, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [within(left, right) for left, right in zip(wanted, found, strict=True)]
    return found


@pytest.fixture
def tutorial(tmp_path: Path) -> Scenario:
    (tmp_path / "user-application.py").touch()
    (tmp_path / "my-dataflow-specification.py").touch()
    return read_scenario(TUTORIAL, tmp_path)


def test_tutorial_on_its_testbeds(tutorial: Scenario) -> None:
    plan = build(tutorial)

    assert [(host.key, host.testbed, host.provider) for host in plan.hosts] == [
        ("cloud.master.1.1", "g5k", "g5k"),
        ("edge.worker.1.1", "iotlab", "iotlab"),
        ("provenance_service.1", "g5k", "g5k"),
    ]
    assert not plan.rehearsal
    assert plan.walltime_s == 3540
    assert plan.testbeds["g5k"]["key_name"] == "your_g5k_key.pub"
    assert plan.testbeds["g5k"]["firewall_rules"] == [
        {"services": ["provenance_service"], "ports": [1883], "proto": "tcp+udp"}
    ]


def test_tutorial_rehearsed_keeps_names_keys_and_requests(tutorial: Scenario) -> None:
    real, rehearsed = build(tutorial), build(tutorial, testbed="local")

    assert rehearsed.rehearsal
    assert {host.provider for host in rehearsed.hosts} == {"local"}
    assert [host.model_copy(update={"provider": host.testbed}) for host in rehearsed.hosts] == list(real.hosts)
    assert (rehearsed.links, rehearsed.plays, rehearsed.provenance) == (real.links, real.plays, real.provenance)
    link = rehearsed.links[0]
    assert (link.delay_ms, link.rate_kbit, link.loss_percent, link.symmetric) == (28, 1_000_000, 0.1, False)
    assert (link.sources, link.destinations) == (("cloud.master.1.1",), ("edge.worker.1.1",))
    provenance = rehearsed.provenance
    assert provenance is not None
    assert provenance.topics == {"cloud.master.1.1": 1, "edge.worker.1.1": 2}
    assert provenance.ipv == 6


def test_local_scenarios_are_no_rehearsal(tmp_path: Path) -> None:
    assert not build(read_layers(tmp_path, {"name": "A"}), testbed="local").rehearsal


def test_planning_is_pure(tutorial: Scenario) -> None:
    dataflows = [{"tag": "model_training", "transformations": []}]
    first, second = build(tutorial, dataflows=dataflows), build(tutorial, dataflows=dataflows)

    assert first == second
    assert first.digest() == second.digest()
    assert first.provenance is not None
    assert first.provenance.dataflows == ({"tag": "model_training", "transformations": []},)
    assert build(tutorial).digest() != first.digest()


def test_a_plan_survives_json(tutorial: Scenario) -> None:
    plan = build(tutorial, testbed="local")

    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_command_that_needs_fewer_files_plans_less(tutorial: Scenario) -> None:
    plan = build(read_scenario(TUTORIAL, tutorial.artifacts, need="layers-services"))

    assert plan.hosts == build(tutorial).hosts
    assert (plan.links, plan.plays) == ((), ())


@pytest.mark.parametrize("testbed", ["g5k", "Local", "", "fake"])
def test_only_local_rehearses(testbed: str, tutorial: Scenario) -> None:
    with pytest.raises(ScenarioError, match="cannot play the testbeds"):
        build(tutorial, testbed=testbed)


def test_selectors_that_choose_nothing_are_all_told(tmp_path: Path) -> None:
    scenario = read_layers(
        tmp_path,
        {"name": "A"},
        network="networks:\n- {src: egde, dst: edge.b.*, delay: 1ms, rate: 1gbit}\n",
        workflow="- hosts: edge\n  depends_on:\n  - {service_selector: '', grouping: asarray, prefix: x}\n".replace(
            "''", "'&a:&b'"
        )
        + "  launch: [{ping: }]\n",
    )

    with pytest.raises(ProblemsError) as refused:
        build(scenario)

    assert [(problem.path, problem.line) for problem in refused.value.problems] == [
        ("networks[0].src", 2),
        ("networks[0].dst", 2),
        ("[0].depends_on[0].service_selector", 3),
    ]
    assert "Did you mean 'edge'?" in str(refused.value)


def test_a_scenario_without_services_is_odd_to_check_and_refused_to_deploy(tmp_path: Path) -> None:
    scenario = read_layers(tmp_path, network="networks:\n- {src: x, dst: y, delay: 1ms, rate: 1gbit}\n")

    plan, problems = examine(scenario)

    assert plan is None
    assert [(problem.code, problem.severity) for problem in problems] == [("plan-empty", "warning")]
    with pytest.raises(ProblemsError, match="no layer has a service"):
        build(scenario)


def test_a_scenario_with_too_many_machines_is_odd_to_check_and_refused_to_deploy(tmp_path: Path) -> None:
    network = "networks:\n- {src: edge, dst: edge.b.*, delay: 1ms, rate: 1gbit}\n"
    scenario = read_layers(tmp_path, {"name": "A", "quantity": 10**12, "repeat": 3}, network=network)

    plan, problems = examine(scenario)

    assert plan is None
    assert [problem.code for problem in problems] == ["plan-too-large", "selector-empty"]
    with pytest.raises(ProblemsError):
        build(scenario)


def test_warnings_of_planning_reach_whoever_asks(tmp_path: Path) -> None:
    rule = "- {src: edge, dst: 'edge.b.*:edge.a.*', delay: 1ms, rate: 1gbit}\n"
    scenario = read_layers(tmp_path, {"name": "A", "quantity": 2}, network=f"networks:\n{rule}{rule}")

    plan, heard = examine(scenario)

    assert plan is not None
    assert len(plan.links) == 2
    assert [problem.code for problem in heard] == ["selector-part-empty", "selector-part-empty", "rule-twice"]


def test_nothing_to_plan_without_layers(tmp_path: Path) -> None:
    scenario = read_case(tmp_path, {"network": "networks:\n"})

    assert examine(scenario) == (None, [])
    with pytest.raises(ScenarioError, match="nothing to plan"):
        build(scenario)
