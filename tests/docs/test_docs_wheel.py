"""What is built and installed holds everything that the sources hold, and runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building writes beside the sources
    for name in ("e2c", "provlight"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    unpacked = folder / "unpacked"
    zipfile.ZipFile(built).extractall(unpacked)
    return unpacked


def test_no_file_is_forgotten(wheel: Path) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for name in ("e2c", "provlight")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    built = {str(path.relative_to(wheel)) for path in wheel.rglob("*") if path.is_file()}
    assert ours - built == set()


def test_the_command_runs_from_what_was_built(wheel: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import e2c; from e2c.cli.app import main; print(e2c.__file__, flush=True); main()",
            "--help",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=wheel,
        env={**os.environ, "PYTHONPATH": str(wheel)},
    )
    assert str(wheel) in done.stdout
    assert "layers-services" in done.stdout
