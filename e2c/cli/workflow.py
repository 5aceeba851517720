"""``e2clab workflow``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import AppConf, Limit, ScenarioDir, names
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
    app_conf: AppConf = "",
    finalize: Annotated[
        bool,
        typer.Option(
            "--finalize", help="With launch: wait for background tasks, finalize and save each run before the next."
        ),
    ] = False,
    hosts: Annotated[
        str | None, typer.Option("--hosts", metavar="SELECTOR", help="Run it on these hosts of its plays only.")
    ] = None,
    start_at: Annotated[
        str | None, typer.Option("--from", metavar="TASK", help="Begin with the task of that name.")
    ] = None,
    limit: Limit = None,
    destroy_on_fail: DestroyOnFail = False,
) -> None:
    """Run one stage of workflow.yaml.

    Output of every task is written to workflow-validate.out in the output folder, with --app_conf in a folder of each
    configuration inside it. `finalize` first waits for the background tasks that `launch` started; without --app_conf
    it takes the runs that were launched and are not saved yet. `prepare` serves all configurations. With --hosts or
    --from, `launch` goes on with a run that was begun, instead of beginning another one.
    """
    chosen = names(app_conf)
    if chosen and stage is StageName.prepare:
        raise typer.BadParameter("prepare is done once for all configurations, so it takes no --app_conf")
    if finalize and stage is not StageName.launch:
        raise typer.BadParameter("--finalize goes with launch only")

    from e2c.experiment import leftovers, report, reservations, run_records, runs, steps, timetable
    from e2c.experiment.choice import Choice, choose
    from e2c.experiment.events import Event
    from e2c.experiment.failure import guarded
    from e2c.experiment.lock import locked
    from e2c.model.run import Run, planned

    with locked(scenario_dir):
        desk: render.Desk = context.obj
        ending = stage is StageName.finalize and not chosen
        experiment = steps.take_up(scenario_dir, "workflow", desk, app_conf=chosen, begun=ending)
        keys = None if hosts is None else frozenset(host.key for host in report.choose(experiment, hosts)[0])
        choice = Choice(keys, start_at)
        if not choose(experiment.plan.plays, stage.value, choice):
            text = f"workflow.yaml has no tasks of {stage.value}, so nothing is done on hosts"
            experiment.observe(Event("warning", stage.value, text))
        with guarded(experiment, wish(destroy_on_fail=destroy_on_fail)):
            timetable.heal(experiment, needed=False)
            if stage is StageName.prepare:
                runs.run_stage(experiment, "prepare", Run(), choice=choice)
            finishing = stage is StageName.finalize
            if finishing:
                leftovers.take_stock(experiment)
            for run in run_records.pending(experiment, chosen) if finishing else planned(0, chosen):
                if finishing:
                    runs.wait_for_background(experiment, run.identity, limit)
                    runs.run_stage(experiment, "finalize", run, choice=choice)
                elif finalize:
                    runs.execute(experiment, run, runs.Pace(limit_s=limit), choice=choice)
                elif stage is StageName.launch:
                    runs.launch_alone(experiment, run, limit_s=limit, choice=choice)
            reservations.tell(experiment)
    render.data(str(experiment.folder))
