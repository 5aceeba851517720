"""Keys of services that their plugins declare: what is wrong is told at its place, and nothing of a plugin is run."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2c import plugins
from e2c.config.problems import Problem
from e2c.errors import ServiceError
from e2c.experiment.check import examine
from e2c.services import finding
from e2c.services.declaring import settled

PLUGIN = """
from e2c.services.base import Field, Service
raise SystemExit("nobody runs this")

class _Base(Service):
    class Env:
        PORT: int = Field(8080, ge=1, le=65535, description="where it listens")

class Store(_Base):
    class Env:
        MODE: Literal["fast", "slow"] = "fast"
        SHARES: list[float] = []
        LABELS: dict[str, int] = {}
        LIMIT: "float | None" = None
        TAG: Annotated[str, Field(pattern="v[0-9]+$")] = "v1"
        WORD: str

    class Keys:
        release: str = "1"

    def deploy(self): ...
"""


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "services").mkdir()
    (tmp_path / "network.yaml").write_text("networks: []\n")
    (tmp_path / "workflow.yaml").write_text("- hosts: cloud.*\n  launch: [{shell: date}]\n")
    (tmp_path / "services" / "store.py").write_text(PLUGIN)
    plugins.look_in(tmp_path)
    yield tmp_path / "services"
    plugins.look_in(tmp_path / "elsewhere")


def problems(services: Path, service: str) -> list[Problem]:
    text = "environment: {local: {}}\nlayers:\n- name: cloud\n  services:\n" + textwrap.indent(service, "  ")
    (services.parent / "layers_services.yaml").write_text(text)
    return [one for one in examine(services.parent, None, "deploy").problems if one.severity == "error"]


@pytest.mark.parametrize(
    ("service", "line", "column", "text"),
    [
        ("- {name: Store, env: {WORD: a, PROT: 1}}", 5, 34, "'PROT' is not known in env. Did you mean 'PORT'?"),
        ("- {name: Store, env: {WORD: a, PORT: 0}}", 5, 40, "PORT must be at least 1, not 0."),
        ('- {name: Store, env: {WORD: a, PORT: "80"}}', 5, 40, "PORT must be a whole number, not '80'. Write it with"),
        ("- {name: Store, env: {WORD: 3}}", 5, 31, "WORD must be text, not 3. Write it in quotes"),
        ("- {name: Store, env: {WORD: }}", 5, 31, "WORD has no value"),
        (
            "- {name: Store, env: {WORD: a, MODE: fats}}",
            5,
            40,
            "must be fast or slow, not 'fats'. Did you mean 'fast'?",
        ),
        ("- {name: Store, env: {WORD: a, SHARES: [1, x]}}", 5, 46, "entry 2 of SHARES must be a number, not 'x'."),
        ("- {name: Store, env: {WORD: a, LABELS: {b: c}}}", 5, 46, "b must be a whole number, not 'c'."),
        ("- {name: Store, env: {WORD: a, TAG: w}}", 5, 39, "TAG must match v[0-9]+$, not 'w'."),
        ("- {name: Store, env: {PORT: 1}}", 5, 25, "the key 'WORD' is missing in env."),
        ("- name: Store", 5, 5, "the key 'WORD' is missing in env."),
        (
            "- {name: Store, env: {WORD: a}, relase: b}",
            5,
            35,
            "'relase' is not known in Store. Did you mean 'release'?",
        ),
        ("- {name: Other}\n- {name: Store, env: {WORD: a}, release: 2}", 6, 44, "release must be text, not 2."),
    ],
)
def test_a_wrong_key_is_told_at_its_place(services: Path, service: str, line: int, column: int, text: str) -> None:
    (problem,) = problems(services, service)
    assert (problem.line, problem.column) == (line, column), problem.sentence()
    assert text in problem.sentence()
    assert problem.path.startswith("layers[0].services["), problem.path


def test_what_is_declared_is_filled_in(services: Path) -> None:
    given = "- {name: Store, quantity: 2, roles: [a], env: {WORD: a, LIMIT: 3, SHARES: [1]}}"
    assert problems(services, given) == []
    found = finding.find("Store")
    assert found is not None
    assert found.definition is not None
    declared = found.definition.declared
    assert declared is not None
    metadata: dict[str, Any] = {"name": "Store", "env": {"WORD": "a", "LIMIT": 3}}
    filled = {"WORD": "a", "LIMIT": 3, "PORT": 8080, "MODE": "fast", "SHARES": [], "LABELS": {}, "TAG": "v1"}
    assert settled(declared, metadata, "x") == {"name": "Store", "env": filled, "release": "1"}
    with pytest.raises(ServiceError, match=r"service x has a value that its plugin does not take: env\.PORT"):
        settled(declared, {"env": {"WORD": "a", "PORT": 0}}, "x")


def test_a_plugin_that_declares_nothing_takes_everything(services: Path) -> None:
    file = services / "store.py"
    file.write_text("from e2clab import Service\nclass Store(Service):\n    def deploy(self): self.env['X']\n")
    assert problems(services, "- {name: Store, anything: [1], env: {X: 1, Y: {}}}") == []
    # of one that declares keys of `env`, those of the service are free, and the other way round
    declared = "    class Env:\n        X: int\n"
    file.write_text(file.read_text() + declared)
    assert problems(services, "- {name: Store, anything: [1], env: {X: 1}}") == []
    assert len(problems(services, "- {name: Store, anything: [1], env: {X: 1, Y: 2}}")) == 1
    file.write_text(file.read_text().replace("Env", "Keys"))
    assert problems(services, "- {name: Store, X: 1, env: {Y: 2}}") == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("X: os.system('date')", "the type os.system('date') is not known here"),
        ("X: int = os.getpid()", "a default is a plain value, not os.getpid()"),
        ("X: int = 1 + n", "written out, not computed as 1 + n"),
        ("X: int = 'a'", "X: the default is none that it takes"),
        ("X: int = Field(1, alias='y')", "Field takes a default and ge"),
        ("X: str = Field('a', ge=1)", "X cannot be declared so"),
        ("X: str = Field('a', pattern='(')", "X cannot be declared so"),
        ("_X: int", "may not begin with an underscore"),
        ("X = 1", "declares keys as"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_told(services: Path, line: str, why: str) -> None:
    text = (
        f"from e2clab import Service\nclass Store(Service):\n    class Env:\n        {line}\n    def deploy(self): ..."
    )
    (services / "store.py").write_text(text)
    (problem,) = problems(services, "- name: Store")
    assert (problem.code, problem.line, problem.column) == ("service-plugin", 5, 11)
    assert f"{services / 'store.py'}:4 declares keys of 'Store' that cannot be read: " in problem.message
    assert why in problem.message
