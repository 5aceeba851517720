"""``e2clab network``."""

from __future__ import annotations

import typer

from e2c.cli import render
from e2c.cli.arguments import ScenarioDir
from e2c.cli.keeping import DestroyOnFail, wish


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("network")(network)


def network(context: typer.Context, scenario_dir: ScenarioDir, destroy_on_fail: DestroyOnFail = False) -> None:
    """Shape the links of network.yaml and measure them.

    The measurement is compared with what was asked and written to network-validate/ in the output folder; a
    link that is not as asked is an error. Run it again after editing network.yaml: the new rules replace the
    old ones.
    """
    from e2c.experiment import steps
    from e2c.experiment.failure import guarded
    from e2c.experiment.lock import locked

    with locked(scenario_dir):
        desk: render.Desk = context.obj
        experiment = steps.take_up(scenario_dir, "network", desk)
        with guarded(experiment, wish(destroy_on_fail=destroy_on_fail)):
            steps.emulate(experiment)
    render.data(str(experiment.folder / "network-validate"))
