"""Services deployed by plugins, in the life of an experiment: the one of the documentation, and what goes wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2c import plugins
from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError
from e2c.experiment import check

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "services.md"
GRID = Path(__file__).parents[1] / "services" / "e2clab_plugins" / "Grid.py"
E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
OWN = "from e2c.services.base import Service\nclass Own(Service):\n    def deploy(self): ...\n"
LAYERS = "environment:\n  local: {{}}\nlayers:\n  - name: cloud\n    services:\n      - {{name: {}}}\n"


def blocks(language: str) -> list[str]:
    """The blocks of that language on the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    told = [*E2CLAB, *map(str, arguments)]
    return subprocess.run(told, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def possible() -> None:
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))


def write(folder: Path, layers: str, workflow: str = "") -> Path:
    (folder / "services").mkdir(parents=True)
    (folder / "artifacts").mkdir()
    (folder / "layers_services.yaml").write_text(layers)
    (folder / "network.yaml").write_text("networks: []\n")
    if workflow:
        (folder / "workflow.yaml").write_text(workflow)
    return folder


@pytest.fixture(scope="module")
def life(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, str]]:
    """The scenario of the page with a plugin of E2Clab beside, run once: its folder, output folder, what was told."""
    layers, workflow = (yaml.safe_load(text) for text in blocks("yaml"))
    layers["layers"][0]["services"].append({"name": "Grid", "quantity": 2, "env": {"SLOTS": 4}})
    play = {
        "hosts": "cloud.grid.2.worker.*",
        "depends_on": [{"service_selector": "cloud.grid.2.manager.1", "grouping": "round_robin", "prefix": "manager"}],
        "launch": [{"shell": "echo {{ _self.slots + 1 }} {{ _self.url }} {{ manager.url }} {{ manager.token }}"}],
    }
    scenario = write(
        tmp_path_factory.mktemp("life") / "scenario",
        yaml.safe_dump(layers, sort_keys=False),
        yaml.safe_dump([*workflow, play]),
    )
    (scenario / "services" / "mirrors.py").write_text(blocks("python")[0])
    (scenario / "services" / "Grid.py").write_text(GRID.read_text())
    try:
        done = run("deploy", scenario, scenario / "artifacts")
        assert done.returncode == 0, done.stderr
        yield scenario, Path(done.stdout.strip()), done.stderr
    finally:
        freed = run("destroy", scenario)
        assert freed.returncode == 0, freed.stderr


def printed(output: Path) -> dict[str, str]:
    """What the workflow's tasks printed, by host."""
    documents = yaml.safe_load_all((output / "workflow-validate.out").read_text())
    return {one["host"]: one["stdout"] for document in documents for one in document["RETURN"]}


@pytest.mark.netns
def test_plays_know_what_plugins_registered(life: tuple[Path, Path, str]) -> None:
    _, output, _ = life
    said = printed(output)
    hosts = {host["key"]: host["addresses"]["v4"] for host in json.loads((output / "state.json").read_text())["hosts"]}
    assert said["edge.reader.1.1"] == "hello"
    assert said["cloud.mirrors.1.2"] == "mirror 1 has hello"
    assert said["cloud.mirrors.1.3"] == "mirror 2 has hello"
    worker, manager = hosts["cloud.grid.2.2"], hosts["cloud.grid.2.1"]
    assert said["cloud.grid.2.2"] == f"5 {worker}:6121 {manager}:8081 secret"
    assert set(said) == {"edge.reader.1.1", "cloud.mirrors.1.2", "cloud.mirrors.1.3", "cloud.grid.2.2"}


@pytest.mark.netns
def test_what_was_registered_is_written_down(life: tuple[Path, Path, str]) -> None:
    scenario, output, told = life
    written = (output / "layers_services-validate.yaml").read_text()
    layers = {name: [next(iter(entry)) for entry in entries] for name, entries in yaml.safe_load(written).items()}
    assert layers["cloud"][5:] == [
        "cloud.mirrors.1.source.1",
        "cloud.mirrors.1.mirror.1",
        "cloud.mirrors.1.mirror.2",
        "cloud.grid.2.manager.1",
        "cloud.grid.2.worker.1",
    ]
    assert "# cloud.mirrors.1.source.1 on cloud.mirrors.1.1, port 8000: plugin Mirrors\n" in written
    assert re.search(r"cloud\.mirrors\.1: plugin Mirrors.*\n(.*\n)*.*cloud\.grid\.2: plugin Grid", told), (
        "in file order"
    )
    assert "cloud.Grid.2: 2 hosts" in told
    inputs = json.loads((output / "manifest.json").read_text())["inputs"]
    assert {"services/mirrors.py", "services/Grid.py"} <= set(inputs)
    assert (output / "services-data/cloud.mirrors.1/cloud.mirrors.1.1/files.log").read_text().count(
        "GET /greeting"
    ) == 3
    chosen = run("exec", scenario, "cloud.mirrors.1.mirror.2", "cat /srv/mirror/greeting")
    assert "hello" in chosen.stdout, chosen.stderr


