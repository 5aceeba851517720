"""The example of the optimizer, run small, and the programs of its page."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import e2c

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "howto" / "optimizer.md"
LIMIT_S = 240


def test_the_programs_of_the_page_are_programs_and_use_what_there_is() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    names = set()
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("optimizer", "self"):
                names.add(node.attr)
    assert names == {"launch", "query", "prepare", "finalize"}
    described = set(re.findall(r"^\| `(\w+)\(", PAGE.read_text(), re.MULTILINE)) - {"Optimizer"}
    public = {name for name in vars(e2c.Optimizer) if not name.startswith("_")}
    assert described | {"run"} == public


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    ignored = shutil.ignore_patterns("[0-9]*-[0-9]*")
    folder = Path(shutil.copytree(ROOT / "examples" / "optuna-tuning", tmp_path / "optuna-tuning", ignore=ignored))
    yield folder
    destroy = [sys.executable, "-m", "e2c.optimizer", str(folder)]
    subprocess.run(destroy, capture_output=True, check=True, timeout=60)


@pytest.mark.netns
@pytest.mark.broker
@pytest.mark.monetdb
def test_the_example_finds_the_best_of_its_trials_in_the_database(example: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    done = subprocess.run(
        [sys.executable, str(example / "tune.py"), "--testbed", "local", "--trials", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, best, _, *rows = done.stdout.splitlines()
    assert (first.partition(":")[0], second.partition(":")[0]) == ("trial-1", "trial-2")
    accuracies = {line.partition(":")[0]: float(line.rpartition(" ")[2]) for line in (first, second)}
    assert best.startswith("best: {'kernel_size': ")
    assert float(best.rpartition(" ")[2]) == max(accuracies.values())
    in_database = {row.split()[0]: round(float(row.split()[-1]), 4) for row in rows}
    assert in_database == accuracies
    (experiment,) = example.glob("[0-9]*-[0-9]*")
    assert sorted(path.name for path in experiment.glob("trial-*")) == ["trial-1", "trial-2"]
    assert '"released": true' in (experiment / "state.json").read_text()
