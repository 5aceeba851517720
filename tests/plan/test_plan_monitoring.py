"""Which hosts are sampled and how, which options of dstat cannot be given, and what is refused with a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from e2c.config.load import examine_scenario
from e2c.config.problems import Problem
from e2c.model.plan import MonitoringPlan, Plan
from e2c.plan.build import examine

CAMERA: dict[str, Any] = {"name": "camera", "quantity": 2, "roles": ["Monitoring"]}
SERVER: dict[str, Any] = {"name": "server"}


def look(folder: Path, monitoring: dict[str, Any], *services: dict[str, Any]) -> tuple[Plan | None, list[Problem]]:
    """Plan a scenario with local hosts; problems of reading and of planning."""
    layers = {
        "environment": {"local": {}, "iotlab": {}},
        "monitoring": monitoring,
        "layers": [{"name": "edge", "services": list(services or (CAMERA, SERVER))}],
    }
    (folder / "layers_services.yaml").write_text(yaml.safe_dump(layers, sort_keys=False))
    scenario, problems = examine_scenario(folder, need=["layers_services"])
    if any(problem.severity == "error" for problem in problems):
        return None, list(problems)
    plan, more = examine(scenario)
    return plan, [*problems, *more]


def planned(folder: Path, **monitoring: Any) -> MonitoringPlan:
    plan, problems = look(folder, {"type": "dstat", **monitoring})
    assert problems == []
    assert plan is not None
    assert plan.monitoring is not None
    return plan.monitoring


def test_hosts_with_the_role_are_sampled_each_second(tmp_path: Path) -> None:
    assert planned(tmp_path) == MonitoringPlan(agents=("edge.camera.1.1", "edge.camera.1.2"), period_s=1)


@pytest.mark.parametrize(
    ("options", "kept", "period"),
    [
        ("-m -c -n", (), 1),
        ("-cdnm --epoch --mem -T 5", (), 5),
        ("-lcy --tcp", ("-l", "-y", "--tcp"), 1),
        (
            "-N eth0 -Dsda,sdb -C 0,total -I 5",
            ("-N", "eth0,total", "-D", "sda,sdb,total", "-C", "0,total", "-I", "5"),
            1,
        ),
        ("-cN eth0 -C all", ("-N", "eth0,total", "-C", "all"), 1),
        ("--full --bits", ("--full", "--bits"), 1),
    ],
)
def test_options_are_those_of_dstat_beyond_what_is_always_sampled(
    tmp_path: Path, options: str, kept: tuple[str, ...], period: int
) -> None:
    found = planned(tmp_path, options=options)
    assert (found.options, found.period_s) == (kept, period)


def test_the_period_may_stand_in_both_places_if_it_is_the_same(tmp_path: Path) -> None:
    assert planned(tmp_path, options="-c 5", period=5).period_s == 5
    assert planned(tmp_path, period=60).period_s == 60


@pytest.mark.parametrize(
    ("monitoring", "said"),
    [
        ({"options": "-c --output x"}, "--output cannot be given"),
        ({"options": "--outp=x"}, "--outp cannot be given"),
        ({"options": "-co x"}, "-o cannot be given"),
        ({"options": "--pidfile /etc/passwd"}, "--pidfile cannot be given"),
        ({"options": "-c 1 10"}, "after which sampling would end"),
        ({"options": "-c 2", "period": 3}, "the period is 2 here and 3 under period"),
        ({"options": "-c 0"}, "the period is 0 s"),
        ({"options": "-c eth0"}, "'eth0' is not an option"),
        ({"options": "-N"}, "-N has no value"),
        ({"period": 0}, "period"),
        ({"period": 0.5}, "period"),
    ],
)
def test_what_would_spoil_the_samples_is_refused(tmp_path: Path, monitoring: dict[str, Any], said: str) -> None:
    _, problems = look(tmp_path, {"type": "dstat", **monitoring})

    (problem,) = [problem for problem in problems if problem.severity == "error"]
    assert said in problem.sentence()
    assert problem.line


def test_keys_of_a_collecting_host_are_told_to_have_no_effect_on_dstat(tmp_path: Path) -> None:
    """As scenarios for E2Clab have them: samples stay on each host, so there is no such host."""
    beside = {"provider": "g5k", "cluster": "gros", "network": "shared", "ipv": 6, "options": "-m", "period": 2}
    plan, problems = look(tmp_path, {"type": "dstat", **beside})

    assert plan is not None
    told = {(problem.severity, problem.message) for problem in problems if problem.path.startswith("monitoring")}
    expected = {("warning", f"{key} has no effect on dstat") for key in ("provider", "cluster")}
    assert told == {*expected, ("warning", "ipv has no effect without a private network")}
    assert all(problem.code == "key-unused" and problem.line for problem in problems)


IMAGE = {"cluster": "gros", "job_type": ["deploy"], "env_name": "debian12-big"}


def private(
    folder: Path, g5k: dict[str, Any] | None, *testbeds: str, testbed: str | None = None, **monitoring: Any
) -> tuple[Plan | None, list[tuple[str, str]]]:
    """Plan one monitored service per testbed and one that is not; severities and messages about the network."""
    services = [
        {"name": f"s{place}", "environment": name, "roles": ["Monitoring"]} for place, name in enumerate(testbeds)
    ]
    layers = {
        "environment": {"g5k": g5k, "local": {}, "static": {"hosts": [{"address": "192.0.2.1"}]}},
        "monitoring": {"type": "dstat", "network": "private", **monitoring},
        "layers": [{"name": "edge", "services": [*services, {"name": "plain", "environment": "g5k"}]}],
    }
    (folder / "layers_services.yaml").write_text(yaml.safe_dump(layers, sort_keys=False))
    scenario, problems = examine_scenario(folder, need=["layers_services"])
    told = [(problem.severity, problem.message) for problem in problems if problem.path == "monitoring.network"]
    if any(problem.severity == "error" for problem in problems):
        return None, told
    plan, more = examine(scenario, testbed=testbed)
    return plan, [*told, *((problem.severity, problem.message) for problem in more if "monitoring" in problem.path)]


def test_monitored_hosts_of_grid5000_are_put_into_the_private_network(tmp_path: Path) -> None:
    plan, told = private(tmp_path, IMAGE, "g5k", ipv=6)
    assert told == []
    assert plan is not None
    assert [host.request.get("monitoring_network") for host in plan.hosts] == [6, None]


def test_a_private_network_takes_an_image_which_is_asked_for_before_anything_is_acquired(tmp_path: Path) -> None:
    plan, told = private(tmp_path, {"cluster": "gros"}, "g5k")
    assert plan is None
    assert told == [
        ("error", "a private network makes Grid'5000 deploy an image on its hosts, and no env_name says which")
    ]


def test_who_gets_no_private_network_is_told(tmp_path: Path) -> None:
    plan, told = private(tmp_path, IMAGE, "g5k", "static", "local")
    assert told == [("warning", "monitored hosts of 'local', 'static' get no private network")]
    assert plan is not None
    assert [host.request.get("monitoring_network") for host in plan.hosts] == [4, None, None, None]
    assert private(tmp_path, {"cluster": "gros"}, "local")[1] == [
        ("warning", "monitored hosts of 'local' get no private network")
    ]
    assert private(tmp_path, IMAGE, "g5k", testbed="local")[1] == [
        ("warning", "a rehearsal has no private network for monitoring")
    ]


@pytest.mark.parametrize("kind", ["tig", "tpg"])
def test_other_types_are_refused_and_told_what_there_is_instead(tmp_path: Path, kind: str) -> None:
    plan, problems = look(tmp_path, {"type": kind, "provider": "g5k", "cluster": "gros"})

    assert plan is None
    (problem,) = [problem for problem in problems if problem.severity == "error"]
    assert f"monitoring of type {kind} is not provided" in problem.message
    assert "Write type: dstat" in problem.hint
    assert problem.path == "monitoring.type"


def test_boards_are_not_sampled(tmp_path: Path) -> None:
    board = {"name": "mote", "environment": "iotlab", "archi": "m3:at86rf231", "roles": ["monitoring"]}
    only, _ = look(tmp_path, {"type": "dstat"}, board, SERVER)
    assert only is not None
    assert only.monitoring is None
    plan, _ = look(tmp_path, {"type": "dstat"}, board, CAMERA)
    assert plan is not None
    assert plan.monitoring == MonitoringPlan(agents=("edge.camera.2.1", "edge.camera.2.2"))
