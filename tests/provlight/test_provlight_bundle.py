"""The zip for devices: alone on the path, on every Python there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from provlight_broker import ROOT, Broker, Translator

from provlight import bundle

VERSIONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")


def interpreters() -> list[str]:
    """One interpreter of each version that this machine has."""
    found = []
    for version in VERSIONS:
        candidates = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        on_path = shutil.which(f"python{version}")
        if candidates:
            found.append(str(candidates[-1]))
        elif on_path:
            found.append(on_path)
    return found or [sys.executable]


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "provlight.zip"
    assert bundle.main([str(path)]) == 0
    return path


def test_it_is_small_and_always_the_same(zipped: Path) -> None:
    assert zipped.stat().st_size < 400_000
    assert bundle.build() == zipped.read_bytes()
    names = set(zipfile.ZipFile(zipped).namelist())
    assert {"provlight/__init__.py", "provlight/LICENSE", "provlight/vendor/msgpack/fallback.py"} <= names
    assert {name.split("/")[0] for name in names} == {"provlight"}


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_it_can_go_down_a_pipe(zipped: Path, out: str) -> None:
    """Never by renaming something over /dev/stdout."""
    done = subprocess.run([sys.executable, "-m", "provlight.bundle", out], capture_output=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, zipped.read_bytes())
    assert os.path.islink("/dev/stdout")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        bundle.write(str(tmp_path / "folder"), b"zip")
    assert os.listdir(tmp_path) == ["folder"]


def test_wrong_calls_are_sentences(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        bundle.main([])
    assert bundle.main([str(tmp_path / "absent" / "x.zip")]) == 1
    assert "the bundle cannot be made" in capsys.readouterr().err


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import datetime
import provlight
from provlight import Data, Task, Workflow
assert provlight.__file__.startswith(sys.argv[1]), provlight.__file__
values = {"float": 0.5, "int": 1 << 70, "text": "\\u00e9", "none": None, "nan": float("nan"), "bytes": b"x"}
with Workflow("w") as workflow:
    for number in range(100):
        with Task(number, workflow, "t").begin(Data("s", "w", [], values)) as task:
            task.generated(Data("o", "w", [], {"x": [number, number / 7]}))
assert provlight.flush(20), provlight.stats()
assert "provlight.vendor.msgpack" in sys.modules
"""


@pytest.mark.broker
@pytest.mark.parametrize("python", interpreters())
def test_it_publishes_without_anything_else(zipped: Path, broker: Broker, translator: Translator, python: str) -> None:
    environment = {key: value for key, value in broker.environment().items() if key not in ("PYTHONPATH", "MAKEFLAGS")}
    done = subprocess.run(
        # Without site packages, variables of Python and the current folder: only the zip is there.
        [python, "-S", "-E", "-c", PROGRAM, str(zipped)],
        env={**environment, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    records = translator.records()
    assert len(records) == 202
    assert records[1].sets[0][1][1] == 1 << 70
    assert records[-2].sets[0][1] == [99, 99 / 7]
