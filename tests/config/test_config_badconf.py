"""Every broken file gets its verdict, at its place, in words a user understands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_cases import CASES, TUTORIAL, MakeScenario, assert_readable, changed_lines, judge, needs

ROWS = [tuple(line.split("\t")) for line in (CASES / "badconf/expected.tsv").read_text().splitlines()[1:]]
EDITS: list[dict[str, Any]] = yaml.safe_load((CASES / "config/edits.yaml").read_text())


@pytest.mark.parametrize(("file", "defect", "wanted"), ROWS, ids=[f"{file}-{defect}" for file, defect, _ in ROWS])
def test_published_cases_get_the_wanted_verdict(file: str, defect: str, wanted: str, scenario: MakeScenario) -> None:
    broken = (CASES / "badconf" / f"{file}__{defect}.yaml").read_bytes()

    verdict, problems = judge(scenario(**{file: broken}), needs(file))

    assert verdict == wanted, [problem.sentence() for problem in problems]
    assert_readable(problems)
    lines = changed_lines((TUTORIAL / f"{file}.yaml").read_bytes(), broken)
    placed = [problem for problem in problems if problem.line]
    if placed and lines and wanted == "error":
        assert any(abs(problem.line - line) <= 1 for problem in placed for line in lines), (lines, problems)


@pytest.mark.parametrize("case", EDITS, ids=[f"{case['file']}-{case['name']}" for case in EDITS])
def test_edited_tutorial_gets_the_wanted_verdict(case: dict[str, Any], scenario: MakeScenario) -> None:
    text = (TUTORIAL / f"{case['file']}.yaml").read_text()
    for old, new in filter(None, (case.get("replace"), case.get("more"))):
        assert old in text
        text = text.replace(old, new) if case.get("all") else text.replace(old, new, 1)
    text = case.get("whole", text) + case.get("append", "")

    verdict, problems = judge(scenario(**{case["file"]: text}), needs(case["file"]))

    sentences = [problem.sentence() for problem in problems]
    assert verdict == case["wanted"], sentences
    assert_readable(problems)
    if "line" in case:
        assert any(abs(problem.line - case["line"]) <= 1 and problem.severity == verdict for problem in problems), (
            sentences
        )


def test_tutorial_says_nothing(scenario: MakeScenario) -> None:
    assert judge(scenario(), ("layers_services", "network", "workflow", "workflow_env")) == ("ok", [])


def test_all_files_are_judged_at_once(scenario: MakeScenario) -> None:
    folder = scenario(
        network="networks:\n- {src: clowd, dst: edge, delay: 28parsec}\n",
        layers_services=(TUTORIAL / "layers_services.yaml").read_text().replace("quantity: 1", "quantity: 0"),
        workflow="- hosts: all\n  lunch: []\n",
    )

    _, problems = judge(folder)

    assert {Path(problem.file).name for problem in problems} == {
        "layers_services.yaml",
        "network.yaml",
        "workflow.yaml",
    }
    assert sum(problem.message.startswith("quantity") for problem in problems) == 2
