"""Service plugins in Python files, found by reading the files, never by running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2c import plugins
from e2c.services.declaring import Declared, Unreadable, declared

E2CLAB = "e2clab"
"""The module that plugins written for E2Clab import."""
BASES = frozenset({"Service", "Default"})
"""Classes that plugins are derived from."""
_HOMES = (E2CLAB, "e2c.services")
_OWN_KEYS = frozenset({"env", "service_metadata"})
_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,62}", re.ASCII)


@dataclass(frozen=True)
class Definition:
    """A class that deploys a service.

    Attributes:
        name: what scenarios call the service.
        path: its file; line: where the class begins; cls: name of the class.
        e2clab: it was written for E2Clab.
        doc: its docstring, or that of the file.
        sub_services: names that it registers parts of the service by, as far as its text tells.
        keys: metadata that it looks for: ``env.PORT``, ``image``.
        hooks: methods that it has of its own.
        declared: the keys that it takes, by name; ``None``: it declares none.
        unclear: line of a declaration that cannot be understood, and why.
    """

    name: str
    path: Path
    line: int
    cls: str
    e2clab: bool
    doc: str
    sub_services: tuple[str, ...]
    keys: tuple[str, ...]
    hooks: tuple[str, ...]
    declared: Mapping[str, Declared] | None = None
    unclear: tuple[int, str] | None = None


def read(path: Path) -> tuple[list[Definition], tuple[int, str] | None]:
    """The plugins that a file defines; and the line and reason where Python cannot read it."""
    tree = plugins.parsed(path)
    if not isinstance(tree, ast.Module):
        return [], tree
    return list(_definitions(path, tree)), None


def _definitions(path: Path, tree: ast.Module) -> Iterator[Definition]:
    bases = set(_imported(tree))
    foreign = any(_top(module) == E2CLAB for module in _modules(tree))
    known: dict[str, list[ast.ClassDef]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        above = [known[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in known]
        direct = any(
            (isinstance(base, ast.Name) and base.id in bases)
            or (isinstance(base, ast.Attribute) and base.attr in BASES)
            for base in node.bases
        )
        if not above and not direct:
            continue
        chain = [node, *(one for some in above for one in some)]
        known[node.name] = chain
        methods = tuple(part.name for one in chain for part in one.body if isinstance(part, ast.FunctionDef))
        if node.name.startswith("_") or "deploy" not in methods:
            continue
        keys, unclear = _declared(chain)
        given = (plugins.assigned(part, "name") for part in node.body)
        yield Definition(
            name=next((name for name in given if name), node.name),
            path=path,
            line=node.lineno,
            cls=node.name,
            e2clab=foreign,
            doc=ast.get_docstring(node) or ast.get_docstring(tree) or "",
            sub_services=tuple(dict.fromkeys(part for one in chain for part in _sub_services(one))),
            keys=tuple(sorted({key for one in chain for key in _keys(one)})),
            hooks=tuple(name for name in ("deploy", "check", "backup", "destroy") if name in methods),
            declared=keys,
            unclear=unclear,
        )


def _declared(chain: Sequence[ast.ClassDef]) -> tuple[dict[str, Declared] | None, tuple[int, str] | None]:
    try:
        return declared(chain), None
    except Unreadable as error:
        return None, (error.line, str(error))


def neighbours(path: Path) -> list[Path]:
    """Files beside it that a file imports."""
    tree = plugins.parsed(path)
    names = {_top(name) for name in _modules(tree)} if isinstance(tree, ast.Module) else set()
    return [beside for name in sorted(names) if name and (beside := path.parent / f"{name}.py").is_file()]


def _modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and not node.module):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _top(module: str) -> str:
    return module.partition(".")[0]


def _imported(tree: ast.Module) -> Iterator[str]:
    """Names by which the file calls the classes that plugins are derived from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(tuple(f"{home}." for home in _HOMES)):
            yield from (alias.asname or alias.name for alias in node.names if alias.name in BASES)


def _sub_services(node: ast.ClassDef) -> Iterator[str]:
    """The attribute ``sub_services``, else what calls of ``register_service`` say; where those give no plain text, any
    text of the class that could be meant."""
    for part in node.body:
        value = getattr(part, "value", None)
        if "sub_services" in _targets(part) and isinstance(value, (ast.Tuple, ast.List)):
            yield from _texts(value.elts)
            return
    given = [value for call in ast.walk(node) if isinstance(call, ast.Call) for value in _given(call)]
    if all(isinstance(value, ast.Constant) for value in given):
        yield from _texts(given)
    else:
        yield from (text for text in _texts(list(ast.walk(node))) if _PART.fullmatch(text))


def _targets(node: ast.stmt) -> list[str]:
    found = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in found if isinstance(target, ast.Name)]


def _given(call: ast.Call) -> list[ast.expr]:
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "register_service"):
        return []
    return [*call.args[3:4], *(word.value for word in call.keywords if word.arg == "sub_service")]


def _texts(nodes: Sequence[ast.AST]) -> list[str]:
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _keys(node: ast.ClassDef) -> Iterator[str]:
    for part in ast.walk(node):
        holder: ast.expr | None = None
        key: ast.expr | None = None
        if isinstance(part, ast.Subscript):
            holder, key = part.value, part.slice
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "get":
            holder, key = part.func.value, part.args[0] if part.args else None
        if (
            isinstance(holder, ast.Attribute)
            and holder.attr in _OWN_KEYS
            and isinstance(key, ast.Constant)
            and isinstance(key.value, str)
        ):
            yield f"env.{key.value}" if holder.attr == "env" else key.value
