"""Testbeds that others wrote: the one of the documentation on real hosts, and all sorts of wrong ones."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from static_machines import Machines

from e2c import plugins
from e2c.environments import own
from e2c.environments.base import Watch
from e2c.experiment import check
from e2c.model.plan import PlannedHost

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "own-testbed.md"
E2CLAB = [sys.executable, "-c", "from e2c.cli.app import main; main()"]
MakeScenario = Callable[..., Path]


def example(language: str) -> str:
    """The first block of that language on the page."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[MakeScenario]:
    """A scenario whose testbed is the given code; or the one of the page."""

    def make(code: str | None = None, keys: str = "list: /no/list\n    keyfile: /no/key", quantity: int = 1) -> Path:
        folder = tmp_path / "scenario"
        (folder / "environments").mkdir(parents=True, exist_ok=True)
        (folder / "environments" / "shelf.py").write_text(example("python") if code is None else code)
        (folder / "layers_services.yaml").write_text(
            f"environment:\n  shelf:\n    {keys}\nlayers:\n  - name: edge\n    services:\n"
            f"      - {{name: Sensor, quantity: {quantity}, environment: shelf}}\n"
        )
        return folder

    yield make
    plugins.look_in(tmp_path)


def problems(folder: Path, testbed: str | None = None) -> list[str]:
    found = check.examine(folder, None, "layers-services", testbed=testbed)
    return [problem.sentence().replace(f"{folder}/", "") for problem in found.problems]


def test_the_example_is_small_and_its_yaml_is_read(scenario: MakeScenario) -> None:
    code = example("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    folder = scenario()
    (folder / "layers_services.yaml").write_text(example("yaml"))
    assert problems(folder) == []


@pytest.mark.netns
def test_the_example_hands_out_real_hosts(
    possible: None, scenario: MakeScenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    machines = Machines(tmp_path, 3)
    try:
        (tmp_path / "list").write_text("\n".join(host.address for host in machines.there))
        keys = f"list: {tmp_path / 'list'}\n    keyfile: {machines.there[0].keyfile}"
        folder = scenario(keys=keys, quantity=2)
        (folder / "artifacts").mkdir()

        def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
            told = [*E2CLAB, *map(str, arguments)]
            return subprocess.run(told, capture_output=True, text=True, timeout=200, check=False)

        done = run("layers-services", folder, folder / "artifacts")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "taking 2 of 3 machines" in done.stdout + done.stderr
        state = next(folder.glob("*/state.json")).read_text()
        assert machines.there[1].address in state
        assert machines.there[2].address not in state
        assert run("inspect", folder).returncode == 0
        freed = run("destroy", folder)
        assert freed.returncode == 0, freed.stdout + freed.stderr
        few = scenario(keys=keys, quantity=4)
        refused = run("layers-services", few, few / "artifacts")
        assert refused.returncode == 1
        assert "the shelf has 3 machines, but 4 are asked for" in refused.stderr
        assert "Traceback" not in refused.stdout + refused.stderr
    finally:
        machines.down()


def test_keys_are_checked_by_its_model_with_their_place(scenario: MakeScenario) -> None:
    assert problems(scenario(keys="list: 3\n    keyfile: /k\n    colour: red")) == [
        "layers_services.yaml:3:11: error: shelf: list: input should be a valid string.",
        "layers_services.yaml:5:13: error: shelf: colour: extra inputs are not permitted.",
    ]
    assert problems(scenario(keys="list: /l")) == ["layers_services.yaml:3:5: error: shelf: keyfile: field required."]


def test_a_rehearsal_runs_none_of_its_code(scenario: MakeScenario) -> None:
    code = example("python").replace('    name = "shelf"', '    name = "shelf"\n    oops = 1 / 0')
    assert problems(scenario(code), testbed="local") == []


def test_unknown_testbeds_are_refused_as_before(scenario: MakeScenario) -> None:
    folder = scenario("class Shelf:\n    name = 'shell'\n    def acquire(self): ...\n")
    declared, used = problems(folder)
    assert declared.startswith("layers_services.yaml:2:3: error: the key 'shelf' is not known in environment.")
    assert "environment must be g5k, iotlab, chameleoncloud" in used


BASE = "from e2c.environments.own import OwnTestbed\nclass Shelf(OwnTestbed):\n    name = 'shelf'\n"
ACQUIRE = "    def acquire(self, claim, hosts, watch):\n"


FAILED = "the code of this testbed failed"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (f"import nothing_like_it\n{BASE}{ACQUIRE}        ...\n", f"shelf.py:1: {FAILED}: ModuleNotFoundError"),
        (f"{BASE}    x = 1 / 0\n{ACQUIRE}        ...\n", f"shelf.py:4: {FAILED}: ZeroDivisionError"),
        (f"raise SystemExit(3)\n{BASE}{ACQUIRE}        ...\n", f"shelf.py:1: {FAILED}: SystemExit: 3"),
        (
            f"class Shelf:\n    name = 'shelf'\n{ACQUIRE}        ...\n",
            "shelf.py:1: the class Shelf has no method check",
        ),
        (f"{BASE}    def __init__(self, x): ...\n{ACQUIRE}        ...\n", f"{FAILED}: TypeError"),
    ],
    ids=["import", "class body", "exit", "methods", "constructor"],
)
def test_code_that_cannot_be_loaded_is_told_with_its_place(scenario: MakeScenario, code: str, told: str) -> None:
    (problem,) = problems(scenario(code))
    assert problem.startswith("layers_services.yaml:2:3: error: shelf cannot be used: ")
    assert told in problem


