"""``e2clab layers-services``."""

from __future__ import annotations

import typer

from e2c.cli import render
from e2c.cli.arguments import ArtifactsDir, Keep, ScenarioDir, Testbed


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("layers-services")(layers_services)


def layers_services(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    artifacts_dir: ArtifactsDir,
    testbed: Testbed = None,
    keep: Keep = False,
) -> None:
    """Acquire the hosts and start the services.

    When the same plan is deployed already, nothing is done. When something fails, what was acquired is released unless
    --keep is given.
    """
    from e2c.experiment import deployment
    from e2c.experiment.lock import locked

    desk: render.Desk = context.obj
    with locked(scenario_dir):
        experiment = deployment.deploy(
            scenario_dir,
            artifacts_dir,
            testbed=testbed or desk.testbed,
            keep=keep,
            command="layers-services",
            observe=desk,
        )
    render.data(str(experiment.folder))
