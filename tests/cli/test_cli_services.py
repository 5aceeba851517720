"""``e2clab services``: plugins are shown, added and removed, and what is broken stays out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
OURS = '''\
from e2c.services.base import Service


class Store(Service):
    """Keeps things."""

    def deploy(self):
        self.register_service(service_port=self.env["PORT"], sub_service="main")

    def backup(self, folder): ...
'''
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The group of commands, with a folder of plugins of its own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        told = [*E2CLAB, "services", *map(str, arguments)]
        return subprocess.run(told, capture_output=True, text=True, timeout=120, check=False)

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where added plugins lie."""
    return tmp_path / "data" / "e2c" / "services"


def names(run: Run) -> list[str]:
    return [one["name"] for one in json.loads(run("list", "--format", "json").stdout)["plugins"]]


def test_the_way_of_a_plugin(run: Run, folder: Path, tmp_path: Path) -> None:
    assert names(run) == ["Default"]
    file = tmp_path / "store.py"
    file.write_text(OURS)
    added = run("add", file)
    assert added.stdout == f"{folder / 'store.py'}\n", added.stderr
    assert names(run) == ["Store", "Default"]
    assert str(folder / "store.py") in run("list").stdout
    shown = run("show", "Store").stdout
    assert shown == (
        f"Store (user, written for e2c)\n{folder / 'store.py'}:4\n\nKeeps things.\n\n"
        "hooks: deploy, backup\nsub-services: main\nmetadata it looks for: env.PORT\n"
    )
    parts = json.loads(run("show", "Store", "--format", "json").stdout)
    assert (parts["class"], parts["hooks"], parts["metadata"]) == ("Store", ["deploy", "backup"], ["env.PORT"])

    again = run("add", file)
    assert again.returncode == 1
    assert again.stderr == (
        f"e2clab: error: {folder / 'store.py'} exists already. Replace it with --force, or remove it first.\n"
    )
    other = tmp_path / "other.py"
    other.write_text(OURS)
    assert "a plugin 'Store' exists already in" in run("add", other).stderr
    assert run("add", "--force", "--link", file).returncode == 0
    assert (folder / "store.py").resolve() == file
    assert run("remove", "Store").stdout == f"{folder / 'store.py'}\n"
    assert file.exists(), "only the link is removed"
    assert list(folder.iterdir()) == []
    assert names(run) == ["Default"]


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("a.py", "class A(:\n", "a.py:1: cannot be read, so it was not added: invalid syntax."),
        ("a.py", "class A: ...\n", "a.py: defines no service plugin, so it was not added: no class in it is derived"),
        ("a.txt", OURS, "a.txt: defines no service plugin, so it was not added: it is no .py file"),
        ("a.py", f"import no_such\n{OURS}", "a.py:1: service Store cannot be loaded: ModuleNotFoundError: No module"),
        ("a.py", f"{OURS}raise SystemExit(3)\n", "a.py:11: service Store cannot be loaded: SystemExit: 3"),
        (
            "a.py",
            "import no_such\nfrom e2clab import Service\nclass Store(Service):\n    def deploy(self): ...\n",
            "a.py:1: service Store cannot be loaded: ModuleNotFoundError: No module named 'no_such'",
        ),
    ],
)
def test_what_is_broken_is_refused_before_it_is_added(
    run: Run, folder: Path, tmp_path: Path, name: str, code: str, told: str
) -> None:
    file = tmp_path / name
    file.write_text(code)
    refused = run("add", file)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"e2clab: error: {tmp_path / told}"), refused.stderr
    assert "Traceback" not in refused.stderr
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_plugin_of_e2clab_is_added_and_those_of_a_scenario_are_shown(run: Run, folder: Path, tmp_path: Path) -> None:
    file = Path(__file__).parents[1] / "services" / "e2clab_plugins" / "Grid.py"
    assert run("add", file).stdout == f"{folder / 'Grid.py'}\n"
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "own.py").write_text(OURS.replace("Store", "Grid"))
    (tmp_path / "services" / "bad.py").write_text("class A(:\n")
    listed = run("list", "--scenario", tmp_path)
    rows = [line.split()[:3] for line in listed.stdout.splitlines()[2:]]
    assert rows == [["Grid", "scenario", "e2c"], ["Grid", "hidden", "E2Clab"], ["Default", "built", "in"]]
    assert "services/bad.py:1: it defines no service: invalid syntax" in listed.stderr
    assert run("show", "Grid", "--scenario", tmp_path).stdout.startswith("Grid (scenario")


def test_keys_that_a_plugin_declares_are_shown_and_files_beside_it_stay_beside_it(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    declared = (
        "    class Env:\n        PORT: int = Field(80, ge=1, description='where it listens')\n        WORD: str\n"
    )
    code = f"from ._ports import USED\n{OURS}{declared}".replace("import Service", "import Field, Service")
    file = tmp_path / "store.py"
    file.write_text(code)
    (tmp_path / "_ports.py").write_text("USED = 1\n")
    refused = run("add", file)
    assert refused.returncode == 1
    assert "it needs _ports.py beside it, and one file is copied. Add it with --link" in refused.stderr
    assert run("add", "--link", file).returncode == 0
    shown = run("show", "Store").stdout
    assert "\n  env.PORT: int, >= 1, default 80: where it listens\n  env.WORD: str, required\n" in shown
    (told, word) = json.loads(run("show", "Store", "--format", "json").stdout)["declared"]
    assert told == {"key": "env.PORT", "type": "int", "required": False, "default": 80, **told}
    assert (word["required"], word["default"], told["ge"]) == (True, None, 1)
    file.write_text(code.replace("str\n", "Word\n"))
    assert "the type Word is not known here" in run("show", "Store").stdout


def test_what_cannot_be_removed(run: Run, folder: Path, tmp_path: Path) -> None:
    assert "Default is part of e2clab and cannot be removed" in run("remove", "Default").stderr
    unknown = run("remove", "Defautl")
    assert unknown.returncode == 1
    assert unknown.stderr == "e2clab: error: there is no service plugin 'Defautl'. Did you mean 'Default'?\n"
    assert run("show", "x").stderr == "e2clab: error: there is no service plugin 'x'. There are Default.\n"
    # what was put there by hand and is broken can be removed by the name of its file
    folder.mkdir(parents=True)
    (folder / "bad.py").write_text("class A(:\n")
    assert run("remove", "bad").stdout == f"{folder / 'bad.py'}\n"
