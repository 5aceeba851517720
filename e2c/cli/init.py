"""``e2clab init``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from e2c.cli import render

QUESTION = (
    "SELECT kilobytes, AVG(seconds) AS seconds FROM transfer_input i "
    "JOIN transfer_output o ON i.transfer_task_id = o.transfer_task_id GROUP BY kilobytes ORDER BY kilobytes"
)
"""What the new scenario can be asked."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", file_okay=False, help="Folder to write it in; made if need be.")
    ] = Path("."),
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there already.")] = False,
) -> None:
    """Write a first scenario.

    It is complete and commented, and runs on this machine: a server in the cloud, two sensors at the edge, a shaped
    link between them, and provenance of every transfer. Nothing is written when one of its files is there already.
    """
    from e2c.config.starter import ARTIFACTS, starter
    from e2c.errors import ScenarioError

    texts = starter()
    there = sorted(str(path) for path in texts if (directory / path).exists())
    if there and not force:
        raise ScenarioError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there already, so nothing was written",
            where=str(directory),
            hint="Choose another folder, or write over them with --force",
        )
    for path, text in texts.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text, encoding="utf-8")
    for path in sorted(path for path in texts if not path.parts[0].startswith(".")):
        render.data(str(directory / path))
    scenario, artifacts = shlex.quote(str(directory)), shlex.quote(str(directory / ARTIFACTS))
    render.note(
        f"""
Next:  e2clab check-configuration {scenario} {artifacts}
       e2clab deploy {scenario} {artifacts}
       e2clab query {scenario} "{QUESTION}"
       e2clab destroy {scenario}"""
    )
