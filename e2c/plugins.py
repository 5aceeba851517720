"""Plugins: found by entry point, or in the scenario's own folder; loaded when they are first asked for."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from e2c.errors import E2CError

ENVIRONMENTS = "e2c.environments"
"""Entry points to a callable that returns an ``e2c.environments.base.Provider``."""
SERVICES = "e2c.services"
"""Entry points to a class derived from ``e2c.services.base.Service``."""
FOLDER = "environments"
"""Folder of a scenario with Python files that define testbeds of its own."""
SERVICE_FOLDER = "services"
"""Folder of a scenario with Python files that define service plugins of its own."""
TESTBED = "testbed"
TESTBED_PAGE = "docs/howto/own-testbed.md"
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
_OURS = "e2c."


class UnknownPluginError(E2CError, LookupError):
    """No plugin of that name is installed."""


class PluginError(E2CError):
    """The code of a plugin is wrong; ``where`` is its file and line."""


class Own(NamedTuple):
    """A class of the scenario that defines a testbed."""

    name: str
    path: Path
    line: int
    cls: str


_scenarios: list[Path] = []


def look_in(scenario: Path) -> None:
    """Let testbeds of this scenario be found from now on, and of no other; runs none of its code."""
    _scenarios[:] = [scenario.absolute()]


def own() -> list[Own]:
    """Testbeds of the scenario itself: classes in its ``environments/`` that have ``name = "..."`` and ``acquire``.

    The files are read, not run; one that Python cannot read defines nothing.
    """
    return [one for path in files(FOLDER) for one in _read(path)[0]]


def unreadable() -> list[tuple[Path, int, str]]:
    """Files of the scenario's ``environments/`` that Python cannot read: path, line and reason of each."""
    return [(path, *wrong) for path in files(FOLDER) if (wrong := _read(path)[1]) is not None]


def files(folder: str) -> list[Path]:
    """Python files in a folder of the scenario; what may not be looked into has none."""
    return [path for scenario in _scenarios for path in python_files(scenario / folder)]


def python_files(folder: Path) -> list[Path]:
    """Python files that lie in a folder, in the order of their names."""
    with contextlib.suppress(OSError):
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.name.endswith(".py"))
    return []


def _read(path: Path) -> tuple[list[Own], tuple[int, str] | None]:
    tree = parsed(path)
    return (list(_classes(path, tree)), None) if isinstance(tree, ast.Module) else ([], tree)


def parsed(path: Path) -> ast.Module | tuple[int, str]:
    """A file as Python reads it, without running it; the line and the reason where it cannot be read."""
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        return error.lineno or 1, error.msg
    except (OSError, ValueError, RecursionError) as error:
        return 1, getattr(error, "strerror", None) or str(error)


def _classes(path: Path, tree: ast.Module) -> Iterator[Own]:
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        if any(isinstance(part, ast.FunctionDef) and part.name == "acquire" for part in node.body):
            for part in node.body:
                name = assigned(part, "name")
                if name is not None and _NAME.fullmatch(name):
                    yield Own(name, path, node.lineno, node.name)


def assigned(node: ast.stmt, name: str) -> str | None:
    """The text that a statement ``name = "..."`` gives."""
    target = (
        node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    )
    value = getattr(node, "value", None)
    if isinstance(target, ast.Name) and target.id == name and isinstance(value, ast.Constant):
        return value.value if isinstance(value.value, str) else None
    return None


def names(group: str) -> list[str]:
    """Names registered in an entry point group, and for testbeds those of the scenario; sorted; loads none of them."""
    local = {one.name for one in own()} if group == ENVIRONMENTS else set()
    return sorted({point.name for point in entry_points(group=group)} | local)


def is_foreign(group: str, name: str) -> bool:
    """Whether a plugin is not part of this distribution."""
    points = list(entry_points(group=group, name=name))
    return not points or any(not point.value.startswith(_OURS) for point in points)


def load(group: str, name: str) -> Any:
    """The object behind an entry point, or the class of the scenario.

    Raises:
        UnknownPluginError: no plugin of that name, or two claim it.
        PluginError: a file of the scenario cannot be loaded.
    """
    found: dict[str, EntryPoint | Own] = {point.value: point for point in entry_points(group=group, name=name)}
    if group == ENVIRONMENTS:
        found |= {f"{one.path}:{one.line}": one for one in own() if one.name == name}
    if not found:
        known = names(group)
        near = get_close_matches(name, known, n=1)
        raise UnknownPluginError(
            f"no plugin named {name!r} in {group}",
            why=f"installed: {', '.join(known) or 'none'}",
            hint=f"Did you mean {near[0]!r}" if near else "Install the distribution that provides it",
        )
    if len(found) > 1:
        raise UnknownPluginError(
            f"two plugins claim the name {name!r} in {group}",
            why=" and ".join(sorted(found)),
            hint="Uninstall or rename one of them",
        )
    plugin = next(iter(found.values()))
    if isinstance(plugin, EntryPoint):
        return plugin.load()
    code = module(plugin.path)
    with blamed(plugin.path.parent):
        return getattr(code, plugin.cls)


def module(path: Path, what: str = TESTBED, page: str = TESTBED_PAGE) -> ModuleType:
    """A file of the user's as a module; run once in the life of this process.

    The files beside it are modules of the same package, so that ``from . import other`` finds them, and those of no
    other folder.

    Args:
        what, page: as for :func:`blamed`.

    Raises:
        PluginError: it cannot be run.
    """
    name = f"{_package(path.resolve().parent)}.{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    try:
        with blamed(path.parent, what, page), contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            spec.loader.exec_module(made)
    except BaseException:
        del sys.modules[name]
        raise
    return made


def _package(folder: Path) -> str:
    """Name of a package that has the files of a folder, and no code of its own."""
    name = f"e2c_own_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    if name not in sys.modules:
        made = ModuleType(name)
        made.__path__ = [str(folder)]
        sys.modules[name] = made
    return name


@contextlib.contextmanager
def blamed(code: Path, what: str = TESTBED, page: str = TESTBED_PAGE) -> Iterator[None]:
    """Turn whatever a plugin's code raises, but for errors made for users, into one sentence with its file and line.

    Args:
        code: the plugin's file, or the folder of its files.
        what: what kind of plugin it is.
        page: where its kind is described.

    Raises:
        PluginError: it raised.
    """
    try:
        yield
    except E2CError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the code of this {what} failed",
            where=place(error, code),
            why=f"{type(error).__name__}: {error}".rstrip(": ."),
            hint=f"Correct it there; {page} tells what is expected",
        ) from error


def place(error: BaseException, code: Path) -> str:
    """File and line of a plugin's code where an error came from; the code itself where none of it was at work."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}:{error.offset or 1}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename) == code or code in Path(frame.filename).parents:
            return f"{frame.filename}:{frame.lineno}"
    return str(code)
