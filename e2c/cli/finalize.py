"""``e2clab finalize``."""

from __future__ import annotations

from typing import Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import AppConf, Limit, ScenarioDir, names
from e2c.cli.keeping import DestroyOnFail, wish


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("finalize")(finalize)


def finalize(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    app_conf: AppConf = "",
    limit: Limit = None,
    destroy_on_fail: DestroyOnFail = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Release the hosts when all is saved.")] = False,
) -> None:
    """Save the results, once background tasks have ended.

    First waits for the background tasks of `launch`, then runs the stage `finalize` of the workflow. The
    provenance database is copied to provenance-data/ in the output folder, also when a task failed. It can be
    queried until `e2clab destroy`. Each run that was launched and is not saved yet is treated so; --app_conf names
    runs.
    """
    from e2c.experiment import releasing, run_records, steps
    from e2c.experiment.failure import guarded
    from e2c.experiment.lock import locked

    chosen = names(app_conf)
    with locked(scenario_dir):
        desk: render.Desk = context.obj
        experiment = steps.take_up(scenario_dir, "finalize", desk, app_conf=chosen, begun=not chosen)
        with guarded(experiment, wish(destroy_on_fail=destroy_on_fail)):
            steps.finalize(experiment, run_records.pending(experiment, chosen), limit_s=limit)
        if destroy:
            releasing.destroy(scenario_dir, desk).require(scenario_dir)
    render.data(str(experiment.folder))
