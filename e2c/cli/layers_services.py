"""``e2clab layers-services``."""

from __future__ import annotations

import typer

from e2c.cli import render
from e2c.cli.arguments import ArtifactsDir, Keep, ScenarioDir, Testbed
from e2c.cli.keeping import DestroyOnFail, wish


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("layers-services")(layers_services)


def layers_services(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    artifacts_dir: ArtifactsDir,
    testbed: Testbed = None,
    keep: Keep = False,
    destroy_on_fail: DestroyOnFail = False,
) -> None:
    """Acquire the hosts and start the services.

    When the same plan is deployed already, only the hosts are checked; a deployment that was cut off is gone on with.
    When something fails, what was acquired is released unless --keep is given; on a terminal you are asked.
    """
    from e2c.experiment import deployment
    from e2c.experiment.lock import locked

    desk: render.Desk = context.obj
    wished = wish(keep=keep, destroy_on_fail=destroy_on_fail)
    with locked(scenario_dir):
        experiment = deployment.deploy(
            scenario_dir,
            artifacts_dir,
            testbed=testbed or desk.testbed,
            wish=wished,
            command="layers-services",
            observe=desk,
        )
    render.data(str(experiment.folder))
