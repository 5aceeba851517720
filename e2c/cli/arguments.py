"""Arguments and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from e2c.cli import completion


def scenario_dir(complete: Callable[..., list[str]]) -> Any:
    """The argument SCENARIO_DIR, whose words are proposed by a function of :mod:`e2c.cli.completion`."""
    return typer.Argument(
        metavar="SCENARIO_DIR",
        exists=True,
        file_okay=False,
        autocompletion=complete,
        resolve_path=True,
        envvar="E2C_SCENARIO_DIR",
        help="Folder with layers_services.yaml, network.yaml and workflow.yaml.",
    )


ScenarioDir = Annotated[Path, scenario_dir(completion.folders)]
ArtifactsDir = Annotated[
    Path,
    typer.Argument(
        metavar="ARTIFACTS_DIR",
        exists=True,
        file_okay=False,
        autocompletion=completion.folders,
        resolve_path=True,
        envvar="E2C_ARTIFACTS_DIR",
        help="Folder with your own files: applications, dataflow specification, data.",
    ),
]
ReadScenario = Annotated[
    Path,
    typer.Argument(
        metavar="SCENARIO_DIR",
        exists=True,
        file_okay=False,
        autocompletion=completion.folders,
        envvar="E2C_SCENARIO_DIR",
        help="Folder with layers_services.yaml, network.yaml and workflow.yaml.",
    ),
]
"""The scenario folder of a command that only reads: its messages show the path as it was given."""
ReadArtifacts = Annotated[
    Path | None,
    typer.Argument(
        metavar="[ARTIFACTS_DIR]",
        exists=True,
        file_okay=False,
        autocompletion=completion.folders,
        envvar="E2C_ARTIFACTS_DIR",
        help="Folder with your own files: applications, dataflow specification, data.",
    ),
]
Testbed = Annotated[
    str | None,
    typer.Option(
        help="Play every testbed of the scenario on this one: `local` is a rehearsal.",
        autocompletion=completion.rehearsals,
    ),
]


def finite(seconds: float | None) -> float | None:
    """A number of seconds that passes.

    Raises:
        click.UsageError: it is `nan` or `inf`.
    """
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds} is no number of seconds.")
    return seconds


Keep = Annotated[bool, typer.Option("--keep", help="Keep the hosts when something fails; release is the default.")]
Limit = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        callback=finite,
        help="Wait at most so long for background tasks; default: each task's own limit (`async:`).",
    ),
]
AppConf = Annotated[
    str,
    typer.Option(
        "--app_conf",
        "--app-conf",
        metavar="NAME,...",
        autocompletion=completion.configurations,
        help="Run with these application configurations of workflow_env.yaml, one after the other.",
    ),
]


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas, each once; blanks around them do not count.

    Raises:
        click.UsageError: there are commas only.
    """
    found = tuple(dict.fromkeys(name for name in map(str.strip, text.split(",")) if name))
    if text.strip() and not found:
        raise typer.BadParameter(f"{text!r} holds no name")
    return found


class Format(str, Enum):
    """Output for people or for programs."""

    table = "table"
    json = "json"
