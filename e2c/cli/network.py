"""``e2clab network`` and ``e2clab network set``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from e2c.cli import completion, render
from e2c.cli.arguments import Format
from e2c.cli.arguments import scenario_dir as scenario_argument
from e2c.cli.default_command import DEFAULT, DefaultCommandGroup
from e2c.cli.keeping import DestroyOnFail, wish

NAME = "network"
LINKS = ("from", "to", "address", "asked", "tc", "measured", "verdict")
CHANGES = ("at", "by", "src", "dst", "symmetric", "words")
"""Columns of tables."""

group = typer.Typer(rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name=NAME, cls=DefaultCommandGroup, help="Shape the links of network.yaml and measure them.")


@group.command(DEFAULT)
def network(
    context: typer.Context,
    scenario_dir: Annotated[Path, scenario_argument(completion.folders_or_set)],
    show: Annotated[
        bool, typer.Option("--show", help="Change nothing: show what is asked, what tc says, what was measured.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Remove the shaping of all links.")] = False,
    rate: Annotated[bool, typer.Option("--rate", help="Measure rates as well; needs iperf3 on the hosts.")] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="A link that is not as asked is told, and is no error.")
    ] = False,
    form: Annotated[Format, typer.Option("--format", help="Output for people or for programs.")] = Format.table,
    destroy_on_fail: DestroyOnFail = False,
) -> None:
    """Shape the links of network.yaml and measure them.

    The measurement is compared with what was asked and written to network-validate/ in the output folder; a
    link that is not as asked is an error. Run it again after editing network.yaml: only what differs is changed, and
    links that were changed by hand (`set`) are as in the file again.
    """
    if show + reset > 1 or ((show or reset) and (rate or no_verify)):
        raise typer.BadParameter("--show and --reset stand alone")
    from e2c.experiment import links, steps
    from e2c.experiment.failure import guarded
    from e2c.experiment.lock import locked

    desk: render.Desk = context.obj
    if show:
        _show(scenario_dir, form)
        return
    with locked(scenario_dir):
        if reset:
            links.reset_links(links.deployed(scenario_dir, desk))
            return
        experiment = steps.take_up(scenario_dir, NAME, desk)
        with guarded(experiment, wish(destroy_on_fail=destroy_on_fail)):
            links.emulate(experiment, rate=rate, verify=not no_verify)
    if form is Format.json:
        render.data_json(list(experiment.state.links))
    else:
        render.data(str(experiment.folder / links.FOLDER))


def _show(scenario: Path, form: Format) -> None:
    from e2c.errors import RemoteError
    from e2c.experiment import links

    shown = links.shown(scenario)
    if form is Format.json:
        render.data_json(shown)
    else:
        _tabulate(shown)
    if shown["silent"]:
        why = "; ".join(f"{key}: {reason}" for key, reason in shown["silent"].items())
        raise RemoteError("not all hosts answer, so what tc says there is not known", why=why)


def _tabulate(shown: dict[str, Any]) -> None:
    from e2c.emulation.showing import AGREES

    for row in shown["links"]:
        row["tc"] = row["tc"] if row["state"] == AGREES else f"{row['tc']} ({row['state']})".lstrip()
    if shown["links"]:
        render.data(render.table(LINKS, [[row[column] for column in LINKS] for row in shown["links"]]))
    else:
        render.note("no link is shaped")
    if shown["changes"]:
        render.data("")
        render.data(render.table(CHANGES, [[change[column] for column in CHANGES] for change in shown["changes"]]))
    if shown["edited"]:
        render.note("network.yaml was edited since its rules were applied")
    if shown["playing"] is not None:
        render.note(f"a schedule is at play, or was cut off: that of {shown['playing']}")


def _is_default(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "DEFAULT"


@group.command("set")
def set_values(
    context: typer.Context,
    src: Annotated[
        str, typer.Argument(metavar="SRC", autocompletion=completion.selectors, help="Hosts that send: any selector.")
    ],
    dst: Annotated[str, typer.Argument(metavar="DST", autocompletion=completion.selectors, help="Hosts that receive.")],
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            autocompletion=completion.link_values,
            help="As in network.yaml: delay=100ms, jitter=5ms, rate=1mbit, loss=5% ...; also down, and up.",
        ),
    ],
    symmetric: Annotated[bool, typer.Option("--symmetric", help="The way back, too.")] = False,
    form: Annotated[Format, typer.Option("--format", help="Output for people or for programs.")] = Format.table,
    scenario_dir: Annotated[
        Path,
        typer.Option(
            "--scenario",
            metavar="SCENARIO_DIR",
            exists=True,
            file_okay=False,
            autocompletion=completion.folders,
            resolve_path=True,
            envvar="E2C_SCENARIO_DIR",
            help="Folder of a deployed scenario.",
        ),
    ] = Path(),
) -> None:
    """Change links of a deployed scenario now.

    What is not named stays as it is. Also while another command runs the workflow. Each change is written to
    network-validate/changes.jsonl with the times at which it was sent and confirmed; it holds until network.yaml
    is applied again.
    """
    if not any(scenario_dir.glob("layers_services.y*ml")) and _is_default(context, "scenario_dir"):
        raise typer.BadParameter(f"{scenario_dir} holds no scenario. Give --scenario SCENARIO_DIR")
    from e2c.config.assignments import read_change
    from e2c.errors import ScenarioError
    from e2c.experiment import links

    try:
        read_change(src, dst, values, symmetric=symmetric)
    except ScenarioError as error:
        raise typer.BadParameter(f"{error.what}. {error.hint}" if error.hint else error.what) from error

    desk: render.Desk = context.obj
    done = links.change(scenario_dir, src, dst, values, symmetric=symmetric, observe=desk)
    if form is Format.json:
        render.data_json(done)
    else:
        pairs = f"{done['pairs']} pair{'' if done['pairs'] == 1 else 's'} of hosts"
        render.data(f"{done['at']}  {src} to {dst}: {done['words']} ({pairs})")
