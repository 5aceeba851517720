"""From a document to its model, or to problems that a user can read."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, RootModel, ValidationError

from e2c.config.document import Document
from e2c.config.problems import Path, Problem, listed, nearest, shown

Model = TypeVar("Model", bound=BaseModel)

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}


def validate(document: Document, model: type[Model]) -> tuple[Model | None, list[Problem]]:
    """The model of a document; ``None`` with problems when it is wrong."""
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [_problem(document, model, detail) for detail in details if not _spurious(document, detail)]
    return None, list(dict.fromkeys(problems))


def _spurious(document: Document, detail: Any) -> bool:
    """Whether a list is called too short only because its entries, which are told too, could not be read."""
    node = document.node(tuple(detail["loc"]))
    return detail["type"] == "too_short" and node is not None and len(node.value) >= detail["ctx"]["min_length"]


def _problem(document: Document, model: type[BaseModel], detail: Any) -> Problem:
    kind: str = detail["type"]
    context: dict[str, Any] = detail.get("ctx") or {}
    path: Path = tuple(detail["loc"])
    key = False
    if path and path[-1] == "[key]":
        path, key = path[:-1], True
    value, hint = detail["input"], str(context.get("hint", ""))
    if kind == "missing":
        return _missing(document, model, path)
    if kind == "extra_forbidden":
        return unknown_key(document, path, fields(model, path[:-1]))
    if "key" in context:
        inner = (*path, context["key"]) if context["key"] else path
        return document.problem(inner, kind, detail["msg"], hint, key=True)
    where = _named(path)
    if kind in _WANTED:
        message = f"{where} must be {_WANTED[kind]}, not {shown(value)}"
        if value is None:
            message = f"{where} has no value; it must be {_WANTED[kind]}"
        return document.problem(path, "type", message, hint or _quote_hint(document, path, kind))
    if kind == "literal_error":
        choices = allowed(model, path)
        numeric = any(value == str(choice) for choice in choices)
        near = nearest(value, map(str, choices)) if isinstance(value, str) else None
        hint = "Write it without quotes" if numeric else f"Did you mean {near!r}?" if near else ""
        return document.problem(path, "not-allowed", f"{where} must be {listed(choices)}, not {shown(value)}", hint)
    if kind in _BOUNDS:
        tail = f", not {shown(value)}" if kind.endswith("_equal") else ""
        return document.problem(path, "out-of-range", f"{where} must {_BOUNDS[kind].format(**context)}{tail}", hint)
    message = detail["msg"]
    clause = f"{where} {message}" if message.split(" ")[0] in ("must", "may", "has") else message
    if isinstance(value, (str, int, float)) and message.startswith("must ") and " not " not in message:
        clause = f"{clause}, not {shown(value)}"
    return document.problem(path, kind, clause, hint or _quote_hint(document, path, kind), key=key)


_BOUNDS = {
    "greater_than_equal": "be at least {ge}",
    "less_than_equal": "be at most {le}",
    "string_too_short": "not be empty",
    "string_too_long": "have at most {max_length} characters",
    "too_short": "not be empty",
    "too_long": "have no more than {max_length} entries",
}


def _missing(document: Document, model: type[BaseModel], path: Path) -> Problem:
    """The problem of a missing key, where it belongs, or of the key that stands for it under a wrong name."""
    known = fields(model, path[:-1])
    parent = document.node(path[:-1])
    there = parent.value if parent is not None and isinstance(parent.value, dict) else {}
    near = nearest(str(path[-1]), [key for key in there if key not in known])
    if near is not None:
        return unknown_key(document, (*path[:-1], near), known)
    message = f"the key {shown(path[-1])} is missing in {_named(path[:-1])}"
    before = known[: known.index(str(path[-1]))] if path[-1] in known else ()
    beside = next((key for key in reversed(before) if key in there), None)
    line, column = document.position((*path[:-1], beside), key=True) if beside else document.position(path)
    return document.at(line, column, "missing-key", message, "Add it", path=path)


def unknown_key(
    document: Document, path: Path, known: Iterable[str], *, warn: bool = False, what: str = "key"
) -> Problem:
    """The problem of a key that means nothing where it stands, with the key that was probably meant."""
    names = [name for name in known if document.node((*path[:-1], name)) is None] or list(known)
    name = str(path[-1])
    near = nearest(name, names)
    hint = f"Did you mean {near!r}?" if near else f"Known here: {', '.join(sorted(names))}"
    message = f"the {what} {shown(name)} is not known in {_named(path[:-1])}"
    return document.problem(path, "unknown-key", message, hint, severity="warning" if warn else "error", key=True)


def _named(path: Path) -> str:
    if not path:
        return "this file"
    last = path[-1]
    if isinstance(last, str):
        return last
    return f"entry {last + 1} of {path[-2]}" if len(path) > 1 else f"entry {last + 1}"


def _quote_hint(document: Document, path: Path, kind: str) -> str:
    node = document.node(path)
    if node is None or not node.plain or kind not in {"string_type", "type", "unit"}:
        return ""
    return f'Write it in quotes: "{node.text}"' if isinstance(node.value, (int, float)) else ""


def fields(model: type[BaseModel], path: Path) -> tuple[str, ...]:
    """Names of the keys that a mapping at a path of a model may have."""
    found = _model_at(model, path)
    return tuple(found.model_fields) if found else ()


def allowed(model: type[BaseModel], path: Path) -> list[Any]:
    """Values that a key of a closed choice may have."""
    return list(typing.get_args(_literal(_annotation_at(model, path))))


def _literal(annotation: Any) -> Any:
    if typing.get_origin(annotation) is typing.Literal:
        return annotation
    for inside in typing.get_args(annotation):
        if typing.get_origin(inside) or typing.get_origin(annotation) is not typing.Annotated:
            found = _literal(inside)
            if found is not None:
                return found
    return None


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    return _model(_annotation_at(model, path))


def _annotation_at(model: Any, path: Path) -> Any:
    annotation: Any = model
    for part in path:
        inside = _model(annotation)
        if inside is not None and issubclass(inside, RootModel):
            annotation = inside.model_fields["root"].annotation
            inside = _model(annotation) if isinstance(part, str) else None
        if inside is not None and isinstance(part, str):
            field = inside.model_fields.get(part)
            annotation = field.annotation if field else None
        else:
            annotation = _element(annotation, part)
    return annotation


def _element(annotation: Any, part: str | int) -> Any:
    for option in _options(annotation):
        arguments = typing.get_args(option)
        if typing.get_origin(option) is tuple and isinstance(part, int):
            return arguments[0] if arguments[-1] is Ellipsis else arguments[min(part, len(arguments) - 1)]
        if typing.get_origin(option) is dict:
            return arguments[1]
    return None


def _model(annotation: Any) -> type[BaseModel] | None:
    for option in _options(annotation):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _options(annotation: Any) -> list[Any]:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return [inside for option in typing.get_args(annotation) for inside in _options(option)]
    if origin is typing.Annotated:
        return _options(typing.get_args(annotation)[0])
    return [annotation]
