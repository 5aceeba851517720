"""The committed schemas and reference are current, and a second implementation judges files as the models do."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from config_cases import CASES, TUTORIAL
from jsonschema import Draft202012Validator

from e2c.config import reference
from e2c.config.codes import CODES
from e2c.config.document import parse, read
from e2c.config.load import MODELS
from e2c.config.schema import schema, schemas
from e2c.config.validate import validate

ROOT = Path(__file__).parents[2]

LEFT_TO_CHECKS = {"workflow__misspelled_launch", "workflow__unknown_play_key"}
"""The model of a play keeps every key, and a check judges them, so that the message can name a keyword."""


@pytest.mark.parametrize(("name", "text"), schemas().items(), ids=list(schemas()))
def test_committed_schemas_are_current(name: str, text: str) -> None:
    assert (ROOT / "schemas" / name).read_text() == text, "run python -m e2c.config.schema"


def test_committed_reference_is_current() -> None:
    assert (ROOT / reference.PAGE).read_text() == reference.text(), "run python -m e2c.config.reference"


def test_every_code_is_used_and_sorted() -> None:
    sources = "".join(
        path.read_text() for room in ("config", "plan", "experiment") for path in (ROOT / "e2c" / room).glob("*.py")
    )

    assert list(CODES) == sorted(CODES)
    assert [code for code in CODES if sources.count(f'"{code}"') < 2] == []


@pytest.mark.parametrize("name", MODELS)
def test_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert '"null"' not in json.dumps(schema(name)) or name == "network"


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_described(name: str) -> None:
    made = schema(name)
    for where, definition in {name: made, **made.get("$defs", {})}.items():
        assert definition["description"], where
        for key, value in definition.get("properties", {}).items():
            assert not value or value["description"], f"{where}.{key}"


FILES = sorted([*TUTORIAL.glob("*.yaml"), *(CASES / "badconf").glob("*.yaml")])
YAML = [path for path in FILES if read(path, path.stem.partition("__")[0])[0].root is not None]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.stem)
def test_jsonschema_judges_as_the_models_do(path: Path) -> None:
    name = path.stem.partition("__")[0]
    document, _ = read(path, name)

    model, _ = validate(document, MODELS[name])

    assert accepts(name, document.data) == (model is not None and path.stem not in LEFT_TO_CHECKS)


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def accepts(name: str, data: Any) -> bool:
    return bool(validator(name).is_valid(data))


VALUES: list[Any] = [
    None,
    "",
    " ",
    "x",
    "../x",
    "a.b",
    0,
    1,
    -1,
    4,
    1.5,
    True,
    [],
    ["x"],
    [1],
    {},
    {"x": 1},
    "00:00:00",
    "100%",
    "1s",
]


@pytest.mark.parametrize("name", MODELS)
def test_models_and_schemas_agree_on_any_value_anywhere(name: str) -> None:
    """Every key of the good file gets every value of a list in turn, and is removed once."""
    good = read(TUTORIAL / f"{name}.yaml", name)[0].data
    differences = []
    for path in paths(good):
        for value in [*VALUES, ...]:
            changed = json.loads(json.dumps(good))
            put(changed, path, value)
            document, problems = parse(json.dumps(changed).encode(), "changed.yaml", name)
            assert not problems or changed in (None, "")
            mine = validate(document, MODELS[name])[0] is not None
            if mine != accepts(name, document.data):
                differences.append((path, value, mine))
    assert differences == []


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += paths(inner, (*path, key))
    return found


def put(data: Any, path: tuple[str | int, ...], value: Any) -> None:
    for part in path[:-1]:
        data = data[part]
    if value is ...:
        del data[path[-1]]
    else:
        data[path[-1]] = value


@pytest.mark.parametrize("name", MODELS)
def test_examples_fit_their_own_schema(name: str) -> None:
    made = schema(name)
    for definition in (made, *made.get("$defs", {}).values()):
        for value in definition.get("properties", {}).values():
            for example in value.get("examples", ()):
                Draft202012Validator({**value, "$defs": made.get("$defs", {})}).validate(example)


EXAMPLES = sorted(path for name in MODELS for path in (ROOT / "examples").rglob(f"{name}.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_name_their_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    prefix = "# yaml-language-server: $schema="

    assert first.startswith(prefix)
    assert (path.parent / first.removeprefix(prefix)).resolve() == ROOT / "schemas" / f"{path.stem}.schema.json"
