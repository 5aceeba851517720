"""``e2clab provenance``: the provenance service by itself, without a scenario."""

from __future__ import annotations

import typer

from e2c.cli import forwarding

PROGRAM = "e2clab provenance"


def register(app: typer.Typer) -> None:
    """Add the command."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("provenance", context_settings=passed_on)(provenance)


def provenance(context: typer.Context) -> None:
    """Run the provenance service by itself.

    `e2clab provenance serve --data DIR` starts broker, database and translator on this machine; `e2clab provenance
    --help` shows the rest. With `--scenario SCENARIO_DIR` instead of `--data DIR`, list, show, lineage, compare and
    timeline ask the service of a deployed scenario.
    """
    scenario, arguments = forwarding.scenario_of(context.args)
    if scenario is not None:
        raise typer.Exit(forwarding.forward(scenario, arguments))
    from e2c.provenance.__main__ import main

    raise typer.Exit(main(arguments, PROGRAM))
