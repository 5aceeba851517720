"""Rules and the schedule of network.yaml on planned hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from plan_scenarios import read_layers

from e2c.config.problems import Problem
from e2c.model.link import LinkValues
from e2c.model.plan import Plan
from e2c.plan.build import examine

LAYERS = ({"name": "Server"}, {"name": "Client", "quantity": 2})


def judged(tmp_path: Path, network: str) -> tuple[Plan | None, list[Problem]]:
    return examine(read_layers(tmp_path, *LAYERS, network=network))


def test_rules_and_changes_are_planned_with_all_their_values(tmp_path: Path) -> None:
    network = """
networks:
- {src: edge.server.*, dst: edge.client.*, delay: 28ms, jitter: 2ms, distribution: normal, rate: 1gbit, loss: 1%,
   reorder: 2%, corrupt: 3%, limit: 500, back: {rate: 1mbit, down: true}}
schedule:
- {at: 0s, src: edge.client.2.1, dst: edge.server.1.1, down: true}
- {at: 1.5min, src: edge.client.*, dst: edge.server.*, delay: 5ms, symmetric: true}
control: shaped
provenance: untouched
"""
    plan, problems = judged(tmp_path, network)

    assert plan is not None
    (link,) = plan.links
    assert link.named == {
        "delay_ms": 28,
        "jitter_ms": 2,
        "distribution": "normal",
        "rate_kbit": 1e6,
        "loss_percent": 1,
        "reorder_percent": 2,
        "duplicate_percent": None,
        "corrupt_percent": 3,
        "limit_packets": 500,
        "down": None,
    }
    assert link.back == LinkValues(rate_kbit=1000, down=True)
    assert [(one.at_s, one.sources, one.destinations, one.symmetric) for one in plan.changes] == [
        (0, ("edge.client.2.1",), ("edge.server.1.1",), False),
        (90, ("edge.client.2.1", "edge.client.2.2"), ("edge.server.1.1",), True),
    ]
    assert (plan.changes[0].down, plan.changes[0].delay_ms) == (True, None)
    assert plan.untouched == ("provenance",)
    assert [problem.code for problem in problems] == ["untouched-nothing"]
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_network_of_old_is_planned_as_ever(tmp_path: Path) -> None:
    plan, problems = judged(
        tmp_path, "networks:\n- {src: edge.server.*, dst: edge.client.*, delay: 1ms, rate: 1gbit}\n"
    )
    assert plan is not None
    assert (problems, plan.changes, plan.untouched) == ([], (), ("control",))
    assert (plan.links[0].symmetric, plan.links[0].back) == (False, None)


EDGE = "src: edge.client.*, dst: edge.server.*"


@pytest.mark.parametrize(
    ("network", "codes"),
    [
        (f"networks: []\nschedule: [{{at: 1s, {EDGE}, down: true}}]", []),
        ("networks: []\nschedule: [{at: 1s, src: edge.cilent.*, dst: all, down: true}]", ["selector-empty"]),
        (f"networks: []\nschedule: [{{at: 1s, {EDGE}, reorder: 3%}}]", ["change-conflict"]),
        (
            f"networks: []\nschedule: [{{at: 1s, {EDGE}, delay: 9ms}}, {{at: 2s, {EDGE}, reorder: 3%}},"
            f" {{at: 3s, {EDGE}, delay: 0ms}}]",
            ["change-conflict"],
        ),
        (
            f"networks: [{{{EDGE}, delay: 1ms, rate: 1gbit, back: {{delay: 2ms, rate: 1gbit}}}}]\n"
            "schedule: [{at: 1s, src: edge.server.*, dst: edge.client.2.2, jitter: 1ms}]",
            [],
        ),
        (
            f"networks: [{{{EDGE}, delay: 1ms, rate: 1gbit, back: {{rate: 1gbit}}}}]\n"
            "schedule: [{at: 1s, src: edge.server.*, dst: edge.client.2.2, jitter: 1ms}]",
            ["change-conflict"],
        ),
        ("networks: [{src: edge.server.*, dst: edge.client.*, delay: 1ms, rate: 1gbit, duplicate: 1%}]", []),
        ("networks: [{src: edge.client.2.1, dst: edge.client.*.1, delay: 1ms, rate: 1gbit}]", ["rule-empty"]),
    ],
)
def test_what_hosts_cannot_do_is_told_before_there_are_any(tmp_path: Path, network: str, codes: list[str]) -> None:
    assert [problem.code for problem in judged(tmp_path, network)[1]] == codes


def test_a_change_that_conflicts_is_told_once_with_its_pair(tmp_path: Path) -> None:
    _, problems = judged(tmp_path, f"networks: []\nschedule:\n- {{at: 1s, {EDGE}, jitter: 3ms}}\n")
    (problem,) = problems
    assert (problem.line, problem.severity) == (3, "error")
    assert problem.message == (
        "jitter needs a delay that it varies,"
        " and the link from edge.client.2.1 to edge.server.1.1 has none at that time"
    )
