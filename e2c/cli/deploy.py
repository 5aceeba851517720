"""``e2clab deploy``."""

from __future__ import annotations

from typing import Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import ArtifactsDir, Format, Keep, Limit, ScenarioDir, Testbed
from e2c.cli.keeping import DestroyOnFail, wish


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("deploy")(deploy)


def deploy(
    context: typer.Context,
    scenario_dir: ScenarioDir,
    artifacts_dir: ArtifactsDir,
    testbed: Testbed = None,
    keep: Keep = False,
    destroy_on_fail: DestroyOnFail = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Release the hosts when all went well.")] = False,
    limit: Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop; nothing is acquired.")] = False,
    output: Annotated[Format, typer.Option("--format", help="Format of the plan shown by --dry-run.")] = Format.table,
) -> None:
    """Run a whole experiment, step after step.

    Hosts are acquired, services started, links shaped and measured, the workflow prepared, launched and
    finalized. Background tasks of the workflow are waited for. Results lie in SCENARIO_DIR/<start time>/, whose
    path is printed last. The hosts are kept unless --destroy is given or something fails.

    After a failure the hosts are released, except with --keep and where an earlier layers-services acquired them; on a
    terminal you are asked. A deployment that was cut off is gone on with: what is done already, with the same scenario
    and artifacts, is not done again.
    """
    from e2c.experiment import steps
    from e2c.experiment.lock import locked

    desk: render.Desk = context.obj
    played_on = testbed or desk.testbed
    if dry_run:
        _show(steps.plan_only(scenario_dir, artifacts_dir, played_on, desk), output)
        return
    wished = wish(keep=keep, destroy_on_fail=destroy_on_fail)
    with locked(scenario_dir):
        experiment = steps.deploy_all(
            scenario_dir,
            artifacts_dir,
            testbed=played_on,
            wish=wished,
            destroy_after=destroy,
            limit_s=limit,
            observe=desk,
        )
    render.data(str(experiment.folder))


def _show(plan: object, output: Format) -> None:
    from e2c.model.plan import Plan

    if not isinstance(plan, Plan):
        raise TypeError(type(plan))
    if output is Format.json:
        render.data_json(plan.model_dump(mode="json"))
        return
    hosts = [(host.key, host.testbed, host.provider, host.roles, host.reason) for host in plan.hosts]
    render.data(render.table(["host", "testbed", "provider", "roles", "reason"], hosts))
    if plan.links:
        links = [
            (link.src, link.dst, link.delay_ms, link.rate_kbit, link.loss_percent, link.reason) for link in plan.links
        ]
        render.data("")
        render.data(render.table(["from", "to", "delay ms", "rate kbit/s", "loss %", "reason"], links))
    if plan.plays:
        plays = [(play.selector, play.hosts, tuple(play.stages)) for play in plan.plays]
        render.data("")
        render.data(render.table(["play on", "hosts", "stages"], plays))
