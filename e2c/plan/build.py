"""From a scenario to the plan of its deployment. Pure: no files, clock, network or chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from e2c.config.layers import LayersServices
from e2c.config.names import safe_text
from e2c.config.problems import Problem, ProblemsError, errors, raise_errors
from e2c.config.scenario import Scenario
from e2c.errors import ScenarioError
from e2c.model.plan import Plan
from e2c.plan import allocation, machines, services
from e2c.plan.boards import boards
from e2c.plan.checks import check
from e2c.plan.links import changes, link
from e2c.plan.monitoring import plan_monitoring
from e2c.plan.plays import plays
from e2c.plan.provenance import plan_provenance
from e2c.plan.selectors import Roster

REHEARSAL = "local"
MAX_HOSTS = 200_000
"""Hosts that a plan may have."""
BLOCKING = frozenset({"plan-empty", "plan-too-large"})
"""Warnings of a check that leave nothing to deploy, so that a deployment refuses them."""


def build(
    scenario: Scenario,
    *,
    testbed: str | None = None,
    dataflows: Sequence[Mapping[str, Any]] = (),
    registered: Mapping[str, Sequence[str]] | None = None,
) -> Plan:
    """The plan of a scenario.

    Args:
        scenario: what was read, layers_services among it.
        testbed: ``local`` rehearses: local hosts play every testbed. ``None``: the testbeds of the scenario.
        dataflows: the evaluated dataflow specification.
        registered: names that plugins gave to hosts, by service key, once their services are deployed.

    Raises:
        ProblemsError: selectors, links or plays do not fit the hosts, or there is nothing to deploy.
        ScenarioError: no such testbed to rehearse on, or layers_services was not read.
    """
    return require(*examine(scenario, testbed=testbed, dataflows=dataflows, registered=registered))


def require(plan: Plan | None, problems: Sequence[Problem]) -> Plan:
    """The plan, when nothing is in its way.

    Raises:
        ProblemsError: at least one error, or nothing to deploy.
        ScenarioError: there is no plan, because layers_services was not read.
    """
    raise_errors(problems)
    if plan is None:
        blocking = [replace(problem, severity="error") for problem in problems if problem.code in BLOCKING]
        if blocking:
            raise ProblemsError(blocking)
        raise ScenarioError("layers_services.yaml was not read, so there is nothing to plan")
    return plan


def examine(
    scenario: Scenario,
    *,
    testbed: str | None = None,
    dataflows: Sequence[Mapping[str, Any]] = (),
    registered: Mapping[str, Sequence[str]] | None = None,
    sub_services: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Plan | None, list[Problem]]:
    """As :func:`build`, but gives all problems, warnings included; the plan is ``None`` when there can be none.

    A scenario without layers_services has no plan and no problems.

    Args:
        sub_services: names of sub-services that plugins may register, by name of the service; selectors may name them
            before it is known which hosts they mean.

    Raises:
        ScenarioError: no such testbed to rehearse on.
    """
    rehearse = _rehearse(testbed)
    layers = scenario.layers_services
    if layers is None:
        return None, []
    number = allocation.count(layers)
    if not any(layer.services for layer in layers.layers):
        # what selectors miss then is only a consequence
        return None, [
            _blocked(scenario, "plan-empty", "no layer has a service, so there is nothing to deploy", "Add services")
        ]
    if number > MAX_HOSTS:
        message = f"the scenario takes {number} machines; at most {MAX_HOSTS} can be planned"
        problems = [_blocked(scenario, "plan-too-large", message, "Lower quantity or repeat")]
        return None, problems + check(scenario, Roster(allocation.allocate(_one_each(layers), rehearse=rehearse)))
    hosts = allocation.allocate(layers, rehearse=rehearse)
    names = registered if registered is not None else services.expected(hosts, sub_services or {})
    roster = Roster(services.named(hosts, names))
    problems = check(scenario, roster)
    if errors(problems):
        return None, problems
    declared = allocation.testbeds(layers)
    if any(host.provider == machines.STATIC for host in hosts):
        hosts, taken = machines.deal(hosts, declared[machines.STATIC])
        declared[machines.STATIC]["hosts"] = taken
    without = boards(roster)
    return Plan(
        job_name=safe_text(layers.environment.job_name),
        walltime_s=allocation.walltime_s(layers),
        testbeds=declared,
        rehearsal=rehearse and any(name != REHEARSAL for name in declared),
        hosts=hosts,
        links=link(scenario.network, roster, without) if scenario.network else (),
        changes=changes(scenario.network, roster, without) if scenario.network else (),
        untouched=scenario.network.untouched() if scenario.network else (),
        plays=plays(scenario.workflow, roster, without) if scenario.workflow else (),
        provenance=plan_provenance(layers.provenance, hosts, dataflows) if layers.provenance else None,
        monitoring=plan_monitoring(layers.monitoring, hosts, without) if layers.monitoring else None,
        configurations=scenario.workflow_env.configurations if scenario.workflow_env else {},
    ), problems


def _rehearse(testbed: str | None) -> bool:
    if testbed not in (None, REHEARSAL):
        raise ScenarioError(
            f"{testbed!r} cannot play the testbeds of a scenario",
            why="testbeds are chosen in layers_services.yaml",
            hint=f"Give {REHEARSAL!r} to rehearse on this machine, or nothing",
        )
    return testbed == REHEARSAL


def _blocked(scenario: Scenario, code: str, message: str, hint: str) -> Problem:
    return scenario.problem("layers_services", ("layers",), code, message, hint, severity="warning", key=True)


def _one_each(layers: LayersServices) -> LayersServices:
    """The same layers with one machine per service: enough to check selectors."""
    update: dict[str, Any] = {"quantity": 1, "repeat": 0}
    return layers.model_copy(
        update={
            "layers": tuple(
                layer.model_copy(
                    update={"services": tuple(service.model_copy(update=update) for service in layer.services)}
                )
                for layer in layers.layers
            )
        }
    )
