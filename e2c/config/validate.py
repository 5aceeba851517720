"""From a document to its model, or to problems that a user can read."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, RootModel, ValidationError

from e2c.config.compose import Node
from e2c.config.document import Document
from e2c.config.problems import MAX_PROBLEMS, Path, Problem, bounded, dotted, listed, nearest, shown

MAX_NAMED = 12
"""Names that a hint lists."""

Model = TypeVar("Model", bound=BaseModel)

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}


def validate(
    document: Document, model: type[Model], context: dict[str, Any] | None = None
) -> tuple[Model | None, list[Problem]]:
    """The model of a document; ``None`` with problems when it is wrong.

    Args:
        context: what the model's validators may look at.
    """
    try:
        return model.model_validate(document.data, context=context), []
    except ValidationError as error:
        details = _details(model, document.data, error, context)
    problems = (_problem(document, model, detail) for detail in details if not _spurious(document, detail))
    return None, list(dict.fromkeys(bounded(problems)))


def validate_part(document: Document, path: Path, name: str, model: type[BaseModel], data: Any) -> list[Problem]:
    """What is wrong with a mapping of a document.

    Args:
        path: where it stands; name: what messages call it.
        data: what is to be looked at of it.
    """
    place = document.node(path)
    if place is None:
        return []
    line, column = place.line, place.column
    root = Node(line, column, {name: (place, place)}) if document.root else None
    outer = RootModel[dict[str, model]]  # type: ignore[valid-type]
    _, problems = validate(replace(document, data={name: data}, root=root), outer)
    return [replace(one, path=dotted(path) + one.path.removeprefix(name)) for one in problems]


def _details(model: type[BaseModel], data: Any, error: ValidationError, context: dict[str, Any] | None) -> list[Any]:
    """What is wrong; where very much is, what is wrong in the beginning of lists and mappings, to spare memory."""
    if error.error_count() > 10 * MAX_PROBLEMS:
        try:
            model.model_validate(_beginning(data), context=context)
        except ValidationError as first:
            return first.errors(include_url=False)
    return error.errors(include_url=False)


def _beginning(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _beginning(inner) for key, inner in islice(value.items(), 2 * MAX_PROBLEMS)}
    return [_beginning(inner) for inner in value[: 2 * MAX_PROBLEMS]] if isinstance(value, list) else value


def _spurious(document: Document, detail: Any) -> bool:
    """Whether a list is called too short only because its entries, which are told too, could not be read,
    or a key missing that is there, in a part of the file that was not looked at."""
    node = document.node(tuple(detail["loc"]))
    if detail["type"] == "missing":
        return node is not None
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
        if value is None:
            return document.problem(path, "null", f"{where} has no value; it must be {listed(choices)}", hint)
        numeric = any(value == str(choice) for choice in choices)
        near = nearest(value, map(str, choices)) if isinstance(value, str) else None
        hint = "Write it without quotes" if numeric else f"Did you mean {near!r}?" if near else ""
        return document.problem(path, "not-allowed", f"{where} must be {listed(choices)}, not {shown(value)}", hint)
    if kind in _BOUNDS:
        tail = f", not {shown(value)}" if kind in _COMPARED else ""
        return document.problem(path, "out-of-range", f"{where} must {_BOUNDS[kind].format(**context)}{tail}", hint)
    if kind == "string_pattern_mismatch" and not context["pattern"].startswith("^["):
        return document.problem(path, "name", f"{where} must match {context['pattern']}, not {shown(value)}", hint)
    if kind == "string_pattern_mismatch":
        bad = next((char for char in value if not re.match(context["pattern"], char)), "")
        return document.problem(path, "name", f"{where} may not hold {bad!r}", hint)
    message = detail["msg"]
    clause = f"{where} {message}" if message.split(" ")[0] in ("must", "may", "has") else message
    if message.startswith("must ") and " not " not in message:
        clause = f"{where} has no value; it {message}" if value is None else f"{clause}, not {shown(value)}"
    if "whole number" in message:
        hint = f"Write {int(value)}" if isinstance(value, float) and value.is_integer() else ""
    else:
        hint = hint or _quote_hint(document, path, kind)
    return document.problem(path, kind, clause, hint, key=key)


_COMPARED = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"})
_BOUNDS = {
    "greater_than": "be more than {gt}",
    "greater_than_equal": "be at least {ge}",
    "int_parsing_size": "be a smaller number",
    "less_than": "be less than {lt}",
    "less_than_equal": "be at most {le}",
    "multiple_of": "be a multiple of {multiple_of}",
    "string_too_short": "not be empty",
    "string_too_long": "have at most {max_length} characters",
    "too_short": "not be empty",
    "too_long": "have no more than {max_length} entries",
}


def _missing(document: Document, model: type[BaseModel], path: Path) -> Problem:
    """The problem of a missing key, where it belongs, or of the key that stands for it under a wrong name."""
    if isinstance(path[-1], int):
        message = f"{_named(path[:-1])} has too few values; value {path[-1] + 1} is missing"
        return document.problem(path[:-1], "missing-key", message, "Add it")
    known = fields(model, path[:-1])
    parent = document.node(path[:-1])
    there = parent.value if parent is not None and isinstance(parent.value, dict) else {}
    near = nearest(str(path[-1]), [key for key in there if key not in known])
    if near is not None:
        return unknown_key(document, (*path[:-1], near), known)
    message = f"the key {shown(path[-1])} is missing in {_named(path[:-1])}"
    line, column = gap(document, path, known)
    return document.at(line, column, "missing-key", message, "Add it", path=path)


def gap(document: Document, path: Path, known: Sequence[str]) -> tuple[int, int]:
    """Line and column of the key that a missing key would follow, if keys were written in the order of ``known``; of a
    key that is nearly the missing one."""
    parent = document.node(path[:-1])
    there = parent.value if parent is not None and isinstance(parent.value, dict) else {}
    near = nearest(str(path[-1]), [key for key in there if key not in known])
    before = known[: known.index(str(path[-1]))] if path[-1] in known else ()
    beside = near or next((key for key in reversed(before) if key in there), None)
    return document.position((*path[:-1], beside), key=True) if beside else document.position(path)


def unknown_key(
    document: Document, path: Path, known: Iterable[str], *, warn: bool = False, what: str = "key"
) -> Problem:
    """The problem of a key that means nothing where it stands, with the key that was probably meant."""
    names = [name for name in known if document.node((*path[:-1], name)) is None] or list(known)
    name = str(path[-1])
    near = nearest(name, names)
    more = f" and {len(names) - MAX_NAMED} others" if len(names) > MAX_NAMED else ""
    hint = f"Did you mean {near!r}?" if near else f"Known here: {', '.join(names[:MAX_NAMED])}{more}"
    message = f"the {what} {shown(name)} is not known in {_named(path[:-1])}"
    return document.problem(path, "unknown-key", message, hint, severity="warning" if warn else "error", key=True)


def _named(path: Path) -> str:
    if not path:
        return "this file"
    last = path[-1]
    if isinstance(last, str):
        return last
    if len(path) > 1 and isinstance(path[-2], int):
        return f"value {last + 1} of {_named(path[:-1])}"
    return f"entry {last + 1} of {path[-2]}" if len(path) > 1 else f"entry {last + 1}"


def _quote_hint(document: Document, path: Path, kind: str) -> str:
    node = document.node(path)
    if node is None:
        return ""
    if kind in {"int_type", "bool_type"} and not node.plain and _unquoted(node.text, kind):
        return f"Write it without quotes: {node.text}"
    if not node.plain or kind not in {"string_type", "type", "unit"}:
        return ""
    return f'Write it in quotes: "{node.text}"' if isinstance(node.value, (int, float)) else ""


def _unquoted(text: str, kind: str) -> bool:
    """Whether text without its quotes would be the whole number or truth value that is wanted."""
    return text.isdigit() if kind == "int_type" else text.lower() in {"true", "false", "yes", "no", "on", "off"}


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