def test_a_file_that_python_cannot_read_is_warned_of(scenario: MakeScenario) -> None:
    found = problems(scenario("class Shelf(:\n    pass\n"))
    assert "'shelf' is not known in environment" in found[0]
    assert found[-1].startswith("environments/shelf.py:1:1: warning: it defines no testbed: ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("        return hosts[7]\n", "environments/shelf.py:5: the code of this testbed failed: IndexError"),
        ("        return hosts\n", "environments/shelf.py:4: acquire returned list where Acquisition is expected"),
        (
            "        from e2c.environments.base import Acquisition\n        return Acquisition()\n",
            "environments/shelf.py:4: acquire gave no machine for edge.sensor.1.1",
        ),
    ],
)
def test_code_that_fails_at_work_is_told_with_its_place(scenario: MakeScenario, body: str, told: str) -> None:
    folder = scenario(f"{BASE}{ACQUIRE}{body}")
    plugins.look_in(folder)
    made = own.provider("shelf")
    claim = made.claim(experiment="x", scenario=str(folder), job_name="job", walltime_s=60, settings={})
    assert claim.job_name.startswith("job-")
    wanted = [PlannedHost(key="edge.sensor.1.1", layer="edge", service="Sensor", testbed="shelf", provider="shelf")]
    with pytest.raises(plugins.PluginError) as caught:
        made.acquire(claim, wanted, Watch(lambda _: None))
    assert str(caught.value).startswith(f"{folder}/{told}")
    assert made.release(claim, lambda _: None) == []
    assert (made.name, made.reserves, made.find(str(folder)), made.reservations(claim)) == ("shelf", False, [], [])


def test_ours_stay_as_they_are_and_two_of_one_name_are_refused(scenario: MakeScenario) -> None:
    folder = scenario()
    (folder / "environments" / "again.py").write_text(example("python"))
    plugins.look_in(folder)
    assert "shelf" in plugins.names(plugins.ENVIRONMENTS)
    with pytest.raises(plugins.UnknownPluginError, match="two plugins claim the name 'shelf'"):
        own.provider("shelf")
    assert type(own.provider("local")).__name__ == "LocalProvider"
    plugins.look_in(folder / "elsewhere")
    assert "shelf" not in plugins.names(plugins.ENVIRONMENTS)
