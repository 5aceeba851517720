"""Everything that can be found wrong with a scenario before anything is reserved."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from e2c import plugins
from e2c.config.load import NEEDS, examine_scenario
from e2c.config.outline import outline
from e2c.config.problems import Problem, ProblemsError
from e2c.config.scenario import Scenario
from e2c.config.settings import read_settings
from e2c.config.testbeds import TESTBEDS
from e2c.environments import own
from e2c.environments.base import SettingsError
from e2c.errors import DataflowError
from e2c.experiment import plugin_checks
from e2c.model.plan import Plan
from e2c.plan import build

DATAFLOW_LIMIT_S = 30
"""Seconds that a dataflow specification may take."""

CHAIN = ("layers_services", "network", "workflow")
SPECIFICATION = ("provenance", "dataflow_spec")


@dataclass(frozen=True)
class Examination:
    """A scenario, its plan where one could be made, and all problems: settings first, then by file and line."""

    scenario: Scenario
    plan: Plan | None
    problems: tuple[Problem, ...]


def examine(
    scenario: Path,
    artifacts: Path | None,
    command: str,
    *,
    testbed: str | None = None,
    configurations: bool = False,
    app_conf: Sequence[str] = (),
) -> Examination:
    """Read the files that a command needs and those of later steps, evaluate the dataflow, and plan.

    Args:
        scenario, artifacts: folders; without artifacts nothing in them is looked for and no dataflow is evaluated.
        command: ``deploy``, ``layers-services``, ``network``, ``workflow`` or ``finalize``.
        testbed: play every testbed on this one.
        configurations: read ``workflow_env.yaml`` as well.
        app_conf: application configurations that are going to run.

    Raises:
        ScenarioError: the scenario folder does not exist, or ``testbed`` cannot play others.
    """
    with _collector_paused():
        return _examine(scenario, artifacts, command, testbed, configurations, app_conf)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for cycles: a large file becomes a million objects that all stay, and searching them takes a third
    of the time."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _examine(
    scenario: Path,
    artifacts: Path | None,
    command: str,
    testbed: str | None,
    configurations: bool,
    app_conf: Sequence[str],
) -> Examination:
    _, odd = read_settings(os.environ)
    names = files(scenario, command, also=("workflow_env",) if configurations else ())
    read_in, problems = examine_scenario(scenario, artifacts, need=names, app_conf=app_conf)
    flows, wrong = _dataflows(read_in, problems)
    parts, odd_services = plugin_checks.services(read_in)
    plan, unfit = build.examine(read_in, testbed=testbed, dataflows=flows, sub_services=parts)
    unfit += odd_services
    unfit += _own_testbeds(read_in, plan)
    if read_in.layers_services is None and "layers_services" in read_in.documents:
        unfit = _against_outline(read_in)
    order = {document.file: place for place, document in enumerate(read_in.documents.values())}
    found = sorted(
        [*problems, *wrong, *unfit],
        key=lambda problem: (order.get(problem.file, len(order)), problem.line, problem.column),
    )
    return Examination(read_in, plan, (*odd, *found))


def files(scenario: Path, command: str, *, also: Collection[str] = ()) -> list[str]:
    """Names of the files to read: those the command needs, and all others that are there.

    A mistake in a file of a later step must be found before anything is reserved, not hours later.
    """
    there = {path.stem for path in scenario.glob("*.y*ml")} if scenario.is_dir() else set()
    return [*(name for name in CHAIN if name in NEEDS[command] or name in there), *also]


def _against_outline(scenario: Scenario) -> list[Problem]:
    """Problems of selectors when layers_services.yaml is wrong, but tells its layers and services."""
    known = outline(scenario.documents["layers_services"].data)
    if known is None:
        return []
    _, found = build.examine(replace(scenario, layers_services=known))
    return [problem for problem in found if problem.code.startswith("selector-")]


@contextmanager
def located(scenario: Scenario) -> Iterator[None]:
    """Tell what a testbed finds wrong with its keys at their place in the file."""
    try:
        yield
    except SettingsError as error:
        raise ProblemsError(
            scenario.problem("layers_services", ("environment", error.testbed, *way), "testbed", text, error.hint or "")
            for way, text in error.places
        ) from error


def _own_testbeds(scenario: Scenario, plan: Plan | None) -> list[Problem]:
    """What testbeds that others wrote say against their keys; runs the code of those that are to be used."""
    used = {host.provider for host in plan.hosts} - set(TESTBEDS) if plan else set()
    found = []
    for name in sorted(used):
        try:
            for way, message in own.wrong_settings(name, plan.testbeds.get(name, {}) if plan else {}):
                path = ("environment", name, *way)
                found.append(scenario.problem("layers_services", path, "own-testbed", f"{name}: {message}"))
        except plugins.PluginError as error:
            text = f"{name} cannot be used: {str(error).rstrip('.')}"
            found.append(scenario.problem("layers_services", ("environment", name), "own-testbed", text, key=True))
    return found


def _dataflows(scenario: Scenario, problems: Sequence[Problem]) -> tuple[Sequence[dict[str, Any]], list[Problem]]:
    declared = scenario.layers_services.provenance if scenario.layers_services else None
    folder = scenario.artifacts
    refused = any(problem.path == ".".join(SPECIFICATION) and problem.severity == "error" for problem in problems)
    if declared is None or folder is None or not folder.is_dir() or refused:
        return (), []
    from e2c.provenance.dataflows import specification

    try:
        return specification.evaluate(folder / declared.dataflow_spec, DATAFLOW_LIMIT_S), []
    except DataflowError as error:
        why = f": {error.why}" if error.why else ""
        message = f"dataflow_spec {declared.dataflow_spec!r}: {error.what}{why}"
        return (), [scenario.problem("layers_services", SPECIFICATION, "dataflow-spec", message, error.hint or "")]
