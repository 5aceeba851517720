"""``check-configuration`` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli_program import e2clab, on_terminal

TUTORIAL = Path(__file__).parents[1] / "cases" / "tutorial"
KEYS = ["file", "line", "column", "path", "severity", "code", "message", "hint"]


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    shutil.copytree(TUTORIAL, folder)
    (folder / "artifacts" / "user-application.py").touch()
    return folder


def edit(scenario: Path, name: str, old: str, new: str) -> None:
    path = scenario / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def check(scenario: Path, *options: str) -> tuple[int, str, str]:
    done = e2clab("check-configuration", scenario, scenario / "artifacts", *options)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["deploy", "layers-services", "network", "workflow", "finalize"])
def test_a_good_scenario_says_nothing(scenario: Path, command: str) -> None:
    assert check(scenario, "-c", command, "-a", "--strict") == (0, "", "")


def test_all_problems_come_at_once_with_place_key_and_remedy(scenario: Path) -> None:
    edit(scenario, "layers_services.yaml", "quantity: 1", "quantity: 0")
    edit(scenario, "network.yaml", '"28ms"', "28parsec")

    code, out, err = check(scenario)

    assert (code, err) == (1, "")
    assert f"{scenario}/layers_services.yaml:27:15: error: quantity must be at least 1, not 0." in out
    assert "[out-of-range at layers[0].services[0].quantity]\n        quantity: 0\n" in out.replace(
        "    " * 3, "    " * 2
    )
    assert "network.yaml:4:" in out
    assert "\x1b" not in out


def test_json_has_eight_keys_and_nothing_else(scenario: Path) -> None:
    assert check(scenario, "--format", "json") == (0, "[]\n", "")
    edit(scenario, "network.yaml", "src: cloud", "src: clowd")

    code, out, _ = check(scenario, "--format", "json")

    (problem,) = json.loads(out)
    assert code == 1
    assert list(problem) == KEYS
    assert problem["file"] == str(scenario / "network.yaml")
    assert (problem["line"], problem["path"], problem["severity"]) == (2, "networks[0].src", "error")
    assert "cloud" in problem["hint"]


def test_warnings_count_only_when_strict(scenario: Path) -> None:
    edit(scenario, "network.yaml", '"28ms"', '"28"')

    assert check(scenario)[0] == 0
    code, out, _ = check(scenario, "--strict")
    assert code == 1
    assert ": warning: " in out


def test_colour_and_a_summary_on_a_terminal_only(scenario: Path) -> None:
    edit(scenario, "network.yaml", "src: cloud", "src: clowd")
    arguments = "check-configuration", scenario, scenario / "artifacts"

    code, shown = on_terminal(*arguments)
    assert code == 1
    assert "\x1b[31merror:\x1b[0m" in shown
    assert shown.endswith(f"{scenario}: 1 error\n")
    assert "\x1b" not in on_terminal(*arguments, NO_COLOR="1")[1]


def test_markup_and_steering_characters_are_shown_as_they_are(scenario: Path) -> None:
    edit(scenario, "layers_services.yaml", "name: Master", 'name: "[/b][red]\\e[31m"')

    _, out, _ = check(scenario)

    assert "[/b][red]" in out
    assert "\x1b" not in out


def test_the_dataflow_is_evaluated(scenario: Path) -> None:
    specification = scenario / "artifacts" / "my-dataflow-specification.py"
    specification.write_text("import dfa_lib_python.dataflow\n1 / 0\n")

    code, out, _ = check(scenario)

    assert code == 1
    assert "layers_services.yaml:18:" in out
    assert f"{specification}:2: " in out
    assert "[dataflow-spec at provenance.dataflow_spec]" in out
    assert e2clab("check-configuration", scenario).returncode == 0, "without artifacts it is not looked for"


def test_a_wrong_dataflow_and_a_wrong_rule_come_together(scenario: Path) -> None:
    (scenario / "artifacts" / "my-dataflow-specification.py").write_text("")
    edit(scenario, "network.yaml", '"28ms"', "28parsec")

    _, out, _ = check(scenario, "--format", "json")

    assert {problem["code"] for problem in json.loads(out)} == {"dataflow-spec", "unit"}


def test_files_of_application_configurations_are_read_when_asked(scenario: Path) -> None:
    (scenario / "workflow_env.yaml").write_text("../../x: {a: 1}\n")

    assert check(scenario)[0] == 0
    for option in "-a", "--workflow-env", "--app_conf", "--app-conf":
        assert check(scenario, option)[0] == 1


def test_many_problems_are_cut_as_text_and_whole_as_json(scenario: Path) -> None:
    rules = "".join("- {src: cloud, dst: edge, delay: 28parsec, rate: 1gbit}\n" for _ in range(300))
    (scenario / "network.yaml").write_text(f"networks:\n{rules}")

    text, document = check(scenario)[1], check(scenario, "--format", "json")[1]

    assert text.count(": error: ") == 100
    assert text.endswith("... and 200 more; check-configuration --format json lists them\n")
    assert len(json.loads(document)) == 300


def test_settings_are_checked_too(scenario: Path) -> None:
    done = e2clab("check-configuration", scenario, E2C_NETEM="kernl", E2C_TESTBET="local")

    assert done.returncode == 1
    assert "environment: error: E2C_NETEM must be auto, kernel or switch, not 'kernl'" in done.stdout
    assert "environment: warning: the variable E2C_TESTBET is not known" in done.stdout


@pytest.mark.parametrize("command", ["deploy", "layers-services"])
def test_other_commands_refuse_by_the_same_check_and_leave_nothing(scenario: Path, command: str) -> None:
    edit(scenario, "layers_services.yaml", "quantity: 1", "quantity: 0")
    edit(scenario, "network.yaml", '"28ms"', "28parsec")
    before = sorted(scenario.iterdir())

    done = e2clab(command, scenario, scenario / "artifacts")

    assert done.returncode == 1
    assert done.stderr.startswith("e2clab: error: the scenario has 2 errors, so nothing was done:\n")
    assert done.stderr.count(": error: ") == 3
    assert sorted(scenario.iterdir()) == before


def test_a_plan_says_why_and_which_testbeds_are_not_provided(scenario: Path) -> None:
    edit(scenario, "layers_services.yaml", "iotlab:", "chameleoncloud: {}\n  iotlab:")
    old = "environment: iotlab\n    cluster: grenoble\n    archi: a8:at86rf231"
    edit(scenario, "layers_services.yaml", old, "environment: chameleoncloud")

    done = e2clab("deploy", scenario, scenario / "artifacts", "--dry-run")

    assert done.returncode == 0, done.stderr
    assert "chameleoncloud is not provided yet by this version" in done.stderr
    assert "g5k is not provided" not in done.stderr
    asked = "--dry-run", "--repeat", "1"
    plan = json.loads(e2clab("deploy", scenario, scenario / "artifacts", *asked, "--format=json").stdout)
    assert all(host["reason"] for host in plan["hosts"])
    assert [run["run"] for run in plan["runs"]] == ["repeat-1", "repeat-2"]
    rehearsed = e2clab("deploy", scenario, scenario / "artifacts", *asked, "--testbed", "local")
    assert "not provided" not in rehearsed.stderr
    assert [line.split() for line in rehearsed.stdout.splitlines()[-2:]] == [["repeat-1"], ["repeat-2"]]


def test_selectors_are_compared_even_when_the_layers_are_wrong(scenario: Path) -> None:
    edit(scenario, "layers_services.yaml", "quantity: 1", "quantity: 0")
    edit(scenario, "network.yaml", "src: cloud", "src: clowd")
    edit(scenario, "workflow.yaml", "hosts: cloud.*", "hosts: cloud.master.1.2")

    found = json.loads(check(scenario, "--format", "json")[1])

    assert [(Path(one["file"]).name, one["code"]) for one in found] == [
        ("layers_services.yaml", "out-of-range"),
        ("network.yaml", "selector-empty"),
    ], "how many machines the service will have is not known, so the workflow may be right"


@pytest.mark.parametrize(
    "old", ["name: Master", "services:\n  - name: Master", "- name: cloud", "roles: ['provenance']"]
)
def test_selectors_are_left_alone_when_names_are_in_doubt(scenario: Path, old: str) -> None:
    edit(scenario, "layers_services.yaml", old, f"{old.partition(':')[0]}: [[]]")
    edit(scenario, "network.yaml", "src: cloud", "src: clowd")

    found = json.loads(check(scenario, "--format", "json")[1])

    assert {Path(one["file"]).name for one in found} == {"layers_services.yaml"}
