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
from e2c.config.problems import Problem, ProblemsError, Severity, nearest
from e2c.config.scenario import Scenario
from e2c.config.settings import read_settings
from e2c.config.testbeds import TESTBEDS
from e2c.environments import own
from e2c.environments.base import SettingsError
from e2c.errors import DataflowError
from e2c.model.plan import Plan
from e2c.plan import build
from e2c.services import finding

DATAFLOW_LIMIT_S = 30
"""Seconds that a dataflow specification may take."""

NEAR = 0.8
"""How much a service's name must be like that of a plugin to be taken for a slip."""
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
    parts, odd_services = _services(read_in)
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


def _services(scenario: Scenario) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Names of sub-services that plugins may register, by service; and what is wrong with plugins, none of which is
    run."""
    layers = scenario.layers_services.layers if scenario.layers_services else ()
    places = {
        service.name: (number, place)
        for number, layer in reversed(list(enumerate(layers)))
        for place, service in reversed(list(enumerate(layer.services)))
    }
    if not places:
        return {}, []
    known = finding.available()
    broken = finding.broken()
    parts: dict[str, tuple[str, ...]] = {}
    problems = [
        Problem(str(one.path), one.line, 1, "", "warning", "service-file", f"it defines no service: {one.reason}", "")
        for one in broken
        if one.origin == "scenario" and one.path.stem not in places and not one.readable
    ]
    for name, (number, place) in places.items():
        found, problem = _plugin(name, known, broken)
        if found is not None:
            parts[name] = found.sub_services
        if problem is not None:
            message, hint, severity = problem
            path = ("layers", number, "services", place, "name")
            problems.append(
                scenario.problem("layers_services", path, "service-plugin", message, hint, severity=severity)
            )
    return parts, problems


def _plugin(
    name: str, known: Sequence[finding.Found], broken: Sequence[finding.Broken]
) -> tuple[finding.Found | None, tuple[str, str, Severity] | None]:
    """The plugin of a service, and what is wrong: message, hint and severity."""
    try:
        found = finding.chosen(name, known)
    except plugins.PluginError as error:
        return None, (f"{error.what}: {error.why}", error.hint or "", "error")
    if found is not None:
        return found, None
    wrong = next((one for one in broken if one.path.stem == name), None)
    if wrong is not None:
        message = f"{wrong.path}:{wrong.line} is no plugin of service {name!r}: {wrong.reason}"
        return None, (message, "Correct or remove it", "warning" if wrong.readable else "error")
    near = nearest(name, [one.name for one in known if one.origin != "built in"], cutoff=NEAR)
    if near is not None:
        message = f"no plugin is called {name!r}, so nothing is deployed for this service"
        return None, (message, f"Did you mean {near!r}?", "warning")
    return None, None


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
