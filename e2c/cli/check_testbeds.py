"""``e2clab check-testbeds``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from e2c.cli import completion, render
from e2c.cli.arguments import Format

if TYPE_CHECKING:
    from e2c.experiment.testbeds import Examined


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check-testbeds")(check_testbeds)


def check_testbeds(
    context: typer.Context,
    testbeds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TESTBED]...",
            help="Testbeds to look at, as local, g5k or iotlab; default: those of the scenario, or all.",
            autocompletion=completion.testbeds,
        ),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            metavar="SCENARIO_DIR",
            exists=True,
            file_okay=False,
            resolve_path=True,
            help="Look with the keys of this scenario, as its ssh key.",
            autocompletion=completion.folders,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Time in which a testbed must be found out about.")
    ] = 120,
    output: Annotated[Format, typer.Option("--format", help="Output for people or for programs.")] = Format.table,
) -> None:
    """Find out which testbeds can be used.

    Looked at are credentials, the answers of the testbed, and the ssh key; what is missing is told with the way to get
    it. Nothing is reserved. Exit code 1 when a testbed that was named, or that the scenario uses, cannot be used.
    """
    from e2c.experiment import testbeds as experiments
    from e2c.experiment.events import Event

    desk: render.Desk = context.obj
    settings = experiments.settings_of(scenario, desk.testbed) if scenario else {}
    asked = list(dict.fromkeys(testbeds or settings))
    _known(asked, list(settings))
    desk(Event("wait", "check", f"looking at {', '.join(asked) or 'all testbeds'}"))
    found = experiments.examine(asked, settings, timeout)
    if output is Format.json:
        render.data_json([_json(one) for one in found])
    else:
        render.data(_text(found))
        sys.stdout.flush()
        for line in _remedies(found):
            render.data(line)
    if any(one.asked and one.state != "ok" for one in found):
        raise typer.Exit(1)


def _known(asked: list[str], used: list[str]) -> None:
    from e2c import plugins
    from e2c.config.problems import listed, suggestion

    known = plugins.names(plugins.ENVIRONMENTS)
    for name in asked:
        if name not in known and name not in used:
            raise typer.BadParameter(f"there is no testbed {name}. {suggestion(name, known, f'Give {listed(known)}')}")


def _json(one: Examined) -> dict[str, object]:
    findings = [finding.model_dump() for finding in one.findings]
    return {"testbed": one.testbed, "state": one.state, "asked": one.asked, "findings": findings}


def _text(found: list[Examined]) -> str:
    words = {True: "ok", False: "failed", None: "-"}
    rows: list[tuple[str | None, ...]] = []
    for one in found:
        begin: tuple[str, str] = one.testbed, one.state
        for finding in one.findings:
            rows.append((*begin, finding.aspect, words[finding.ok], finding.text))
            begin = "", ""
        if not one.findings:
            rows.append(
                (*begin, None, None, "nothing to look at; a scenario that uses it can be named with --scenario")
            )
    return render.table(["testbed", "state", "looked at", "result", "found"], rows)


def _remedies(found: list[Examined]) -> list[str]:
    lines = [
        f"{one.testbed}, {finding.aspect}: {finding.remedy.rstrip('.')}."
        for one in found
        for finding in one.findings
        if finding.remedy
    ]
    return ["", *lines] if lines else []