@pytest.mark.netns
def test_services_are_asked_how_they_are(life: tuple[Path, Path, str]) -> None:
    scenario, _, _ = life

    def health() -> dict[str, Any]:
        parts = json.loads(run("inspect", scenario, "--format", "json").stdout)
        return {service["name"]: service for service in parts["services"]}

    asked = health()
    assert asked["Mirrors"]["health"] == asked["Grid"]["health"] == {"healthy": True}
    assert asked["Mirrors"]["hosts"] == [f"cloud.mirrors.1.{number}" for number in (1, 2, 3)]
    assert asked["Mirrors"]["endpoints"]["cloud.mirrors.1.source.1"].endswith(":8000")
    run("exec", scenario, "cloud.mirrors.1.1", "rm /srv/files/greeting")
    assert "does not answer cloud.mirrors.1.1, cloud" in health()["Mirrors"]["health"]["reason"]


@pytest.mark.netns
def test_files_taken_up_again_know_the_names_too(life: tuple[Path, Path, str]) -> None:
    scenario, output, _ = life
    text = (scenario / "workflow.yaml").read_text()
    play = "- hosts: cloud.mirrors.1.source.1\n  launch: [{shell: echo again}]\n"
    (scenario / "workflow.yaml").write_text(play)
    try:
        done = run("workflow", scenario, "launch")
        assert done.returncode == 0, done.stderr
        assert printed(output)["cloud.mirrors.1.1"] == "again"
        (scenario / "workflow.yaml").write_text(play.replace("source.1", "source.2"))
        refused = run("workflow", scenario, "launch")
        assert refused.returncode == 1
        assert "no host matches 'cloud.mirrors.1.source.2'. Did you mean 'cloud.mirrors.1.source.1'?" in refused.stderr
    finally:
        (scenario / "workflow.yaml").write_text(text)


@pytest.mark.netns
def test_a_service_that_cannot_be_deployed_fails_the_command(possible: None, tmp_path: Path) -> None:
    scenario = write(tmp_path / "scenario", LAYERS.format("Own"))
    code = OWN.replace(" ...", "\n        self.run('exit 9')")
    (scenario / "services" / "own.py").write_text(code)
    failed = run("layers-services", scenario, scenario / "artifacts")
    assert failed.returncode == 1
    assert f"{scenario}/services/own.py:4: service cloud.own.1 could not be deployed: " in failed.stderr
    assert "cloud.own.1.1: exit code 9" in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    assert json.loads(next(scenario.glob("*/state.json")).read_text())["released"] is True
    # what cannot even be loaded is refused before there are hosts
    (scenario / "services" / "own.py").write_text(f"import no_such_module\n{code}")
    refused = run("layers-services", scenario, scenario / "artifacts")
    assert refused.returncode == 1
    assert "own.py:1: service cloud.own.1 cannot be loaded: ModuleNotFoundError" in refused.stderr
    assert len(list(scenario.glob("*/state.json"))) == 1


def problems(folder: Path) -> list[str]:
    found = check.examine(folder, None, "layers-services").problems
    return [problem.sentence().replace(f"{folder}/", "") for problem in found]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a scenario of a user who has no plugins."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield tmp_path / "scenario"
    plugins.look_in(tmp_path)


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("Own", OWN, []),
        ("Other", OWN, []),
        (
            "own",
            OWN,
            ["warning: no plugin is called 'own', so nothing is deployed for this service. Did you mean 'Own'?"],
        ),
        ("Default", OWN, []),
        ("Own", OWN + OWN, ["error: two plugins claim the service 'Own'"]),
        ("own", "class Own(:\n", ["error: services/own.py:1 is no plugin of service 'own': invalid syntax"]),
        (
            "own",
            "x = 1\n",
            ["warning: services/own.py:1 is no plugin of service 'own': no class in it is derived from"],
        ),
        ("Other", "x = 1\n", []),
        ("Other", "class Own(:\n", ["services/own.py:1:1: warning: it defines no service: "]),
        ("Other", "raise SystemExit\n" + OWN, []),
    ],
)
def test_plugins_are_checked_without_running_them(alone: Path, name: str, code: str, told: list[str]) -> None:
    scenario = write(alone, LAYERS.format(name))
    (scenario / "services" / "own.py").write_text(code)
    found = problems(scenario)
    assert len(found) == len(told)
    assert all(text in problem for text, problem in zip(told, found, strict=True)), found


def test_a_part_that_no_plugin_names_is_no_name(alone: Path) -> None:
    layers, workflow = blocks("yaml")
    scenario = write(alone, layers, workflow)
    (scenario / "services" / "mirrors.py").write_text(blocks("python")[0])
    assert [one.sentence() for one in check.examine(scenario, None, "deploy").problems] == []
    (scenario / "workflow.yaml").write_text(workflow.replace("mirrors.1.source", "mirrors.1.sorce"))
    (problem,) = check.examine(scenario, None, "deploy").problems
    assert "no host matches 'cloud.mirrors.1.sorce.*'" in problem.sentence()


def test_a_scenario_without_plugins_loads_no_more_than_before(alone: Path) -> None:
    scenario = write(alone, LAYERS.format("Sensor"))
    code = (
        "import sys; from pathlib import Path; from e2c.experiment import check;"
        f"assert not check.examine(Path({str(scenario)!r}), None, 'layers-services').problems;"
        "print([name for name in ('enoslib', 'ansible', 'e2c.services.adapter') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "[]"
