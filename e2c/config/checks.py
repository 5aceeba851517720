"""Checks across keys and files that the model of one mapping cannot make."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

from e2c.config.document import Document
from e2c.config.layer_checks import check_layers, surprises
from e2c.config.layers import LayersServices
from e2c.config.names import is_identifier
from e2c.config.network import Network
from e2c.config.problems import Path, Problem, nearest, shown
from e2c.config.scenario import Scenario
from e2c.config.units import has_unit
from e2c.config.workflow_checks import check_workflow
from e2c.config.workflow_env import WorkflowEnv


def check(scenario: Scenario, *, app_conf: Sequence[str] = ()) -> list[Problem]:
    """All problems of the files that could be read."""
    documents = scenario.documents
    problems: list[Problem] = []
    if scenario.artifacts is not None and not scenario.artifacts.is_dir():
        hint = "Give the folder that holds the files of the workflow"
        problems.append(
            Problem(
                str(scenario.artifacts),
                0,
                0,
                "",
                "error",
                "artifacts-missing",
                "the artifacts folder does not exist",
                hint,
            )
        )
    if scenario.layers_services:
        problems += check_layers(scenario.layers_services, documents["layers_services"])
        problems += _artifacts(scenario.layers_services, documents["layers_services"], scenario.artifacts)
    if scenario.network:
        problems += _network(scenario.network, documents["network"])
    if scenario.workflow:
        problems += check_workflow(scenario)
    if scenario.workflow_env:
        problems += _workflow_env(scenario.workflow_env, documents["workflow_env"], app_conf)
    return problems


def inside(folder: FilePath, name: str) -> str | None:
    """Why a file cannot be taken from the artifacts folder; ``None`` when it can."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        return "lies outside the artifacts folder"
    return None if path.exists() else "does not exist in the artifacts folder"


def _artifacts(layers: LayersServices, document: Document, folder: FilePath | None) -> Iterator[Problem]:
    if folder is None or not folder.is_dir():
        return
    wanted: list[tuple[Path, str | None]] = []
    if layers.provenance:
        wanted.append((("provenance", "dataflow_spec"), layers.provenance.dataflow_spec))
    if layers.monitoring:
        wanted.append((("monitoring", "agent_conf"), layers.monitoring.agent_conf))
    for path, name in wanted:
        fault = inside(folder, name) if name else None
        if name and fault:
            near = nearest(name, sorted(entry.name for entry in folder.iterdir()))
            hint = f"Did you mean {near!r}?" if near else f"Put it in {folder}"
            yield document.problem(path, "artifact", f"{path[-1]} {shown(name)} {fault}", hint)


def _network(network: Network, document: Document) -> Iterator[Problem]:
    for place, rule in enumerate(network.networks or ()):
        path: Path = ("networks", place)
        missing = [key for key in ("delay", "rate") if getattr(rule, key) is None]
        if len(missing) == 2 and rule.loss is None:
            message = "the rule has no delay, rate or loss, so it does nothing"
            yield document.problem(path, "rule-empty", message, "Add delay: 28ms", severity="warning")
        else:
            for key in missing:
                what = "does not delay" if key == "delay" else "does not limit the rate"
                hint = f"Add {key}: {'28ms' if key == 'delay' else '1gbit'}"
                yield document.problem(
                    path, "rule-incomplete", f"the rule has no {key}, so it {what}", hint, severity="warning"
                )
        for key, unit in (("delay", "milliseconds"), ("rate", "bit per second")):
            node = document.node((*path, key))
            if node is not None and not has_unit(node.text):
                hint = f'Write the unit: "{node.text.strip()}{"ms" if key == "delay" else "bit"}"'
                message = f"{key} has no unit, so it is taken as {unit}"
                yield document.problem((*path, key), "unit-missing", message, hint, severity="warning")
        if rule.src == rule.dst:
            message = f"src and dst are both {shown(rule.src)}, so the rule shapes traffic inside it"
            yield document.problem(
                (*path, "dst"), "rule-self", message, "Make sure that this is meant", severity="warning"
            )


def _workflow_env(env: WorkflowEnv, document: Document, app_conf: Sequence[str]) -> Iterator[Problem]:
    for name in app_conf:
        if name not in env.configurations:
            near = nearest(name, env.configurations)
            hint = f"Did you mean {near!r}?" if near else f"It has: {', '.join(env.configurations)}"
            yield document.problem(
                (), "configuration-unknown", f"the file has no configuration named {shown(name)}", hint
            )
    root = document.root.value if document.root else {}
    for name, values in env.configurations.items():
        key = root[name][0]
        if key.plain and not isinstance(key.value, str):
            message = f"the name of the configuration, {key.text}, is not written as text"
            yield document.problem(
                (name,), "key-not-text", message, f'Write it in quotes: "{key.text}"', severity="warning", key=True
            )
        yield from surprises(document, (name,))
        for variable, value in values.items():
            yield from _variable(document, (name, variable), variable, value)


def _variable(document: Document, path: Path, name: str, value: object) -> Iterator[Problem]:
    if not is_identifier(name):
        message = (
            f"env_{name} is not a name that plays can use" if not name.isalnum() else f"the key {name} is not a name"
        )
        yield document.problem(
            path, "variable-name", message, "Use letters, digits and '_'", severity="warning", key=True
        )
    node = document.node(path)
    if isinstance(value, float) and not math.isfinite(value):
        yield document.problem(path, "not-finite", f"{name} is not a finite number", "", severity="warning")
    elif node is not None and node.kind == "timestamp":
        message = f"{name} must be text, a number, true or false, not a date"
        yield document.problem(path, "type", message, f'Write it in quotes: "{node.text}"')
