"""Which files a command reads, and what it says when they are not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from config_cases import TUTORIAL, MakeScenario

from e2c.config.load import NEEDS, examine_scenario, read_scenario
from e2c.config.problems import ProblemsError
from e2c.errors import E2CError, ScenarioError


def test_the_models_of_the_tutorial(scenario: MakeScenario) -> None:
    folder = scenario()

    read = read_scenario(folder, folder / "artifacts", need="deploy", app_conf=("small",))

    assert read.warnings == ()
    assert read.layers_services is not None
    assert list(read.layers_services.environment.testbeds) == ["g5k", "iotlab"]
    assert read.layers_services.environment.default == "g5k"
    assert read.layers_services.provenance is not None
    assert (read.layers_services.provenance.ipv, read.layers_services.provenance.parallelism) == (6, 2)
    assert read.network is not None
    assert read.network.networks is not None
    assert read.network.networks[0].delay == 28.0
    assert read.workflow is not None
    assert [play.hosts for play in read.workflow.plays] == ["cloud.*", "edge.*"]
    assert read.workflow_env is not None
    assert read.workflow_env.configurations["large"] == {"epochs": 10, "lr": 0.01, "name": "large-run"}


@pytest.mark.parametrize("command", NEEDS)
def test_each_command_reads_what_it_needs(command: str, scenario: MakeScenario) -> None:
    read = read_scenario(scenario(), need=command)

    assert {name for name in ("layers_services", "network", "workflow", "workflow_env") if getattr(read, name)} == set(
        NEEDS[command]
    )


def test_files_that_are_not_needed_may_be_broken(scenario: MakeScenario) -> None:
    folder = scenario(network="networks: [", workflow="")

    assert read_scenario(folder, need="layers-services").network is None
    with pytest.raises(ProblemsError) as refused:
        read_scenario(folder, need="network")
    assert [problem.code for problem in refused.value.problems] == ["yaml-syntax"]


def test_suffix_yml(scenario: MakeScenario) -> None:
    folder = scenario()
    (folder / "network.yaml").rename(folder / "network.yml")

    assert read_scenario(folder).network is not None
    (folder / "network.yaml").touch()
    with pytest.raises(ProblemsError, match=r"both network\.yaml and network\.yml exist"):
        read_scenario(folder)


def test_a_missing_file_says_what_to_do(scenario: MakeScenario) -> None:
    folder = scenario()
    (folder / "network.yaml").rename(folder / "networks.yaml")

    with pytest.raises(ProblemsError) as refused:
        read_scenario(folder)

    assert str(refused.value) == f"{folder}/network.yaml: error: the file does not exist. Rename networks.yaml."


def test_an_empty_file_is_only_to_be_removed_where_the_command_can_do_without_it(scenario: MakeScenario) -> None:
    folder = scenario()
    for name in ("network", "workflow", "workflow_env"):
        (folder / f"{name}.yaml").write_text("")

    _, problems = examine_scenario(folder, need="deploy", app_conf=("small",))

    assert {problem.file.rpartition("/")[2]: "remove it" in problem.hint for problem in problems} == {
        "network.yaml": False,
        "workflow.yaml": False,
        "workflow_env.yaml": True,
    }


def test_folders_that_are_not_there(tmp_path: Path, scenario: MakeScenario) -> None:
    with pytest.raises(ScenarioError, match="does not exist"):
        read_scenario(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(ScenarioError, match="is not a folder"):
        read_scenario(tmp_path / "file")
    with pytest.raises(ProblemsError, match="the artifacts folder does not exist"):
        read_scenario(scenario(), tmp_path / "nothing")


def test_configurations_must_exist(scenario: MakeScenario) -> None:
    folder = scenario()

    with pytest.raises(ProblemsError, match=r"no configuration named 'smal'.*Did you mean 'small'"):
        read_scenario(folder, app_conf=("small", "smal"))
    (folder / "workflow_env.yaml").unlink()
    with pytest.raises(ProblemsError, match=r"workflow_env\.yaml: error: the file does not exist"):
        read_scenario(folder, app_conf=("small",))


def test_links_out_of_the_artifacts_folder_are_refused(scenario: MakeScenario) -> None:
    folder = scenario()
    specification = folder / "artifacts" / "my-dataflow-specification.py"
    specification.unlink()
    specification.symlink_to("/etc/passwd")

    with pytest.raises(ProblemsError, match="lies outside the artifacts folder"):
        read_scenario(folder, folder / "artifacts")


def test_an_artifacts_folder_behind_a_link_is_fine(scenario: MakeScenario) -> None:
    folder = scenario()
    (folder / "link").symlink_to(folder / "artifacts")

    assert read_scenario(folder, folder / "link").warnings == ()


def test_warnings_come_with_the_scenario(scenario: MakeScenario) -> None:
    folder = scenario(network="networks:\n- {src: cloud, dst: edge, delay: '5'}\n")

    read = read_scenario(folder)

    assert [problem.code for problem in read.warnings] == ["rule-incomplete", "unit-missing"]


def test_the_error_holds_every_problem_and_is_one_of_ours(scenario: MakeScenario) -> None:
    folder = scenario(network="networks:\n- {src: cloud, dst: edge, delay: '5x', rate: 1}\n")

    with pytest.raises(E2CError) as refused:
        read_scenario(folder)

    error = refused.value
    assert isinstance(error, ProblemsError)
    assert error.what == "2 problems in the scenario"
    assert error.exit_code == 1
    assert [problem.column for problem in error.problems] == [34, 46]
    assert str(error).splitlines()[0] == error.problems[0].sentence()
    assert str(error).splitlines()[2] == "    " + " " * 33 + "^"


def test_problems_keep_the_order_of_files_and_lines(scenario: MakeScenario) -> None:
    folder = scenario(
        network="networks: 3\n", layers_services=(TUTORIAL / "layers_services.yaml").read_text().replace(": 1", ": -1")
    )

    _, problems = examine_scenario(folder)

    places = [(Path(problem.file).name, problem.line) for problem in problems]
    assert places == sorted(places)
    assert len(places) == 3


def test_import_needs_neither_ansible_nor_enoslib_nor_jinja() -> None:
    heavy = ("ansible", "enoslib", "jinja2")
    code = f"import sys, e2c.config.load, e2c.plan.build; print([name for name in {heavy} if name in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
