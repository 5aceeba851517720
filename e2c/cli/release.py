"""``e2clab destroy``."""

from __future__ import annotations

from typing import Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import ScenarioDir


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("destroy")(destroy)


def destroy(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    network: Annotated[bool, typer.Option("--network", help="Only remove the shaping of the links.")] = False,
) -> None:
    """Release everything the scenario holds.

    Results in the output folders are kept. Works after a crash too, and twice: what the testbeds know is asked
    beside the state file.
    """
    from e2c.experiment import steps
    from e2c.experiment.lock import locked

    desk: render.Desk = context.obj
    with locked(scenario_dir):
        if network:
            steps.reset_links(steps.take_up(scenario_dir, "network", desk))
            return
        freed = steps.destroy(scenario_dir, desk)
    for clause in freed:
        render.note(f"released {clause}")
    if not freed:
        render.note("nothing to release")
