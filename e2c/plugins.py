"""Plugins: found by entry point, or in the scenario's own folder; loaded when they are first asked for."""

from __future__ import annotations

import ast
import contextlib
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
FOLDER = "environments"
"""Folder of a scenario with Python files that define testbeds of its own."""
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
    return [one for path in _files() for one in _read(path)[0]]


def unreadable() -> list[tuple[Path, int, str]]:
    """Files of the scenario's ``environments/`` that Python cannot read: path, line and reason of each."""
    return [(path, *wrong) for path in _files() if (wrong := _read(path)[1]) is not None]


def _files() -> list[Path]:
    """Python files of the scenario's folder; what may not be looked into has none."""
    found: list[Path] = []
    for scenario in _scenarios:
        with contextlib.suppress(OSError):
            found += [Path(entry.path) for entry in os.scandir(scenario / FOLDER) if entry.name.endswith(".py")]
    return sorted(found)


def _read(path: Path) -> tuple[list[Own], tuple[int, str] | None]:
    try:
        return list(_classes(path)), None
    except SyntaxError as error:
        return [], (error.lineno or 1, error.msg)
    except (OSError, ValueError, RecursionError) as error:
        return [], (1, str(error))


def _classes(path: Path) -> Iterator[Own]:
    for node in ast.parse(path.read_bytes(), str(path)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        if any(isinstance(part, ast.FunctionDef) and part.name == "acquire" for part in node.body):
            for part in node.body:
                name = _assigned(part)
                if name is not None and _NAME.fullmatch(name):
                    yield Own(name, path, node.lineno, node.name)


def _assigned(node: ast.stmt) -> str | None:
    """The text that a statement ``name = "..."`` gives."""
    target = (
        node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
    )
    value = getattr(node, "value", None)
    if isinstance(target, ast.Name) and target.id == "name" and isinstance(value, ast.Constant):
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
    module = _module(plugin.path)
    with blamed(plugin.path.parent):
        return getattr(module, plugin.cls)


def _module(path: Path) -> ModuleType:
    """A file of the scenario as a module; run once in the life of this process."""
    name = f"e2c_own_{path.stem}_{abs(hash(path))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with blamed(path.parent), contextlib.redirect_stdout(sys.stderr):  # standard output is for results
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextlib.contextmanager
def blamed(code: Path) -> Iterator[None]:
    """Turn whatever a plugin's code raises, but for errors made for users, into one sentence with its file and line.

    Args:
        code: the plugin's file, or the folder of its files.

    Raises:
        PluginError: it raised.
    """
    try:
        yield
    except E2CError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(
            "the code of this testbed failed",
            where=_place(error, code),
            why=f"{type(error).__name__}: {error}".rstrip(": ."),
            hint="Correct it there; docs/howto/own-testbed.md tells what is expected",
        ) from error


def _place(error: BaseException, code: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}:{error.offset or 1}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename) == code or code in Path(frame.filename).parents:
            return f"{frame.filename}:{frame.lineno}"
    return str(code)
