"""The reference of the scenario's files, made from their schemas: ``python -m e2c.config.reference``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2c.config.codes import CODES
from e2c.config.compose import MAX_ALIASED, MAX_DEPTH, MAX_NODES, MAX_NUMBER
from e2c.config.document import LARGE_BYTES, MAX_BYTES
from e2c.config.keywords import PLAY_KEYWORDS
from e2c.config.load import MODELS
from e2c.config.problems import MAX_PROBLEMS
from e2c.config.schema import schema
from e2c.config.settings import PREFIX, Settings

PAGE = Path("docs/reference/scenario-files.md")

INTRODUCTION = f"""\
# Files of a scenario

Made by `python -m e2c.config.reference` from the models that read the files; do not edit.

A scenario is a folder with `layers_services.yaml`, `network.yaml` and `workflow.yaml`, and `workflow_env.yaml` where
there are application configurations. The suffix `.yml` is read as well. Files written for E2Clab 3 are read unchanged.

Each file is one document in UTF-8 of at most {MAX_BYTES // 2**20} MiB, {MAX_NODES:,} values and {MAX_DEPTH} levels;
aliases may add {MAX_ALIASED:,} values, and a number may have {MAX_NUMBER:,} characters. Pipes and devices are not read.
Templates of a file of more than {LARGE_BYTES // 2**20} MiB are not checked. Of one sort of problem at most
{MAX_PROBLEMS:,} are told.
Values are read by the rules of YAML 1.1: `no` is false, `010` is 8 and `12:30:00` is 45000 unless they stand in quotes.
Keys may stand once; tags such as `!!python/object` are refused. Every problem is reported with file, line and column.

For completion and checks in an editor, begin a file with a line like

```yaml
# yaml-language-server: $schema=../../schemas/network.schema.json
```

A schema judges one file by itself. What only a check tells: dates that do not exist, units out of range (a delay of
more than 274s, a jitter of more than 2147ms, a rate beyond 8bit to 1tbit, a change later than a week), values of links
that need another one, reserved names and configurations that would hide a folder of results,
`key_name` beside another `ssh_key`, stages in the wrong order, repeated keys and whatever else YAML itself refuses, the
words and arguments of Ansible's tasks, templates, and everything that needs another file, the artifacts or the planned
hosts.

Which hosts a selector (`src`, `dst`, `hosts`, `service_selector`) chooses is told in [selectors](selectors.md).
"""


def text() -> str:
    """The page in Markdown."""
    parts = [INTRODUCTION]
    for name in MODELS:
        made = schema(name)
        about = made["description"].partition(": ")[2]
        parts.append(f"## {name}.yaml\n\n{about[0].upper()}{about[1:]}\n")
        parts += _sections(made, made.get("$defs", {}))
    parts += [_settings(), _codes()]
    return "\n".join(parts)


def _sections(made: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    yield _table(made) if "properties" in made else f"The file is a {_kind(made)}.\n"
    for name in _in_reading_order(made, definitions):
        yield f"### {name}\n\n{definitions[name]['description']}\n"
        yield _table(definitions[name])
        if name == "Play":
            keywords = ", ".join(f"`{keyword}`" for keyword in sorted(PLAY_KEYWORDS))
            yield f"Keywords that are passed on to Ansible: {keywords}.\n"


def _in_reading_order(made: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """Names of the definitions, each after the one that first needs it."""
    found: dict[str, None] = {}

    def visit(node: Any) -> None:
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            visit(value)
        name = node["$ref"].rpartition("/")[2] if isinstance(node, dict) and "$ref" in node else None
        if name is not None and name not in found:
            found[name] = None
            visit(definitions[name])

    visit({key: value for key, value in made.items() if key != "$defs"})
    return list(found)


def _table(made: dict[str, Any]) -> str:
    required = set(made.get("required", ()))
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in made["properties"].items():
        if not value:
            continue
        default = "required" if key in required else f"`{json.dumps(value['default'])}`" if "default" in value else ""
        examples = value.get("examples") or []
        meaning = value.get("description", "")
        if examples:
            example = examples[0] if isinstance(examples[0], str) else json.dumps(examples[0])
            meaning += f" Example: `{example}`."
        lines.append(f"| `{key}` | {_kind(value)} | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _kind(value: dict[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if "anyOf" in value:
        return " or ".join("nothing" if option == {"type": "null"} else _kind(option) for option in value["anyOf"])
    kind = value.get("type")
    if kind == "array":
        if "prefixItems" in value:
            return f"[{'; '.join(_kind(item) for item in value['prefixItems'])}]"
        return f"list of {_kind(value.get('items', {}))}"
    if kind == "object":
        inner = next(iter(value.get("patternProperties", {}).values()), value.get("additionalProperties"))
        return f"mapping of {_kind(inner)}" if isinstance(inner, dict) and inner else "mapping"
    if kind == "integer":
        low, high = value.get("minimum"), value.get("maximum")
        return "whole number" + (
            f", {low} to {high}" if high is not None else f", at least {low}" if low is not None else ""
        )
    if isinstance(kind, list):
        return "text, a number, true or false"
    return {"string": "text", "boolean": "true or false", "number": "number"}.get(str(kind), "anything")


def _settings() -> str:
    lines = ["## Environment variables", "", "An option of the command line goes before its variable.", ""]
    lines += ["| variable | meaning |", "|---|---|"]
    lines += [f"| `{PREFIX}{name.upper()}` | {field.description} |" for name, field in Settings.model_fields.items()]
    return "\n".join(lines) + "\n"


def _codes() -> str:
    lines = ["## Codes of problems", "", "| code | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{code}` | {meaning} |" for code, meaning in CODES.items())]) + "\n"


def main() -> None:
    """``python -m e2c.config.reference [PAGE]``."""
    parser = argparse.ArgumentParser(prog="python -m e2c.config.reference", description=__doc__)
    parser.add_argument("page", metavar="PAGE", type=Path, nargs="?", default=Path(PAGE))
    parser.parse_args().page.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
