"""What keys a service plugin takes: declared in its class, read from its text, checked before anything is acquired.

Two classes inside that of the plugin declare them, as models of pydantic are written: ``Env`` the keys of ``env:``,
``Keys`` those of the service itself. Only plain types and values mean anything there, so that the file need not be run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from e2c.config.shape import Closed
from e2c.errors import ServiceError

ENV, KEYS = "Env", "Keys"
"""Names of the classes that declare."""

_TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict, "Any": Any}
_LIMITS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern", "description", "examples")
_SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "multiple_of": "multiple of", "pattern": "matches"}
_SIGNS |= {"min_length": "length >=", "max_length": "length <="}


class Unreadable(ValueError):
    """A declaration that cannot be understood without being run."""

    def __init__(self, node: ast.AST, why: str) -> None:
        super().__init__(why)
        self.line: int = getattr(node, "lineno", 1)


@dataclass(frozen=True)
class Declared:
    """A key that a plugin takes.

    Attributes:
        name: ``env.PORT``, or ``image`` for one of the service itself.
        kind: its type, as it is written.
        annotation: its type.
        default: its value unless given; ``...``: it must be given.
        limits: what else is asked of it, by the words of pydantic.
        line: where it is declared.
    """

    name: str
    kind: str
    annotation: Any
    default: Any
    limits: Mapping[str, Any]
    line: int

    @property
    def described(self) -> str:
        """Its type, range, default and description, for people."""
        parts = [self.kind, *(f"{_SIGNS[name]} {value}" for name, value in self.limits.items() if name in _SIGNS)]
        parts.append("required" if self.default is ... else f"default {self.default!r}")
        text = self.limits.get("description")
        return f"{', '.join(parts)}{f': {text}' if text else ''}"


class _Strict(Closed):
    model_config = ConfigDict(strict=True, protected_namespaces=(), defer_build=False, arbitrary_types_allowed=False)


def declared(chain: Sequence[ast.ClassDef]) -> dict[str, Declared] | None:
    """The keys that a plugin declares, by name; ``None`` where it declares nothing, and takes whatever is given.

    Args:
        chain: its class, then those it is derived from.

    Raises:
        Unreadable: a declaration cannot be understood.
    """
    found: dict[str, Declared] = {}
    any_of_them = False
    for one in reversed(chain):
        for inner in one.body:
            if isinstance(inner, ast.ClassDef) and inner.name in (ENV, KEYS):
                any_of_them = True
                made = {key.name: key for key in _keys(inner, "env." if inner.name == ENV else "")}
                found |= made
    return found if any_of_them else None


def model(keys: Mapping[str, Declared]) -> type[BaseModel]:
    """The model of the keys of a service that a plugin declares: those of the service itself, and ``env``."""
    own = {name: _field(key) for name, key in keys.items() if not name.startswith("env.")}
    env = {name.partition(".")[2]: _field(key) for name, key in keys.items() if name.startswith("env.")}
    if env:
        inner = create_model("env", __base__=_Strict, **env)
        own["env"] = (inner, Field(default={}, validate_default=True))
    return create_model("service", __base__=_Strict, **own)


def chosen(keys: Mapping[str, Declared], metadata: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a service's keys that its plugin's declaration is about.

    Args:
        known: keys of services that every service may have.
    """
    own = any(not name.startswith("env.") for name in keys)
    env = any(name.startswith("env.") for name in keys)
    return {
        name: value
        for name, value in metadata.items()
        if (name == "env" and env) or name in keys or (own and name not in known)
    }


def settled(keys: Mapping[str, Declared], metadata: Mapping[str, Any], service: str) -> dict[str, Any]:
    """The metadata of a service with the defaults that its plugin declares.

    Raises:
        ServiceError: a value is none that the plugin takes.
    """
    given = {name: value for name, value in metadata.items() if name in keys or name == "env"}
    if not any(name.startswith("env.") for name in keys):
        given.pop("env", None)
    try:
        made = model(keys).model_validate(given).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ServiceError(
            f"service {service} has a value that its plugin does not take", why=f"{name}: {first['msg']}"
        ) from error
    return {**metadata, **made}


