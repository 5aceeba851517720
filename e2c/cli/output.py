"""``e2clab get-output-dir``."""

from __future__ import annotations

import typer

from e2c.cli import render
from e2c.cli.arguments import ScenarioDir


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("get-output-dir")(get_output_dir)


def get_output_dir(scenario_dir: ScenarioDir) -> None:
    """Print the output folder of the newest experiment."""
    from e2c.errors import StateError
    from e2c.experiment import folder

    found = folder.latest(scenario_dir)
    if found is None:
        raise StateError("nothing was deployed yet", where=str(scenario_dir))
    render.data(str(found))
