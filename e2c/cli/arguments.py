"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from e2c.cli import completion

ScenarioDir = Annotated[
    Path,
    typer.Argument(
        metavar="SCENARIO_DIR",
        exists=True,
        file_okay=False,
        autocompletion=completion.folders,
        resolve_path=True,
        envvar="E2C_SCENARIO_DIR",
        help="Folder with layers_services.yaml, network.yaml and workflow.yaml.",
    ),
]
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
Keep = Annotated[bool, typer.Option("--keep", help="Keep the hosts when something fails; release is the default.")]
Limit = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="Wait at most so long for background tasks; default: each task's own limit (`async:`).",
    ),
]


class Format(str, Enum):
    """Output for people or for programs."""

    table = "table"
    json = "json"