def _field(key: Declared) -> Any:
    return (key.annotation, Field(key.default, **key.limits))


def _keys(inner: ast.ClassDef, prefix: str) -> Iterator[Declared]:
    for node in inner.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # its docstring
        if isinstance(node, ast.Pass):
            continue
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            raise Unreadable(node, f"{inner.name} declares keys as `NAME: type` or `NAME: type = default` only")
        name = node.target.id
        if name.startswith("_"):
            raise Unreadable(node, f"a key may not begin with an underscore: {name}")
        default, limits = _given(node.value)
        key = Declared(
            prefix + name, ast.unparse(node.annotation), _type(node.annotation), default, limits, node.lineno
        )
        _tried(node, name, key)
        yield key


def _tried(node: ast.AST, name: str, key: Declared) -> None:
    """See that pydantic can make a field of a key, and that its default is a value that it takes.

    Raises:
        Unreadable: not so.
    """
    try:
        made = create_model("key", __base__=_Strict, **{name: _field(key)})
        if key.default is not ... and key.default is not None:
            made.model_validate({name: key.default})
    except ValidationError as error:
        raise Unreadable(node, f"{name}: the default is none that it takes: {error.errors()[0]['msg']}") from None
    except (PydanticUserError, SchemaError, TypeError, ValueError, NameError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unreadable(node, f"{name} cannot be declared so: {why}") from None


def _given(value: ast.expr | None) -> tuple[Any, dict[str, Any]]:
    """Default and limits: what is assigned, be it a value or a call of ``Field``."""
    if value is None:
        return ..., {}
    if not isinstance(value, ast.Call):
        return _literal(value), {}
    if (value.func.id if isinstance(value.func, ast.Name) else getattr(value.func, "attr", "")) != "Field":
        raise Unreadable(value, f"a default is a plain value, not {ast.unparse(value)}")
    words = {word.arg or "**": word.value for word in value.keywords}
    unknown = [name for name in words if name != "default" and name not in _LIMITS]
    if unknown or len(value.args) > 1:
        raise Unreadable(value, f"Field takes a default and {', '.join(_LIMITS)}")
    given = value.args[0] if value.args else words.pop("default", None)
    limits = {name: _literal(word) for name, word in words.items()}
    return (... if given is None else _literal(given)), limits


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError):
        raise Unreadable(node, f"a value is written out, not computed as {ast.unparse(node)}") from None


def _type(node: ast.expr) -> Any:
    """A type, from its name; nothing of it is evaluated."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            return _type(ast.parse(node.value, mode="eval").body)
        if node.value is None:
            return None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return reduce(or_, (_optional(_type(side)) for side in (node.left, node.right)))
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if name in _TYPES:
        return _TYPES[name]
    if isinstance(node, ast.Subscript):
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        outer = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
        if outer == "Literal":
            return Literal[tuple(_literal(one) for one in inner)]
        if outer == "Optional" and len(inner) == 1:
            return _type(inner[0]) | None
        if outer == "list" and len(inner) == 1:
            return list[_type(inner[0])]  # type: ignore[misc]
        if outer == "dict" and len(inner) == 2:
            return dict[_type(inner[0]), _type(inner[1])]  # type: ignore[misc]
        if outer == "Annotated" and len(inner) == 2:
            default, limits = _given(inner[1])
            if isinstance(inner[1], ast.Call) and default is ...:
                return Annotated[_type(inner[0]), Field(**limits)]
    known = "int, float, str, bool, list[...], dict[str, ...], Literal[...], Any, and these with | None"
    raise Unreadable(node, f"the type {ast.unparse(node)} is not known here; there are {known}")


def _optional(one: Any) -> Any:
    return type(None) if one is None else one
