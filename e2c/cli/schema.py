"""``e2clab schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from e2c.cli import render


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schema")(schema)


def schema(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]", help="A file of a scenario, as network.yaml; without it all schemas in one object."
        ),
    ] = None,
    output_dir: Annotated[
        Path | None,
        typer.Option(
            "--output-dir", "-o", metavar="FOLDER", file_okay=False, help="Write the schemas there, a file each."
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of a scenario's file.

    Editors use it to complete and check keys. Checks that look across keys and files are those of check-configuration.
    """
    from e2c.config.load import MODELS, SUFFIXES
    from e2c.config.problems import listed, suggestion
    from e2c.config.schema import schemas
    from e2c.errors import E2CError

    texts = schemas()
    if file is not None:
        path = Path(file)
        name = path.stem if path.suffix in SUFFIXES else path.name.partition(".schema")[0]
        if name not in MODELS:
            known = [f"{one}.yaml" for one in MODELS]
            raise E2CError(f"{file} is no file of a scenario", hint=suggestion(file, known, f"Give {listed(known)}"))
        texts = {f"{name}.schema.json": texts[f"{name}.schema.json"]}
    if output_dir is not None:
        output_dir.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (output_dir / name).write_text(text, encoding="utf-8")
            render.note(str(output_dir / name))
    elif file is not None:
        render.data(next(iter(texts.values())).rstrip())
    else:
        render.data_json({name: json.loads(text) for name, text in texts.items()})
