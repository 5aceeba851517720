"""``e2clab network`` is a command, and a group."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_program import e2clab
from typer.testing import CliRunner

from e2c.cli.app import app


def test_help_of_both(tmp_path: Path) -> None:
    for words in (["network", "--help"], ["network", tmp_path, "-h"]):
        shown = e2clab(*words).stdout
        assert "network [OPTIONS] SCENARIO_DIR\n" in shown
        assert "network set [OPTIONS] SRC DST KEY=VALUE..." in shown
        assert "--no-verify" in shown
        assert "set  Change links of a deployed scenario now." in shown
    shown = e2clab("network", "set", "--help").stdout
    assert "network set [OPTIONS] SRC DST KEY=VALUE...\n" in shown
    assert "--symmetric" in shown
    assert "--no-verify" not in shown
    assert "network   " in e2clab("--help").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["network"], "Missing argument 'SCENARIO_DIR'"),
        (["network", "-"], "Directory '-' does not exist"),
        (["network", "/no/such"], "Directory '/no/such' does not exist"),
        (["network", ".", "--shw"], "No such option '--shw'. Did you mean '--show'?"),
        (["network", ".", "--show", "--reset"], "--show and --reset stand alone"),
        (["network", ".", "--show", "--rate"], "--show and --reset stand alone"),
        (["network", ".", "--reset", "--no-verify"], "--show and --reset stand alone"),
        (["network", "set", "edge"], "Missing argument 'DST'"),
        (["network", "set", "edge", "cloud"], "Missing argument 'KEY=VALUE...'"),
        (["network", "set", "edge", "cloud", "down"], "holds no scenario. Give --scenario SCENARIO_DIR"),
        (["network", "set", "edge", "cloud", "dealy=1ms", "--scenario", "."], "links have no 'dealy'. Did you mean"),
        (["network", "set", "edge", "cloud", "delay=1mz", "--scenario", "."], "delay has the unit 'mz', which is none"),
        (["network", "set", "edge", "cloud", "down", "--scenario", "/no/such"], "Directory '/no/such' does not exist"),
    ],
)
def test_a_wrong_command_line_is_2(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, words, prog_name="e2clab")
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_set_tells_what_is_wrong_in_a_sentence(scenario: Path) -> None:
    done = e2clab("network", "set", "edge", "cloud", "down", "--scenario", scenario)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "nothing was deployed" in done.stderr


def test_the_scenario_may_be_named_by_the_environment(scenario: Path) -> None:
    for words in (["network"], ["network", "--show"], ["network", "set", "edge", "cloud", "up"]):
        done = e2clab(*words, E2C_SCENARIO_DIR=str(scenario))
        assert done.returncode == 1
        assert str(scenario) in done.stderr
        assert "nothing" in done.stderr
        assert "deployed" in done.stderr
