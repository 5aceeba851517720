"""``e2clab services``: the plugins that deploy services."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from e2c.cli import completion, render
from e2c.cli.arguments import Format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from e2c.services.declaring import Declared
    from e2c.services.finding import Broken, Found

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="What scenarios call the service.", autocompletion=completion.service_plugins),
]
Scenario = Annotated[
    Path | None,
    typer.Option(
        metavar="SCENARIO_DIR",
        exists=True,
        file_okay=False,
        resolve_path=True,
        help="Also the plugins in services/ of this scenario.",
        autocompletion=completion.folders,
    ),
]
Output = Annotated[Format, typer.Option("--format", help="Output for people or for programs.")]


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app, name="services")


@app.callback()
def group() -> None:
    """Plugins that deploy services.

    A service of layers_services.yaml is deployed by the plugin of its name: a class in services/ of the scenario, in
    your own folder of plugins, or in an installed distribution. A service without a plugin only takes its hosts.
    """


@app.command("list")
def list_(scenario: Scenario = None, output: Output = Format.table) -> None:
    """List all plugins.

    Also files that define none, with the reason. Nothing of a plugin is run.
    """
    found, broken = _look(scenario)
    if output is Format.json:
        render.data_json({"plugins": [_json(one) for one in found], "broken": [_broken(one) for one in broken]})
        return
    rows = [(one.name, "hidden" if one.hidden else one.origin, _style(one), one.source) for one in found]
    render.data(render.table(["service", "from", "written for", "source"], rows))
    for one in broken:
        render.warning(f"{one.path}:{one.line}: it defines no service: {one.reason}")


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="Python file of a plugin.")],
    link: Annotated[
        bool, typer.Option("--link/--copy", help="Point to the file, so that it may still be edited; or copy it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
) -> None:
    """Add a plugin to your own folder of plugins.

    The file is loaded once, and refused when that fails. Files written for E2Clab (`from e2clab import Service`) will
    do. Prints where it lies. For a single scenario put the file into its folder services/ instead.
    """
    from e2c.experiment.events import Event
    from e2c.services import installing

    desk: render.Desk = context.obj
    target, found = installing.add(
        file, link=link, force=force, tell=lambda text: desk(Event("step", "services", text))
    )
    names = ", ".join(one.name for one in found)
    render.note(f"services called {names} are deployed by it")
    render.data(str(target))


@app.command()
def remove(name: Name) -> None:
    """Remove a plugin from your own folder of plugins.

    A link is removed, not the file that it points to. Prints what was removed.
    """
    from e2c.services import installing

    for path in installing.remove(name):
        render.data(str(path))


@app.command()
def show(name: Name, scenario: Scenario = None, output: Output = Format.table) -> None:
    """Show what a plugin says of itself.

    Its docstring, its file, the hooks that it has, the sub-services that it registers, and the metadata that it looks
    for, as far as its text tells; of keys that it declares the type, range and default. Nothing of it is run.
    """
    from e2c.services import finding

    found, _ = _look(scenario)
    one = finding.chosen(name, found)
    if one is None:
        raise finding.unknown(name)
    if output is Format.json:
        render.data_json(_json(one))
    else:
        render.data(_text(one))


def _look(scenario: Path | None) -> tuple[list[Found], list[Broken]]:
    from e2c import plugins
    from e2c.services import finding

    if scenario is not None:
        plugins.look_in(scenario)
    return finding.available(), finding.broken()


def _style(one: Found) -> str:
    return "E2Clab" if one.e2clab else "e2c"


def _json(one: Found) -> dict[str, Any]:
    known = one.definition
    return {
        "name": one.name,
        "from": one.origin,
        "hidden": one.hidden,
        "source": one.source,
        "line": known.line if known else None,
        "class": known.cls if known else None,
        "written_for": _style(one),
        "doc": known.doc if known else "",
        "hooks": list(known.hooks) if known else [],
        "sub_services": list(one.sub_services),
        "metadata": list(known.keys) if known else [],
        "declared": _declared(known.declared) if known and known.declared is not None else None,
    }


def _declared(keys: Mapping[str, Declared]) -> list[dict[str, Any]]:
    return [
        {
            "key": key.name,
            "type": key.kind,
            "required": key.default is ...,
            "default": None if key.default is ... else key.default,
            **key.limits,
        }
        for key in keys.values()
    ]


def _broken(one: Broken) -> dict[str, Any]:
    return {"path": str(one.path), "line": one.line, "reason": one.reason, "from": one.origin}


def _text(one: Found) -> str:
    parts, known = _json(one), one.definition
    lines = [f"{one.name} ({one.origin}, written for {parts['written_for']})", one.place]
    if parts["doc"]:
        lines += ["", parts["doc"]]
    lines.append("")
    for title, values in (
        ("hooks", parts["hooks"]),
        ("sub-services", parts["sub_services"]),
        *([("metadata it looks for", parts["metadata"])] if known is None or known.declared is None else []),
    ):
        lines.append(f"{title}: {', '.join(values) or 'none'}")
    if known is not None and known.declared is not None:
        lines += ["keys:", *(f"  {key.name}: {key.described}" for key in known.declared.values())]
    if known is not None and known.unclear is not None:
        lines.append(f"keys: cannot be read in line {known.unclear[0]}: {known.unclear[1]}")
    return "\n".join(lines)
