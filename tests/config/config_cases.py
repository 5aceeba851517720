"""Scenarios for this room: the published tutorial, with one of its files changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from e2c.config.codes import CODES
from e2c.config.load import examine_scenario
from e2c.config.problems import Problem
from e2c.plan.build import examine

CASES = Path(__file__).parents[1] / "cases"
TUTORIAL = CASES / "tutorial"
DEPLOY = ("layers_services", "network", "workflow")

MakeScenario = Callable[..., Path]
Verdict = tuple[str, list[Problem]]
PYTHON = re.compile(
    r"\b(NoneType|dict|tuple|int|str|bool|Traceback|pydantic|PydanticCustom\w*|None|True|False)\b|<class|\{'\w+':"
)


@pytest.fixture
def scenario(tmp_path: Path) -> MakeScenario:
    """Makes a copy of the tutorial, with the files given as bytes or text in place of its own; returns its folder."""

    def make(**files: str | bytes) -> Path:
        folder = tmp_path / "scenario"
        shutil.copytree(TUTORIAL, folder)
        (folder / "artifacts" / "user-application.py").touch()
        for name, content in files.items():
            (folder / f"{name}.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
        return folder

    return make


def judge(folder: Path, need: Sequence[str] = DEPLOY) -> Verdict:
    """What a check says of a scenario: the verdict, and its problems."""
    read, problems = examine_scenario(folder, folder / "artifacts", need=need)
    problems += examine(read)[1]
    severities = {problem.severity for problem in problems}
    return ("error" if "error" in severities else "warning" if severities else "ok"), problems


def needs(file: str) -> tuple[str, ...]:
    """The files to read so that one of them is judged in its surroundings."""
    return (*DEPLOY, file) if file not in DEPLOY else DEPLOY


def assert_readable(problems: list[Problem]) -> None:
    """No message shows what only a programmer of this product could understand."""
    for problem in problems:
        own = problem.message.replace(str(Path(problem.file).parent), "")
        assert not PYTHON.search(own), own
        assert problem.code in CODES
        assert "\n" not in problem.sentence()
        assert len(own) < 300
        assert not problem.message.endswith(".")


def changed_lines(good: bytes, bad: bytes) -> set[int]:
    """Lines of the bad file, from 1, that differ from the good one; the line after what was removed."""
    try:
        left, right = good.decode().splitlines(), bad.decode().splitlines()
    except UnicodeDecodeError:
        return set()
    changes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    return {
        line
        for tag, _, _, start, end in changes
        if tag != "equal"
        for line in range(start + 1, max(end, start + 1) + 1)
    }
