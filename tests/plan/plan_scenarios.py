"""Scenarios from text, for this room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from e2c.config.load import examine_scenario
from e2c.config.problems import errors
from e2c.config.scenario import Scenario

CASES = Path(__file__).parents[1] / "cases"
FILES = ("layers_services", "network", "workflow")


def read_case(folder: Path, case: dict[str, Any]) -> Scenario:
    """The scenario whose files are texts of a case."""
    for name in FILES:
        if name in case:
            (folder / f"{name}.yaml").write_text(case[name])
    scenario, problems = examine_scenario(folder, need=[name for name in FILES if name in case])
    assert not errors(problems), [problem.sentence() for problem in problems]
    return scenario


def read_layers(folder: Path, *services: dict[str, Any], **more: str) -> Scenario:
    """A scenario of one layer named ``edge`` on the local testbed."""
    layers = {"environment": {"local": {}}, "layers": [{"name": "edge", "services": list(services)}]}
    return read_case(folder, {"layers_services": yaml.safe_dump(layers), **more})
