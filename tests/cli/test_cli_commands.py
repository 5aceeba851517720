from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer
from cli_program import E2CLAB, e2clab

from e2c.cli import reference
from e2c.cli.app import app
from e2c.errors import E2CError

ROOT = Path(__file__).parents[2]
GROUP = typer.main.get_command(app)
assert isinstance(GROUP, click.Group)
COMMANDS = sorted(GROUP.commands)


def test_the_reference_page_is_what_the_commands_say() -> None:
    page = ROOT / "docs" / "reference" / "commands.md"
    assert page.read_text() == reference.text() + "\n", "write it anew: python -m e2c.cli.reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = GROUP.commands[name]
    assert command.help
    assert command.get_short_help_str(52).endswith((".", "service")), "its first sentence must fit one line"
    assert "..." not in command.get_short_help_str(52)
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_help_loads_nothing_heavy() -> None:
    heavy = "enoslib", "ansible", "pydantic", "pymonetdb", "paho", "yaml", "e2c.experiment"
    code = f"import sys, e2c.cli.app; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_wrong_command_line_is_2_and_says_what_is_known() -> None:
    done = e2clab("deplow")
    assert done.returncode == 2
    assert "deplow" in done.stderr
    assert done.stderr.count("Did you mean 'deploy'?") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["network", "finalize", "inspect", "get-output-dir"])
def test_commands_on_a_scenario_that_was_never_deployed(name: str, tmp_path: Path) -> None:
    done = e2clab(name, tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert str(tmp_path) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_current_folder_that_has_gone_is_told(tmp_path: Path) -> None:
    line = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" "$@"'
    done = subprocess.run(
        ["sh", "-c", line, *E2CLAB, "destroy", "."], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("e2clab: error: the current folder does not exist any more.")


def test_a_place_that_cannot_be_written_is_no_fault_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = e2clab("init", str(tmp_path / "file/scenario"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"e2clab: error: {tmp_path}/file/scenario/")
    assert done.stderr.endswith("cannot be used: Not a directory. Name another place, then repeat\n")


def test_destroying_nothing_is_fine_and_says_so(tmp_path: Path) -> None:
    done = e2clab("destroy", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to release" in done.stderr


@pytest.mark.parametrize(
    ("why", "hint", "text"),
    [
        (None, None, "a stage failed."),
        ("no room", "Make room", "a stage failed: no room. Make room."),
        ("no room", "Is there room?", "a stage failed: no room. Is there room?"),
        ("\nh: no room\nk: killed", None, "a stage failed:\nh: no room\nk: killed"),
        ("\nh: no room", "Make room", "a stage failed:\nh: no room\nMake room."),
    ],
)
def test_words_of_others_are_not_punctuated(why: str | None, hint: str | None, text: str) -> None:
    assert str(E2CError("a stage failed", why=why, hint=hint)) == text


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    with subprocess.Popen(
        [*E2CLAB, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        words = process.stderr.read()
    assert "Traceback" not in words
