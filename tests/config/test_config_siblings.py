"""What is wrong with one key is found in its siblings: other keys, other files, other testbeds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_cases import CASES, TUTORIAL, assert_readable, changed_lines, judge, needs

SIBLINGS: list[dict[str, Any]] = yaml.safe_load((CASES / "config/siblings.yaml").read_text())
FILES = ("layers_services", "network", "workflow", "workflow_env")


@pytest.mark.parametrize("name", ["monitored", "chameleon", "scaleway", "static"])
def test_rich_scenarios_say_nothing(name: str) -> None:
    _, problems = judge(CASES / "config" / name, FILES)

    assert {problem.code for problem in problems} <= {"not-deployed"}


@pytest.mark.parametrize("case", SIBLINGS, ids=[f"{case['file']}-{case['name']}" for case in SIBLINGS])
def test_siblings_get_the_wanted_verdict(case: dict[str, Any], tmp_path: Path) -> None:
    folder, file = tmp_path / "scenario", case["file"]
    shutil.copytree(CASES / "config" / case["in"] if "in" in case else TUTORIAL, folder)
    (folder / "artifacts").mkdir(exist_ok=True)  # a scenario without files of its own has none in the repository
    (folder / "artifacts/user-application.py").touch()
    good = (folder / f"{file}.yaml").read_text()
    old, new = case.get("put", ("", ""))
    assert old in good
    text = case.get("whole", good.replace(old, new, 1)) + case.get("add", "")
    (folder / f"{file}.yaml").write_text(text)

    _, problems = judge(folder, FILES if "in" in case else needs(file))

    problems = [problem for problem in problems if problem.code != "not-deployed"]
    severities = {problem.severity for problem in problems}
    verdict = "error" if "error" in severities else "warning" if severities else "ok"
    sentences = [problem.sentence() for problem in problems]
    assert verdict == case["want"], sentences
    assert_readable(problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    if any(problem.line for problem in errors):
        lines = {case["line"]} if "line" in case else changed_lines(good.encode(), text.encode())
        assert any(abs(problem.line - line) <= 1 for problem in errors for line in lines), (lines, sentences)
