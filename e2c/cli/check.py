"""``e2clab check-configuration``."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated

import typer

from e2c.cli import render
from e2c.cli.arguments import ReadArtifacts, ReadScenario, Testbed


class Command(str, Enum):
    """Commands that read a scenario."""

    deploy = "deploy"
    layers_services = "layers-services"
    network = "network"
    workflow = "workflow"
    finalize = "finalize"


class ProblemsFormat(str, Enum):
    """Output of problems."""

    text = "text"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-configuration")(check_configuration)


def check_configuration(
    context: typer.Context,
    scenario_dir: ReadScenario,
    artifacts_dir: ReadArtifacts = None,
    command: Annotated[
        Command, typer.Option("--command", "-c", help="Check the files that this command needs, and those that follow.")
    ] = Command.deploy,
    workflow_env: Annotated[
        bool, typer.Option("--workflow-env", "-a", help="Check workflow_env.yaml as well.")
    ] = False,
    of_e2clab: Annotated[
        bool, typer.Option("--app-conf", "--app_conf", hidden=True, help="What E2Clab calls --workflow-env.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors.")] = False,
    output: Annotated[
        ProblemsFormat, typer.Option("--format", help="Output for people or for programs.")
    ] = ProblemsFormat.text,
    testbed: Testbed = None,
) -> None:
    """Find everything wrong with a scenario.

    Nothing is acquired. Every problem is shown at once, with file, line, column, the way to the key, and what to do.
    With ARTIFACTS_DIR the files that tasks copy are looked for and the dataflow specification is evaluated.
    A good scenario says nothing. Exit code 1 when there is an error (with --strict also a warning).
    """
    from e2c.experiment.check import examine

    desk: render.Desk = context.obj
    found = examine(
        scenario_dir,
        artifacts_dir,
        command.value,
        testbed=testbed or desk.testbed,
        configurations=workflow_env or of_e2clab,
    ).problems
    if output is ProblemsFormat.json:
        render.data_json([problem.as_dict() for problem in found])
    else:
        render.problems(found, sys.stdout)
        if sys.stderr.isatty() and not desk.quiet:  # a script has the exit code
            render.note(f"{scenario_dir}: {render.counted(found)}")
    if any(strict or problem.severity == "error" for problem in found):
        raise typer.Exit(1)
