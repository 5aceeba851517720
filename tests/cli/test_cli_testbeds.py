"""``check-testbeds``, and variables of the environment that every command looks at."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from cli_program import e2clab, screen, typing_at

GRID5000 = """\
environment:
  g5k: {cluster: gros, ssh_key: ~/.ssh/mine.pub}
  iotlab: {cluster: grenoble}
layers:
- name: cloud
  services: [{name: Server}]
- name: edge
  services: [{name: Mote, environment: iotlab, archi: "m3:at86rf231"}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder where no testbed was ever set up."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def mute() -> Iterator[int]:
    """A port where somebody listens who never says anything."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def check(*arguments: str | Path, home: Path, **environment: str) -> tuple[int, list[dict[str, object]]]:
    done = e2clab("check-testbeds", *arguments, "--format", "json", HOME=str(home), **environment)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return done.returncode, found


def test_without_names_all_are_looked_at_and_none_must_be_good(home: Path) -> None:
    code, found = check(home=home)
    states = {one["testbed"]: one["state"] for one in found}
    assert code == 0
    assert {"g5k", "iotlab", "local", "static"} <= set(states)
    assert (states["g5k"], states["iotlab"]) == ("not set up", "not set up")
    assert not any(one["asked"] for one in found)
    for one in found:
        assert set(one) == {"testbed", "state", "asked", "findings"}
        for finding in one["findings"]:  # type: ignore[attr-defined]
            assert set(finding) == {"aspect", "ok", "text", "remedy"}
            assert finding["remedy"] or finding["ok"] is not False


@pytest.mark.parametrize("name", ["g5k", "iotlab"])
def test_one_that_is_named_must_be_good(home: Path, name: str) -> None:
    code, (one,) = check(name, home=home)
    assert (code, one["testbed"], one["asked"]) == (1, name, True)


@pytest.mark.netns
def test_the_local_testbed_is_good(home: Path, possible: None) -> None:
    assert check("local", home=home)[0] == 0


def test_those_of_a_scenario_must_be_good(home: Path, scenario: Path) -> None:
    (scenario / "layers_services.yaml").write_text(GRID5000)
    (scenario / "workflow.yaml").write_text("[]\n")
    code, found = check("--scenario", scenario, home=home)
    assert (code, {one["testbed"] for one in found if one["asked"]}) == (1, {"g5k", "iotlab"})
    done = e2clab("--testbed", "local", "check-testbeds", "--scenario", scenario, "--format", "json", HOME=str(home))
    assert [one["testbed"] for one in json.loads(done.stdout)] == ["local"]


def test_the_table_ends_with_what_to_do(home: Path) -> None:
    done = e2clab("check-testbeds", "g5k", HOME=str(home))
    table, _, remedies = done.stdout.partition("\n\n")
    assert done.returncode == 1
    assert "g5k      not set up  credentials  failed  " in table
    assert f"{home}/.python-grid5000.yaml" in table
    assert remedies.startswith("g5k, credentials: ")


def test_one_that_says_nothing_holds_up_nobody(home: Path, mute: int) -> None:
    credentials = home / ".python-grid5000.yaml"
    credentials.write_text(f"uri: http://127.0.0.1:{mute}/stable\nusername: me\npassword: a-secret\n")
    credentials.chmod(0o600)
    code, found = check("g5k", "local", "--timeout", "4", home=home)
    first = found[0]
    assert (code, first["testbed"], first["state"]) == (1, "g5k", "failed")
    assert first["findings"][-1]["text"] == "nothing was found out within 4 s"  # type: ignore[index]
    assert [one["testbed"] for one in found] == ["g5k", "local"]
    assert "a-secret" not in json.dumps(found)


def test_a_testbed_that_nobody_knows_is_2() -> None:
    done = e2clab("check-testbeds", "g6k")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no testbed g6k. Did you mean 'g5k'?" in done.stderr


def test_one_that_this_version_cannot_acquire_is_told(scenario: Path, home: Path) -> None:
    (scenario / "layers_services.yaml").write_text(
        GRID5000.replace("iotlab: {cluster: grenoble}", "chameleoncloud: {}")
    )
    text = (scenario / "layers_services.yaml").read_text()
    text = text.replace('environment: iotlab, archi: "m3:at86rf231"', "environment: chameleoncloud")
    (scenario / "layers_services.yaml").write_text(text)
    _, found = check("--scenario", scenario, home=home)
    (one,) = (one for one in found if one["testbed"] == "chameleoncloud")
    assert one["state"] == "failed"
    assert "cannot acquire hosts there" in str(one["findings"])


def test_a_testbed_of_the_scenario_itself(scenario: Path, home: Path) -> None:
    (scenario / "environments").mkdir()
    code = scenario / "environments" / "shelf.py"
    code.write_text(
        "from e2c.environments.own import OwnTestbed\n"
        "from e2c.errors import TestbedError\n"
        "class Shelf(OwnTestbed):\n"
        "    name = 'shelf'\n"
        "    def check(self, settings):\n"
        "        if 'list' not in settings:\n"
        "            raise TestbedError('no list', hint='Ask the caretaker')\n"
        "    def acquire(self, claim, hosts, watch):\n"
        "        raise NotImplementedError\n"
    )
    layers = scenario / "layers_services.yaml"
    layers.write_text(layers.read_text().replace("local: {}", "shelf: {list: machines}"))
    code_ok, (one,) = check("--scenario", scenario, home=home)
    assert (code_ok, one["testbed"], one["state"]) == (0, "shelf", "ok")
    layers.write_text(layers.read_text().replace("shelf: {list: machines}", "shelf: {}"))
    wrong, (one,) = check("--scenario", scenario, home=home)
    assert (wrong, one["state"]) == (1, "failed")
    assert "Ask the caretaker" in json.dumps(one)


def test_a_wrong_scenario_is_refused_with_its_problems(scenario: Path) -> None:
    (scenario / "layers_services.yaml").write_text(GRID5000.replace("cluster: gros", "klaster: gros"))
    done = e2clab("check-testbeds", "--scenario", scenario)
    assert (done.returncode, done.stdout) == (1, "")
    assert "klaster" in done.stderr


def test_a_terminal_shows_that_it_is_at_work(home: Path) -> None:
    terminal = typing_at("check-testbeds", "g5k", HOME=str(home))
    terminal.expect(r"check     \S looking at g5k")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    assert screen(str(terminal.before))[0].startswith("testbed  state       looked at")


@pytest.mark.parametrize("command", ["inspect", "status", "network", "finalize", "get-output-dir"])
def test_a_wrong_variable_is_refused_by_every_command(scenario: Path, command: str) -> None:
    done = e2clab(command, scenario, E2C_API_TIMEOUT="abc")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "e2clab: error: environment: E2C_API_TIMEOUT must be a number of seconds above 0 and at most 604800, "
        "not 'abc'. Correct it, or unset it.\n"
    )


@pytest.mark.parametrize("value", ["0", "-3", "inf", "nan", "604801", "12 s"])
def test_a_limit_is_a_number_of_seconds(scenario: Path, value: str) -> None:
    done = e2clab("inspect", scenario, E2C_SSH_TIMEOUT=value)
    assert f"E2C_SSH_TIMEOUT must be a number of seconds above 0 and at most 604800, not '{value}'" in done.stderr


def test_deploy_tells_of_variables_with_all_other_problems(scenario: Path) -> None:
    done = e2clab("deploy", scenario, scenario / "artifacts", E2C_API_TIMEOUT="abc", E2C_NETEM="kernl")
    assert done.returncode == 1
    assert "the scenario has 2 errors" in done.stderr
    assert done.stderr.count("E2C_API_TIMEOUT must be") == 1


def test_releasing_is_not_kept_from_its_work_by_a_variable(scenario: Path) -> None:
    done = e2clab("destroy", scenario, E2C_API_TIMEOUT="abc")
    assert done.returncode == 0
    assert "E2C_API_TIMEOUT must be a number of seconds above 0" in done.stderr
    assert "the default is taken" in done.stderr


def test_an_unknown_variable_is_warned_of_once(scenario: Path) -> None:
    done = e2clab("destroy", scenario, E2C_API_TIMEOU="3")
    warned = "warning: the variable E2C_API_TIMEOU is not known, so it has no effect. Did you mean 'E2C_API_TIMEOUT'?"
    assert done.returncode == 0
    assert done.stderr.count(warned) == 1


def test_help_needs_no_good_variables() -> None:
    done = e2clab("ssh", "--help", E2C_API_TIMEOUT="abc")
    assert (done.returncode, done.stderr) == (0, "")


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = e2clab("--debug", "inspect", tmp_path)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("e2clab: error: ")
    assert "Traceback" not in e2clab("inspect", tmp_path).stderr


def test_options_of_e2clab_that_mute_are_known(tmp_path: Path) -> None:
    assert e2clab("-e", "-a", "--mute_enoslib", "--mute_ansible", "destroy", tmp_path).returncode == 0
