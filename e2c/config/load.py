"""Reads a scenario: the files a command needs, all their problems at once."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel

from e2c import plugins
from e2c.config.checks import check
from e2c.config.document import Document, read
from e2c.config.files import entries, exists, is_folder
from e2c.config.layers import LayersServices
from e2c.config.network import Network
from e2c.config.problems import Problem, nearest, printable, raise_errors
from e2c.config.scenario import Scenario
from e2c.config.testbeds import OWN, TESTBEDS
from e2c.config.validate import validate
from e2c.config.workflow import Workflow
from e2c.config.workflow_env import WorkflowEnv
from e2c.errors import ScenarioError

MODELS: dict[str, type[BaseModel]] = {
    "layers_services": LayersServices,
    "network": Network,
    "workflow": Workflow,
    "workflow_env": WorkflowEnv,
}
"""Model of each file of a scenario, by the file's name without its suffix."""

NEEDS: dict[str, tuple[str, ...]] = {
    "deploy": ("layers_services", "network", "workflow"),
    "layers-services": ("layers_services",),
    "network": ("layers_services", "network"),
    "workflow": ("layers_services", "workflow"),
    "finalize": ("layers_services", "workflow"),
}
"""Files that each command needs."""

SUFFIXES = (".yaml", ".yml")


def read_scenario(
    scenario_dir: FilePath,
    artifacts_dir: FilePath | None = None,
    *,
    need: str | Collection[str] = "deploy",
    app_conf: Sequence[str] = (),
) -> Scenario:
    """Read and check the files of a scenario.

    Args:
        scenario_dir: the folder with the YAML files.
        artifacts_dir: the folder with the researcher's files; ``None``: nothing in it is checked.
        need: a command, or names of files (``network`` ...).
        app_conf: application configurations that are going to run; workflow_env.yaml must have them.

    Raises:
        ProblemsError: at least one error; it carries all problems.
        ScenarioError: the scenario folder does not exist.
    """
    scenario, problems = examine_scenario(scenario_dir, artifacts_dir, need=need, app_conf=app_conf)
    raise_errors(problems)
    return scenario


def examine_scenario(
    scenario_dir: FilePath,
    artifacts_dir: FilePath | None = None,
    *,
    need: str | Collection[str] = "deploy",
    app_conf: Sequence[str] = (),
) -> tuple[Scenario, list[Problem]]:
    """As :func:`read_scenario`, but gives all problems beside what could be read: a file whose model
    cannot be made is ``None``.

    Raises:
        ScenarioError: the scenario folder does not exist.
    """
    if not is_folder(scenario_dir):
        what = "is not a folder" if exists(scenario_dir) else "does not exist"
        raise ScenarioError(
            f"the scenario folder {printable(str(scenario_dir))} {what}",
            hint="Give the folder that holds layers_services.yaml",
        )
    names = [*(NEEDS[need] if isinstance(need, str) else need)]
    if app_conf and "workflow_env" not in names:
        names.append("workflow_env")
    plugins.look_in(scenario_dir)
    own = set(plugins.names(plugins.ENVIRONMENTS)) - set(TESTBEDS)
    documents: dict[str, Document] = {}
    models: dict[str, Any] = {}
    problems: list[Problem] = [
        Problem(str(path), line, 1, "", "warning", "own-testbed-file", f"it defines no testbed: {reason}", "Correct it")
        for path, line, reason in plugins.unreadable()
    ]
    for name in (known for known in MODELS if known in names):
        document, found = _read(scenario_dir, name)
        documents[name] = document
        problems += found
        if document.root is not None:
            models[name], found = validate(document, MODELS[name], {OWN: own})
            problems += found
    scenario = Scenario(scenario_dir, artifacts_dir, documents=documents, **models)
    problems += check(scenario, app_conf=app_conf)
    order = {document.file: place for place, document in enumerate(documents.values())}
    problems.sort(key=lambda problem: (order.get(problem.file, len(order)), problem.line, problem.column))
    warnings = tuple(problem for problem in problems if problem.severity == "warning")
    return replace(scenario, warnings=warnings), problems


def _read(folder: FilePath, name: str) -> tuple[Document, list[Problem]]:
    found = [path for path in (folder / f"{name}{suffix}" for suffix in SUFFIXES) if os.path.lexists(path)]
    if len(found) == 1:
        return read(found[0], name)
    document = Document(str(folder / f"{name}.yaml"), name)
    if found:
        message = f"both {found[0].name} and {found[1].name} exist"
        return document, [document.at(0, 0, "file-twice", message, "Remove one of them")]
    candidates = [entry for entry in entries(folder) if entry.endswith(SUFFIXES)]
    near = nearest(f"{name}.yaml", [entry for entry in candidates if entry.rpartition(".")[0] not in MODELS])
    hint = f"Rename {near}" if near else f"Write {name}.yaml in the scenario folder"
    return document, [document.at(0, 0, "file-missing", "the file does not exist", hint)]
