"""``init``, ``edit`` and ``schema``: how a scenario begins."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import yaml
from cli_program import e2clab, on_terminal
from jsonschema import Draft202012Validator

from e2c.config.load import MODELS
from e2c.config.schema import schemas

FILES = ("layers_services.yaml", "network.yaml", "workflow.yaml")


def editor(folder: Path, script: str) -> str:
    path = folder / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_new_scenario_passes_the_check(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "first"
    made = e2clab("init", folder)

    assert made.returncode == 0, made.stderr
    assert {Path(line) for line in made.stdout.splitlines()} == {
        path for path in folder.rglob("*") if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }
    checked = e2clab("check-configuration", folder, folder / "artifacts", "--strict")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_new_scenario_names_schemas_that_are_there_and_fit(tmp_path: Path) -> None:
    e2clab("init", tmp_path)
    for name in FILES:
        text = (tmp_path / name).read_text()
        place = text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        Draft202012Validator(json.loads((tmp_path / place).read_text())).validate(yaml.safe_load(text))


def test_nothing_is_written_over_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text("mine")

    refused = e2clab("init", tmp_path)

    assert refused.returncode == 1
    assert "network.yaml is there already, so nothing was written" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["network.yaml"]
    assert e2clab("init", tmp_path, "--force").returncode == 0
    assert (tmp_path / "network.yaml").read_text() != "mine"


@pytest.mark.parametrize("given", ["network.yaml", "network.yml", "network", "some/folder/network.yaml"])
def test_a_schema_is_printed(given: str) -> None:
    assert e2clab("schema", given).stdout == schemas()["network.schema.json"]


def test_all_schemas_are_printed_or_written(tmp_path: Path) -> None:
    assert list(json.loads(e2clab("schema").stdout)) == [f"{name}.schema.json" for name in MODELS]
    done = e2clab("schema", "-o", tmp_path / "new")
    assert (done.returncode, done.stdout) == (0, "")
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == schemas()


def test_an_unknown_file_has_no_schema() -> None:
    done = e2clab("schema", "netwrok.yaml")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Did you mean 'network.yaml'?" in done.stderr


def test_edit_checks_what_was_written(tmp_path: Path) -> None:
    e2clab("init", tmp_path)
    path = tmp_path / "network.yaml"
    mends = editor(tmp_path, "sed -i s/20parsec/20ms/ $1")

    assert e2clab("edit", tmp_path, "network.yaml", EDITOR=mends, VISUAL="").returncode == 0
    breaks = editor(tmp_path, "sed -i s/20ms/20parsec/ $1")
    broken = e2clab("edit", tmp_path, "network.yaml", EDITOR=breaks, VISUAL="")

    assert broken.returncode == 1
    assert f"{path}:6:" in broken.stderr


def test_edit_offers_to_edit_again_and_a_menu(tmp_path: Path) -> None:
    e2clab("init", tmp_path)
    toggles = editor(tmp_path, "if grep -q parsec $1; then sed -i s/parsec/ms/ $1; else sed -i s/20ms/20parsec/ $1; fi")

    code, shown = on_terminal("edit", tmp_path, typed="2\ny\n", EDITOR=toggles, VISUAL="")

    assert code == 0, shown
    assert "2  network.yaml" in shown
    assert "4  workflow_env.yaml  (new)" in shown
    assert "Edit again?" in shown
    assert "delay: 20ms" in (tmp_path / "network.yaml").read_text()


def test_edit_says_what_is_wrong_with_its_call(tmp_path: Path) -> None:
    assert "there is no terminal" in e2clab("edit", tmp_path).stderr
    assert "Did you mean 'workflow.yaml'?" in e2clab("edit", tmp_path, "workflo.yaml").stderr
    gone = e2clab("edit", tmp_path, "network.yaml", EDITOR=str(tmp_path / "none"), VISUAL="")
    assert (gone.returncode, "cannot be started" in gone.stderr) == (1, True)
    failed = e2clab("edit", tmp_path, "network.yaml", EDITOR="false", VISUAL="")
    assert (failed.returncode, "ended with code 1" in failed.stderr) == (1, True)
    assert os.listdir(tmp_path) == []
