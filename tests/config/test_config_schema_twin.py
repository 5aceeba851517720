"""Documents made from the schemas themselves are judged alike by the schemas and by the models."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from config_cases import TUTORIAL
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from e2c.config.document import parse, read
from e2c.config.load import MODELS
from e2c.config.schema import schema
from e2c.config.validate import validate

SCHEMAS = {name: schema(name) for name in MODELS}
VALIDATORS = {name: Draft202012Validator(made) for name, made in SCHEMAS.items()}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70) | st.floats(-2, 2) | st.text("ab./ 0%:", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)
LEFT_TO_CHECKS = re.compile(
    r"must be a date that exists|hides? a folder|would hide|must not be '|must not be (longer|later)"
    r"|must lie between 8bit|name different files|end comes before|\.\."
)
"""What docs/reference/scenario-files.md says that schemas do not tell."""


def made_from(node: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Documents for a schema; not all of them fit, because conditions between keys are not looked at."""
    if "$ref" in node:
        return made_from(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "const" in node or "enum" in node:
        return st.sampled_from(node.get("enum", [node.get("const")]))
    if "anyOf" in node and "properties" not in node:
        return st.one_of([made_from(option, definitions) for option in node["anyOf"]])
    kind = node.get("type")
    if kind == "object":
        return mapping(node, definitions)
    if kind == "array":
        inner = made_from(node.get("items", {}), definitions)
        return st.lists(inner, min_size=node.get("minItems", 0), max_size=max(2, node.get("minItems", 0)))
    if kind == "string":
        return text(node)
    if kind == "integer":
        low = node.get("minimum", -3)
        return st.integers(low, min(node.get("maximum", low + 5), low + 5))
    return {"boolean": st.booleans(), "null": st.none()}.get(str(kind), ANY)


def text(node: dict[str, Any]) -> st.SearchStrategy[str]:
    if "pattern" in node:
        found = st.from_regex(re.compile(node["pattern"], re.ASCII)).map(
            lambda value: value[: node.get("maxLength", 80)]
        )
        return found.filter(lambda value: re.search(node["pattern"], value) is not None and value.isprintable())
    return st.text("abc.*-_ 1", min_size=node.get("minLength", 0), max_size=8)


def mapping(node: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    keys = {key: made_from(inner, definitions) for key, inner in node.get("properties", {}).items()}
    required = set(node.get("required", ()))
    some = st.fixed_dictionaries(
        {key: made for key, made in keys.items() if key in required},
        optional={key: made for key, made in keys.items() if key not in required},
    )
    patterns = node.get("patternProperties", {})
    free = node.get("additionalProperties")
    if patterns:
        (pattern, inner) = next(iter(patterns.items()))
        names = text({"pattern": pattern, "maxLength": 20})
        return st.dictionaries(names, made_from(inner, definitions), max_size=3)
    if isinstance(free, dict):
        return st.dictionaries(st.text("abc_1", min_size=1, max_size=4), made_from(free, definitions), max_size=3)
    return some


DOCUMENTS = {name: made_from(made, made.get("$defs", {})) for name, made in SCHEMAS.items()}


def places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found += [(value, key), *places(inner)]
    return found


def verdicts(name: str, data: Any) -> tuple[bool, bool, list[str]]:
    """Whether the schema takes it, whether the model does, and why the model does not."""
    document, problems = parse(json.dumps(data).encode(), "made.yaml", name)
    assume(not problems)  # an empty file has no data to judge
    model, found = validate(document, MODELS[name])
    return VALIDATORS[name].is_valid(document.data), model is not None, [problem.message for problem in found]


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_a_schema_takes_the_model_takes(name: str, data: st.DataObject) -> None:
    schema_takes, model_takes, why = verdicts(name, data.draw(DOCUMENTS[name]))

    if model_takes or not any(LEFT_TO_CHECKS.search(message) for message in why):
        assert (schema_takes, model_takes) in {(True, True), (False, False)}, why


@pytest.mark.parametrize("name", MODELS)
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_was_changed_is_judged_alike(name: str, data: st.DataObject) -> None:
    good = read(TUTORIAL / f"{name}.yaml", name)[0].data
    changed = json.loads(json.dumps(data.draw(st.just(good) | DOCUMENTS[name])))
    for _ in range(data.draw(st.integers(1, 3))):
        where = places(changed)
        assume(where)
        holder, key = data.draw(st.sampled_from(where))
        if data.draw(st.booleans()):
            holder[key] = data.draw(ANY)
        else:
            del holder[key]

    schema_takes, model_takes, why = verdicts(name, changed)

    if model_takes or not any(LEFT_TO_CHECKS.search(message) for message in why):
        assert (schema_takes, model_takes) in {(True, True), (False, False)}, why
