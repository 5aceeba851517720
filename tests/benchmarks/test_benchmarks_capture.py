"""The capture benchmark runs, with the tiniest sizes and without the peers; its figures are not judged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CAPTURE = Path(__file__).parents[2] / "benchmarks" / "capture"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CAPTURE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.broker
@pytest.mark.monetdb
def test_a_tiny_run_stores_everything_and_writes_its_figures(tmp_path: Path) -> None:
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed")
    done = run("--tiny", "--without-peers", "--only", "cost,fleet", "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "out" / "capture.json").read_text())
    assert written["problems"] == []
    assert written["parts"]["fleet"]["differences"] == []
    assert {name.split()[0] for name in written["parts"]["cost"]} >= {"provlight", "http", "http-new"}
    assert (tmp_path / "out" / "capture.md").read_text().strip() in done.stdout
    assert len(written["targets"]) == done.stdout.count(" met |") + done.stdout.count("**not met**")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--only", "cost,speed"], "there is no part speed"), (["--set", "BATCH=1"], "PROVLIGHT_NAME=VALUE")],
)
def test_a_wrong_argument_is_refused(arguments: list[str], sentence: str) -> None:
    done = run(*arguments)
    assert (done.returncode, sentence in done.stderr) == (2, True)


def test_new_tables_replace_those_of_the_manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(CAPTURE))
    import report

    manual = tmp_path / "README.md"
    manual.write_text((CAPTURE.parent / "README.md").read_text())
    first, _, rest = manual.read_text().partition(report.BEGIN)
    _, _, last = rest.partition(report.END)
    for document in ("first tables", "second tables"):
        report.put_into(manual, document)
        assert manual.read_text() == f"{first}{report.BEGIN}\n\n{document}\n\n{report.END}{last}"
