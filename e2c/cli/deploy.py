"""``e2clab deploy``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import AppConf, ArtifactsDir, Format, Keep, Limit, ScenarioDir, Testbed, finite, names
from e2c.cli.keeping import DestroyOnFail, wish
from e2c.cli.pausing import pauser
from e2c.errors import E2CError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from e2c.experiment.experiment import Experiment
    from e2c.experiment.series import Turn
    from e2c.model.plan import Plan
    from e2c.model.run import Run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(deploy)


def deploy(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    artifacts_dir: ArtifactsDir,
    testbed: Testbed = None,
    scenarios_name: Annotated[
        str,
        typer.Option(
            "--scenarios_name",
            "--scenarios-name",
            metavar="NAME,...",
            help="Deploy these sub-folders of SCENARIO_DIR, each a scenario, one after the other.",
        ),
    ] = "",
    app_conf: AppConf = "",
    repeat: Annotated[
        int, typer.Option("--repeat", metavar="N", min=0, help="Repeat the workflow N more times: N + 1 times in all.")
    ] = 0,
    duration: Annotated[
        float,
        typer.Option(
            "--duration", metavar="SECONDS", min=0, callback=finite, help="Let each run last so long after its launch."
        ),
    ] = 0,
    pause: Annotated[
        bool, typer.Option("--pause", "-p", help="Wait for Enter before each run is finalized; needs a terminal.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Go on with the next run after one that failed.")
    ] = False,
    limit: Limit = None,
    keep: Keep = False,
    destroy_on_fail: DestroyOnFail = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Release the hosts when all went well.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop; nothing is acquired.")] = False,
    output: Annotated[Format, typer.Option("--format", help="Format of the plan shown by --dry-run.")] = Format.table,
) -> None:
    """Run a whole experiment, step after step.

    Hosts are acquired, services started, links shaped and measured, the workflow prepared, launched and
    finalized. Background tasks of the workflow are waited for. Results lie in SCENARIO_DIR/<start time>/, whose
    path is printed last. The hosts are kept unless --destroy is given or something fails.

    With --repeat and --app_conf there are several runs: each repetition is prepared, then launched, finalized and saved
    with one configuration after the other. Each run has its own folder (repeat-2/large) and its own name in the
    database. The first run that fails ends the experiment unless --keep-going is given.

    After a failure the hosts are released, except with --keep and where an earlier command left them to you; on a
    terminal you are asked. A deployment that was cut off is gone on with: what is done already, with the same scenario
    and artifacts, is not done again.
    """
    configurations, played_on = names(app_conf), testbed or context.obj.testbed
    wished, waiting = wish(keep=keep, destroy_on_fail=destroy_on_fail), pauser(pause)
    scenarios = [_inside(scenario_dir, name) for name in names(scenarios_name)]

    from e2c.experiment import steps
    from e2c.experiment.lock import locked
    from e2c.experiment.runs import Pace
    from e2c.model.run import planned

    desk: render.Desk = context.obj
    if dry_run:
        plans = [
            steps.plan_only(one, artifacts_dir, played_on, desk, configurations) for one in scenarios or [scenario_dir]
        ]
        _show(plans, planned(repeat, configurations), output)
        return
    deployed = partial(
        steps.deploy_all,
        artifacts=artifacts_dir,
        testbed=played_on,
        wish=wished,
        destroy_after=destroy,
        observe=desk,
        chosen=planned(repeat, configurations),
        pace=Pace(duration_s=duration, pause=waiting, limit_s=limit, keep_going=keep_going),
    )
    if not scenarios:
        with locked(scenario_dir):
            experiment = deployed(scenario_dir)
        render.data(str(experiment.folder))
        return

    from e2c.experiment import series

    series.check(scenarios, artifacts_dir, testbed=played_on, app_conf=configurations, observe=desk)
    turns = [series.Turn(one) for one in scenarios]
    try:
        series.run(turns, lambda one: _announced(one, deployed), _told)
    finally:
        _table(turns)
    failed = [turn for turn in turns if turn.outcome != "done"]
    if failed:
        raise E2CError(f"{len(failed)} of {len(turns)} scenarios failed", where=str(scenario_dir))


def _inside(folder: Path, name: str) -> Path:
    """The folder of a scenario of that name.

    Raises:
        click.UsageError: there is none.
    """
    path = (folder / name).resolve()
    if path.is_relative_to(folder) and path != folder and path.is_dir():
        return path

    from e2c.config.problems import listed, suggestion

    known = sorted(one.parent.name for one in folder.glob("*/layers_services.y*ml"))
    hint = suggestion(name, known, f"It has: {listed(known)}" if known else "It has none with layers_services.yaml")
    raise typer.BadParameter(f"--scenarios_name: {folder} has no folder {name!r}. {hint}")


def _announced(folder: Path, deployed: Callable[[Path], Experiment]) -> Experiment:
    render.note(f"scenario {folder.name}")
    return deployed(folder)


def _told(turn: Turn) -> None:
    if turn.outcome == "done":
        render.data(str(turn.folder))
    else:
        render.failure(turn.reason)


def _table(turns: list[Turn]) -> None:
    rows = [
        (
            turn.scenario.name,
            turn.outcome,
            None if turn.seconds is None else f"{turn.seconds:.1f}",
            turn.folder,
            turn.reason.splitlines()[0].rstrip(" :") if turn.reason else "",
        )
        for turn in turns
    ]
    render.note(render.table(["scenario", "outcome", "seconds", "results", "because"], rows))


def _show(plans: list[Plan], chosen: Sequence[Run], output: Format) -> None:
    if output is Format.json:
        each = [{"run": run.identity, "repeat": run.repeat, "app_conf": run.app_conf} for run in chosen]
        values = [{**plan.model_dump(mode="json"), "runs": each} for plan in plans]
        render.data_json(values if len(values) > 1 else values[0])
        return
    for place, plan in enumerate(plans):
        if place:
            render.data("")
        _tables(plan)
        _runs(plan, chosen)


def _runs(plan: Plan, chosen: Sequence[Run]) -> None:
    if len(chosen) < 2 and not chosen[0].app_conf:
        return
    rows = [
        (
            run.identity,
            tuple(f"{key}={json.dumps(value)}" for key, value in plan.configurations.get(run.app_conf, {}).items()),
        )
        for run in chosen
    ]
    render.data("")
    render.data(render.table(["run", "variables"], rows))


def _tables(plan: Plan) -> None:
    from e2c.experiment.changes import words

    hosts = [(host.key, host.testbed, host.provider, host.roles, host.reason) for host in plan.hosts]
    render.data(render.table(["host", "testbed", "provider", "roles", "reason"], hosts))
    if plan.links:
        links = [
            (one.src, one.dst, words(one), words(one.back) if one.back else "same" if one.symmetric else "", one.reason)
            for one in plan.links
        ]
        render.data("")
        render.data(render.table(["from", "to", "there", "back", "reason"], links))
    if plan.changes:
        changes = [
            (f"{one.at_s:g} s", one.src, one.dst, words(one), "same" if one.symmetric else "", one.reason)
            for one in plan.changes
        ]
        render.data("")
        render.data(render.table(["launch +", "from", "to", "there", "back", "reason"], changes))
    if plan.plays:
        plays = [(play.selector, play.hosts, tuple(play.stages)) for play in plan.plays]
        render.data("")
        render.data(render.table(["play on", "hosts", "stages"], plays))
