"""Checks across keys and files that the model of one mapping cannot make."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

from e2c.config.catalogue import runs_linux
from e2c.config.document import Document
from e2c.config.files import entries, exists, is_folder, within
from e2c.config.layer_checks import check_layers, services
from e2c.config.layers import LayersServices
from e2c.config.names import is_identifier
from e2c.config.network_checks import check_network
from e2c.config.problems import Path, Problem, bounded, nearest, shown
from e2c.config.scenario import Scenario
from e2c.config.surprises import surprises
from e2c.config.templates import ENV_PREFIX, check_templates
from e2c.config.workflow_checks import check_workflow
from e2c.config.workflow_env import WorkflowEnv


def check(scenario: Scenario, *, app_conf: Sequence[str] = ()) -> list[Problem]:
    """All problems of the files that could be read."""
    documents = scenario.documents
    problems: list[Problem] = []
    if scenario.artifacts is not None and not is_folder(scenario.artifacts):
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
        problems += bounded(check_layers(scenario.layers_services, documents["layers_services"]))
        problems += _artifacts(scenario.layers_services, documents["layers_services"], scenario.artifacts)
    if scenario.network:
        problems += bounded(check_network(scenario.network, documents["network"]))
    if scenario.workflow:
        problems += bounded(check_workflow(scenario))
    if scenario.workflow_env:
        problems += bounded(_workflow_env(scenario.workflow_env, documents["workflow_env"], app_conf))
        if scenario.workflow:
            problems += bounded(_lacking(scenario.workflow_env, documents["workflow_env"], documents["workflow"]))
    return problems


def inside(folder: FilePath, name: str) -> str | None:
    """Why a file cannot be taken from the artifacts folder; ``None`` when it can."""
    path = folder / name
    if not within(path, [folder]):
        return "lies outside the artifacts folder"
    if is_folder(path):
        return "is a folder, not a file"
    return None if exists(path) else "does not exist in the artifacts folder"


def _artifacts(layers: LayersServices, document: Document, folder: FilePath | None) -> Iterator[Problem]:
    if folder is None or not is_folder(folder):
        return
    wanted: list[tuple[Path, str | None]] = []
    if layers.provenance:
        wanted.append((("provenance", "dataflow_spec"), layers.provenance.dataflow_spec))
    if layers.monitoring:
        wanted.append((("monitoring", "agent_conf"), layers.monitoring.agent_conf))
    firmwares = list(_firmwares(layers))
    wanted += [(path, name) for path, name in firmwares if "/" in name]
    for path, name in wanted:
        fault = inside(folder, name) if name else None
        if name and fault:
            near = nearest(name, entries(folder))
            hint = f"Did you mean {near!r}?" if near else f"Put it in {folder}"
            yield document.problem(path, "artifact", f"{path[-1]} {shown(name)} {fault}", hint)
    for path, name in firmwares:
        if "/" not in name and inside(folder, name):
            near = nearest(name, entries(folder))
            hint = f"Did you mean {near!r}?" if near else f"Put it in {folder}, or make sure that the account has it"
            message = f"image {shown(name)} is not in the artifacts folder, so it must be stored on the testbed"
            yield document.problem(path, "artifact-stored", message, hint, severity="warning")


def _firmwares(layers: LayersServices) -> Iterator[tuple[Path, str]]:
    """Firmwares of boards, with their place."""
    for path, service in services(layers):
        nodes = service.servers or ([service.archi] if service.archi else [])
        on_testbed = (service.environment or layers.environment.default) == "iotlab"
        if on_testbed and service.image and not any(map(runs_linux, nodes)):
            yield (*path, "image"), service.image


def _workflow_env(env: WorkflowEnv, document: Document, app_conf: Sequence[str]) -> Iterator[Problem]:
    for name in app_conf:
        if name not in env.configurations:
            near = nearest(name, env.configurations)
            known = f"It has: {', '.join(env.configurations)}"
            hint = f"Did you mean {near!r}? {known}" if near else known
            yield document.problem(
                (), "configuration-unknown", f"the file has no configuration named {shown(name)}", hint
            )
    root = document.root.value if document.root else {}
    for name, values in env.configurations.items():
        key = root[name][0]
        if key.plain and (not isinstance(key.value, str) or key.kind == "timestamp"):
            message = f"the name of the configuration, {key.text}, is not written as text"
            yield document.problem(
                (name,), "key-not-text", message, f'Write it in quotes: "{key.text}"', severity="warning", key=True
            )
        yield from surprises(document, (name,))
        if not values:
            message = f"the configuration {shown(name)} has no variable"
            yield document.problem((name,), "configuration-empty", message, "Add one", severity="warning", key=True)
        for variable, value in values.items():
            yield from _variable(document, (name, variable), variable, value)
    yield from check_templates(document, (), (), open_ended=True)


def _lacking(env: WorkflowEnv, document: Document, workflow: Document) -> Iterator[Problem]:
    """Variables that plays use and some configurations have, where others lack them."""
    used = {word for line in workflow.lines for word in re.findall(rf"\b{ENV_PREFIX}(\w+)", line)}
    known = {name for values in env.configurations.values() for name in values}
    for configuration, values in env.configurations.items():
        for name in sorted((used & known) - set(values)) if values else ():
            message = f"plays use {ENV_PREFIX}{name}, which the configuration {shown(configuration)} lacks"
            near = nearest(name, set(values) - used)
            hint = f"Rename {near!r} to {name!r}" if near else f"Add {name}:"
            yield document.problem((configuration,), "configuration-lacks", message, hint, severity="warning", key=True)


def _variable(document: Document, path: Path, name: str, value: object) -> Iterator[Problem]:
    above = document.node(path[:-1])
    key = above.value[name][0] if above is not None else None
    if key is not None and key.plain and isinstance(key.value, (bool, type(None))):
        message = f"the key {key.text} is not written as text"
        yield document.problem(
            path, "key-not-text", message, f'Write it in quotes: "{key.text}"', severity="warning", key=True
        )
    elif not is_identifier(name):
        message = (
            f"{shown(f'env_{name}')} is not a name that plays can use"
            if not name.isalnum()
            else f"the key {shown(name)} is not a name"
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
