"""Plugins are found by reading files: in the scenario, in the user's folder, installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2c import plugins
from e2c.services import finding, reading

OURS = "from e2c.services.base import Service\n\n\nclass {name}(Service):\n    def deploy(self): ...\n"


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A scenario, and a user without plugins."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "data" / "e2c" / "services").mkdir(parents=True)
    (tmp_path / "scenario" / "services").mkdir(parents=True)
    plugins.look_in(tmp_path / "scenario")
    yield tmp_path / "scenario"
    plugins.look_in(tmp_path / "elsewhere")


def defined(folder: Path, code: str) -> dict[str, reading.Definition]:
    path = folder / "file.py"
    path.write_text(code)
    definitions, wrong = reading.read(path)
    assert wrong is None
    return {one.name: one for one in definitions}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (OURS.format(name="A"), ["A"]),
        ("from e2clab import Service as Base\nclass A(Base):\n    def deploy(self): ...\n", ["A"]),
        ("import e2clab\nclass A(e2clab.Service):\n    def deploy(self): ...\n", ["A"]),
        ("from e2clab.services.service import Service\nclass A(Service):\n    def deploy(self): ...\n", ["A"]),
        ("from e2clab.services.plugins.Default import Default\nclass A(Default):\n    def deploy(self): ...\n", ["A"]),
        (OURS.format(name="A") + "class B(A):\n    def check(self): ...\n", ["A", "B"]),
        (OURS.format(name="_A") + "class B(_A): ...\n", ["B"]),
        (OURS.format(name="A").replace("deploy", "check"), []),
        ("class Service: ...\nclass A(Service):\n    def deploy(self): ...\n", []),
        ("from elsewhere import Service\nclass A(Service):\n    def deploy(self): ...\n", []),
        ("from e2clabx import Service\nclass A(Service):\n    def deploy(self): ...\n", []),
        (OURS.format(name="A") + "    name = 'key store'\n", ["key store"]),
    ],
)
def test_classes_that_deploy_services(tmp_path: Path, code: str, names: list[str]) -> None:
    assert list(defined(tmp_path, code)) == names


def test_reading_runs_nothing(tmp_path: Path) -> None:
    assert list(defined(tmp_path, f"raise SystemExit\nimport no_such_module\n{OURS.format(name='A')}")) == ["A"]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (
            "self.register_service(sub_service='master'); self.register_service(None, None, 80, 'worker')",
            ["master", "worker"],
        ),
        ("self.register_service(); self.other(sub_service='no')", []),
        ("for part in ('left', 'right'):\n            self.register_service(sub_service=part)", ["left", "right"]),
        ("'''Any text.'''\n        self.register_service(sub_service=self.env['PART'])", ["PART"]),
    ],
)
def test_sub_services_that_the_text_tells(tmp_path: Path, body: str, parts: list[str]) -> None:
    code = f"from e2clab import Service\nclass A(Service):\n    def deploy(self):\n        {body}\n"
    assert list(defined(tmp_path, code)["A"].sub_services) == parts


def test_declared_sub_services_are_taken_as_they_are(tmp_path: Path) -> None:
    code = OURS.format(name="A") + "    sub_services = ('one', 'two')\n"
    code += "    def more(self): self.register_service(sub_service='three')\n"
    assert defined(tmp_path, code)["A"].sub_services == ("one", "two")


def test_metadata_that_the_text_asks_for_and_hooks(tmp_path: Path) -> None:
    code = OURS.format(name="A").replace("    def deploy(self): ...", '    """Doc.\n\n    More."""\n') + (
        "    def deploy(self):\n"
        "        self.env['PORT'], self.env.get('HOST', 'x'), self.service_metadata['image'], self.env[self.x]\n"
        "    def backup(self, folder): ...\n"
    )
    found = defined(tmp_path, code)["A"]
    assert found.keys == ("env.HOST", "env.PORT", "image")
    assert found.hooks == ("deploy", "backup")
    assert found.doc == "Doc.\n\nMore."
    assert not found.e2clab
    assert defined(tmp_path, "def f():\n    from e2clab import log\n" + code)["A"].e2clab


def test_the_scenario_comes_before_the_user_and_both_before_what_is_installed(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "our_lab-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-lab\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[e2c.services]\nA = our_lab_services:A\nB = our_lab_services:B\n")
    code = (
        OURS.format(name="A") + "    def check(self): return 'installed'\n" + "class B(A):\n    sub_services = ('x',)\n"
    )
    (tmp_path / "site" / "our_lab_services.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def origins() -> dict[str, str]:
        return {one.name: one.origin for one in finding.available() if not one.hidden}

    assert origins() == {"A": "installed", "B": "installed", "Default": "built in"}
    installed = finding.find("B")
    assert installed is not None
    assert installed.sub_services == ("x",)
    assert "our_lab_services" not in sys.modules, "it is read, not run"
    assert finding.load(installed).__name__ == "B"
    del sys.modules["our_lab_services"]

    (finding.folder() / "mine.py").write_text(OURS.format(name="A"))
    assert origins() == {"A": "user", "B": "installed", "Default": "built in"}
    (scenario / "services" / "own.py").write_text(OURS.format(name="A"))
    assert origins() == {"A": "scenario", "B": "installed", "Default": "built in"}
    assert [one.origin for one in finding.available() if one.hidden] == ["user", "installed"]

    (scenario / "services" / "twin.py").write_text(OURS.format(name="A"))
    with pytest.raises(plugins.PluginError, match=r"two plugins claim the service 'A'.*own\.py.*twin\.py"):
        finding.find("A")


def test_files_that_define_nothing_are_told(scenario: Path) -> None:
    (scenario / "services" / "a.py").write_text("class A(:\n")
    (scenario / "services" / "b.py").write_text("import this_is_not_run\n")
    (scenario / "services" / "c.py").symlink_to(scenario / "gone.py")
    (scenario / "services" / "notes.txt").write_text("class A(:\n")
    told = {one.path.name: (one.line, one.reason) for one in finding.broken()}
    assert told["a.py"][0] == 1
    assert told["b.py"] == (1, "no class in it is derived from Service and has deploy")
    assert told["c.py"] == (1, "No such file or directory")
    assert len(told) == 3
    assert [one.name for one in finding.available()] == ["Default"]


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_the_users_folder_without_a_usable_variable(
    value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert finding.folder() == tmp_path / ".local" / "share" / "e2c" / "services"
