"""``e2clab extend``."""

from __future__ import annotations

from typing import Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import ScenarioDir


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("extend")(extend)


def extend(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    duration: Annotated[
        str, typer.Argument(metavar="[HH:MM:SS]", help="How much longer than now, any number of hours.")
    ] = "01:00:00",
) -> None:
    """Lengthen the reservations of the scenario.

    Works while another command is running on the scenario, too. Prints when each ends then. A testbed may refuse,
    for instance because others have booked the machines afterwards; then nothing changes there, and the exit code is 1.
    """
    from e2c.config.units import parse_walltime
    from e2c.errors import BusyError
    from e2c.experiment import reservations
    from e2c.experiment.lock import locked

    try:
        seconds = parse_walltime(duration)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    desk: render.Desk = context.obj
    try:
        with locked(scenario_dir):
            extended = reservations.extend(scenario_dir, seconds, desk, write=True)
    except BusyError:  # most wanted while a long step runs; that command keeps the state, and asks before it warns
        extended = reservations.extend(scenario_dir, seconds, desk, write=False)
    for reservation in extended:
        ends = "is lengthened" if reservation.ends is None else f"ends at {reservations.clock(reservation.ends)}"
        render.data(f"{reservations.named(reservation)} {ends}")
