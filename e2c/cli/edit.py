"""``e2clab edit``."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from e2c.cli import render
from e2c.cli.arguments import ReadScenario

if TYPE_CHECKING:
    from e2c.config.problems import Problem

EDITORS = ("sensible-editor", "editor", "nano", "vi")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("edit")(edit)


def edit(
    scenario_dir: ReadScenario,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="A file of the scenario, as network.yaml; without it a menu."),
    ] = None,
) -> None:
    """Edit a file of a scenario, then check it.

    The editor is $VISUAL or $EDITOR. When there are errors afterwards, the file can be edited again. Exit code 1 when
    errors remain.
    """
    from e2c.config.problems import errors

    path = _choose(scenario_dir, file)
    while True:
        _open(path)
        found = _problems(scenario_dir, path)
        render.problems(found, sys.stderr)
        wrong = bool(errors(found))
        if not wrong or not sys.stdin.isatty() or not typer.confirm("Edit again?", default=True, err=True):
            break
    if wrong:
        raise typer.Exit(1)


def _choose(folder: Path, file: str | None) -> Path:
    from e2c.config.load import MODELS, SUFFIXES
    from e2c.config.problems import listed, suggestion
    from e2c.errors import E2CError

    known = [f"{name}.yaml" for name in MODELS]
    if file is None:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise E2CError("there is no terminal to choose a file on", hint=f"Name one: {listed(known)}")
        for number, name in enumerate(known, start=1):
            render.note(f"{number}  {name}{'' if (folder / name).exists() else '  (new)'}")
        file = known[int(typer.prompt("Which file", type=click.IntRange(1, len(known)), default=1, err=True)) - 1]
    name = Path(file).name
    if Path(name).stem not in MODELS or (Path(name).suffix and Path(name).suffix not in SUFFIXES):
        raise E2CError(f"{file} is no file of a scenario", hint=suggestion(file, known, f"Give {listed(known)}"))
    candidates = [folder / f"{Path(name).stem}{suffix}" for suffix in SUFFIXES]
    return next((path for path in candidates if path.exists()), candidates[0])


def _open(path: Path) -> None:
    from e2c.errors import E2CError, MissingToolError

    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    command = shlex.split(wanted) if wanted else next(([name] for name in EDITORS if shutil.which(name)), [])
    if not command:
        raise MissingToolError("no editor was found", hint="Name one in the variable EDITOR")
    try:
        code = subprocess.run([*command, str(path)], check=False).returncode
    except OSError as error:
        raise MissingToolError(
            f"the editor {command[0]} cannot be started", why=error.strerror, hint="Name another in the variable EDITOR"
        ) from error
    if code:
        raise E2CError(f"the editor {command[0]} ended with code {code}", where=str(path))


def _problems(folder: Path, path: Path) -> tuple[Problem, ...]:
    from e2c.experiment.check import examine

    return examine(folder, None, "layers-services", configurations=path.stem == "workflow_env").problems
