"""``e2clab workflow``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import Limit, ScenarioDir
from e2c.cli.keeping import DestroyOnFail, wish


class StageName(str, Enum):
    """Stages of a workflow."""

    prepare = "prepare"
    launch = "launch"
    finalize = "finalize"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("workflow")(workflow)


def workflow(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    stage: Annotated[StageName, typer.Argument(metavar="prepare|launch|finalize", case_sensitive=False)],
    limit: Limit = None,
    destroy_on_fail: DestroyOnFail = False,
) -> None:
    """Run one stage of workflow.yaml.

    Output of every task is written to workflow-validate.out in the output folder. `finalize` first waits for the
    background tasks that `launch` started.
    """
    from e2c.experiment import reservations, steps
    from e2c.experiment.failure import guarded
    from e2c.experiment.lock import locked

    with locked(scenario_dir):
        desk: render.Desk = context.obj
        experiment = steps.take_up(scenario_dir, "workflow", desk)
        with guarded(experiment, wish(destroy_on_fail=destroy_on_fail)):
            if stage is StageName.finalize:
                steps.wait_for_background(experiment, limit)
            steps.run_stage(experiment, stage.value)
            reservations.tell(experiment)
    render.data(str(experiment.folder))
