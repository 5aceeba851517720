"""Where service plugins are: in the scenario, in the user's folder, installed, or here.

A plugin of the scenario is taken before one of the user's folder, and that before an installed one. None is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from e2c import plugins
from e2c.services import default
from e2c.services.reading import Definition, read

Origin = Literal["scenario", "user", "installed", "built in"]
DEFAULT = "Default"
"""The plugin of services that no other deploys."""
WHAT = "service"
PAGE = "docs/howto/services.md"


@dataclass(frozen=True)
class Found:
    """A service plugin.

    Attributes:
        name: what scenarios call the service.
        origin: where it was found.
        source: its file, or the module and class of an installed one.
        definition: what its file tells; ``None`` where that is not known.
        entry: the entry point of an installed one.
        hidden: a plugin of the same name is taken instead.
    """

    name: str
    origin: Origin
    source: str
    definition: Definition | None
    entry: EntryPoint | None = None
    hidden: bool = False

    @property
    def place(self) -> str:
        """The source, with the line where the class begins."""
        return f"{self.source}:{self.definition.line}" if self.definition else self.source

    @property
    def sub_services(self) -> tuple[str, ...]:
        """Names of the parts that it registers, as far as its text tells."""
        return self.definition.sub_services if self.definition else ()

    @property
    def e2clab(self) -> bool:
        """It was written for E2Clab, and runs through the adapter."""
        return self.definition is not None and self.definition.e2clab


@dataclass(frozen=True)
class Broken:
    """A file that defines no plugin.

    Attributes:
        path, line: where; reason: why.
        origin: which folder it lies in.
        readable: it is Python, and may be there for something else.
    """

    path: Path
    line: int
    reason: str
    origin: Origin
    readable: bool = False


def folder() -> Path:
    """The user's own folder of service plugins."""
    home = os.environ.get("XDG_DATA_HOME")  # must be absolute to count, says its specification
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".local" / "share"
    return base / "e2c" / "services"


def available() -> list[Found]:
    """All plugins, hidden ones too, in the order in which they are taken."""
    found = [*_in_files("scenario"), *_in_files("user"), *_installed(), _default()]
    seen: set[str] = set()
    listed = []
    for origin in ("scenario", "user", "installed", "built in"):
        here = sorted((one for one in found if one.origin == origin), key=lambda one: one.name)
        listed += [replace(one, hidden=one.name in seen) for one in here]
        seen |= {one.name for one in here}
    return listed


def names() -> list[str]:
    """Names of all plugins, sorted."""
    return sorted({one.name for one in available()})


def broken() -> list[Broken]:
    """Files in folders of plugins that define none."""
    found = []
    for origin, paths in _paths():
        for path in paths:
            definitions, wrong = read(path)
            if not definitions:
                if wrong is None and path.stem.startswith("_"):
                    continue  # for what plugins share
                line, reason = wrong or (1, "no class in it is derived from Service and has deploy")
                found.append(Broken(path, line, reason, origin, readable=wrong is None))
    return found


def find(name: str) -> Found | None:
    """The plugin that deploys services of that name; ``None``: there is none of its own.

    Raises:
        PluginError: two claim the name.
    """
    return chosen(name, available())


def chosen(name: str, known: Iterable[Found]) -> Found | None:
    """As :func:`find`, among the plugins given."""
    claims = [one for one in known if one.name == name and not one.hidden]
    if len(claims) > 1:
        raise plugins.PluginError(
            f"two plugins claim the service {name!r}",
            why=" and ".join(sorted(one.place for one in claims)),
            hint="Rename or remove one of them",
        )
    return claims[0] if claims else None


def unknown(name: str) -> plugins.UnknownPluginError:
    """The error that there is no plugin of that name."""
    known = names()
    near = get_close_matches(name.lower(), [one.lower() for one in known], n=1)
    hint = f"Did you mean {next(one for one in known if one.lower() == near[0])!r}?" if near else ""
    return plugins.UnknownPluginError(
        f"there is no service plugin {name!r}", hint=hint or f"There are {', '.join(known)}"
    )


def load(found: Found) -> type:
    """The class of a plugin; runs its file, once in the life of this process.

    Raises:
        PluginError: it cannot be run, or is no plugin.
    """
    if found.entry is not None:
        return installed(found.entry.value)
    return default.Default if found.definition is None else loaded(found.definition.path, found.definition.cls)


def loaded(path: Path, cls: str) -> type:
    """A class of a file, as :func:`load`."""
    code = plugins.module(path, WHAT, PAGE)
    with plugins.blamed(path, WHAT, PAGE):
        return _plugin(getattr(code, cls), str(path))


def installed(entry: str) -> type:
    """A class by its module and name, as :func:`load`."""
    point = EntryPoint("", entry, plugins.SERVICES)
    with plugins.blamed(_file(point) or Path(entry), WHAT, PAGE):
        return _plugin(point.load(), entry)


def _plugin(loaded: Any, source: str) -> type:
    if not isinstance(loaded, type) or not callable(getattr(loaded, "register_service", None)):
        raise plugins.PluginError(f"{source} is no class derived from e2c.services.base.Service", hint=f"See {PAGE}")
    return loaded


def _paths() -> list[tuple[Origin, list[Path]]]:
    return [
        ("scenario", plugins.files(plugins.SERVICE_FOLDER)),
        ("user", plugins.python_files(folder())),
    ]


def _in_files(origin: Origin) -> list[Found]:
    paths = dict(_paths())[origin]
    definitions = [one for path in paths if not path.stem.startswith("_") for one in read(path)[0]]
    return [Found(one.name, origin, str(one.path), one) for one in definitions]


def _installed() -> list[Found]:
    return [
        Found(point.name, "installed", point.value, _definition(point), point)
        for point in sorted(entry_points(group=plugins.SERVICES), key=lambda point: point.name)
    ]


def _default() -> Found:
    return Found(DEFAULT, "built in", f"{default.__name__}:{DEFAULT}", None)


def _definition(point: EntryPoint) -> Definition | None:
    path = _file(point)
    found = read(path)[0] if path is not None else []
    return next((one for one in found if one.cls == point.attr), None)


def _file(point: EntryPoint) -> Path | None:
    try:
        spec = find_spec(point.module)
    except (ImportError, ValueError, AttributeError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None
