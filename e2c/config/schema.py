"""JSON Schemas (2020-12) of the scenario's files, made from the models: ``python -m e2c.config.schema [FOLDER]``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from e2c.config.load import MODELS

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """The schema of a file (``network`` ...)."""
    made = MODELS[name].model_json_schema(mode="validation")
    _tidy(made)
    return {"$schema": DIALECT, "title": f"{name}.yaml", **made}


def schemas() -> dict[str, str]:
    """Text of every schema by the name of its file."""
    return {f"{name}.schema.json": json.dumps(schema(name), indent=2) + "\n" for name in MODELS}


def write(folder: Path) -> None:
    """Write all schemas into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


def _tidy(node: Any) -> None:
    """Drop what the generator adds for Python's sake: titles, and null where a key may only be absent."""
    if isinstance(node, list):
        for inner in node:
            _tidy(inner)
    if not isinstance(node, dict):
        return
    for properties in (node.get("properties"), node.get("$defs")):
        for inner in properties.values() if isinstance(properties, dict) else ():
            inner.pop("title", None)
    node.pop("title", None) if isinstance(node.get("title"), str) else None
    if "default" in node and node["default"] is None:
        del node["default"]
        options = [option for option in node.pop("anyOf", []) if option != {"type": "null"}]
        node.update(options[0] if len(options) == 1 else {"anyOf": options} if options else {})
    for inner in node.values():
        _tidy(inner)


def main() -> None:
    """``python -m e2c.config.schema [FOLDER]``."""
    parser = argparse.ArgumentParser(prog="python -m e2c.config.schema", description=write.__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", default=Path("schemas"))
    write(parser.parse_args().folder)


if __name__ == "__main__":
    main()
