"""``e2clab exec``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from e2c.cli import completion, render
from e2c.cli.arguments import Format, ScenarioDir


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("exec")(execute)


def execute(
    scenario_dir: ScenarioDir,
    selector: Annotated[
        str,
        typer.Argument(
            metavar="SELECTOR",
            help="Hosts: a service key, layer, service or role, or a pattern of them.",
            autocompletion=completion.selectors,
        ),
    ],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="Command and its arguments.")],
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Time limit on each host.")] = 3600,
    output: Annotated[Format, typer.Option("--format", help="Output for people or for programs.")] = Format.table,
) -> None:
    """Run a command on chosen hosts, all at once.

    Shows what each printed. One word is a shell command line; several words are passed on unchanged. Exit code
    1 if it failed anywhere.
    """
    from e2c.experiment import report

    results = report.execute(scenario_dir, selector, command, timeout, render.note)
    if output is Format.json:
        render.data_json(
            [
                {"host": result.key, "rc": result.rc, "stdout": result.stdout, "stderr": result.stderr}
                for result in results.values()
            ]
        )
    else:
        for result in results.values():
            head = f"{result.key}:" if result.ok else f"{result.key}: exit code {result.rc}"
            render.data(head)
            for line in result.stdout.splitlines():
                render.data(f"  {line}")
            for line in result.stderr.splitlines():
                render.note(f"  {line}")
    if not all(result.ok for result in results.values()):
        sys.stdout.flush()
        raise typer.Exit(1)
