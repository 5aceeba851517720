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
    beside the state file. Exit code 1 if something may still be booked. A command that works on the scenario is not
    disturbed: stop it first, and it releases what it holds itself.
    """
    from e2c.experiment import links, releasing
    from e2c.experiment.lock import locked

    desk: render.Desk = context.obj
    with locked(scenario_dir):
        if network:
            links.reset_links(links.deployed(scenario_dir, desk))
            return
        done = releasing.destroy(scenario_dir, desk)
    for clause in done.freed:
        render.note(f"released {clause}")
    done.require(scenario_dir)
    if not done.freed:
        render.note("nothing to release")
