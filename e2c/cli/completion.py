"""What the shell proposes: folders, hosts, services and layers of the scenario that the command line names.

Nothing here may fail aloud or take long: the files are read as plain JSON or YAML, unchecked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import click

OUTPUT_FOLDER = re.compile(r"^\d{8}-\d{6}(-\d+)?$")
LARGEST = 20_000_000
"""Bytes of a file beyond which nothing is proposed."""

LINK_VALUES = (
    "delay", "jitter", "distribution", "rate", "loss", "reorder", "duplicate", "corrupt", "limit", "down"
)  # fmt: skip
"""What links have; the model that has them is too slow to load here."""

Propose = Callable[[click.Context, str], list[str]]


def _quiet(propose: Propose) -> Propose:
    @wraps(propose)
    def quiet(ctx: click.Context, incomplete: str) -> list[str]:
        try:
            return propose(ctx, incomplete)
        except Exception:  # noqa: BLE001 - a message in the middle of a command line would only disturb
            return []

    return quiet


@_quiet
def folders(ctx: click.Context, incomplete: str) -> list[str]:  # noqa: ARG001
    """Folders, but none that a scenario was run into. Where only one is left, also what lies in it."""
    found = _folders(incomplete)
    # shells put a space behind the only proposal, which nobody wants behind a folder that has others
    return [*found, *_folders(found[0])] if len(found) == 1 else found


@_quiet
def folders_or_set(ctx: click.Context, incomplete: str) -> list[str]:
    """Folders, and the word that stands in the place of one."""
    return [*(word for word in ("set",) if word.startswith(incomplete)), *folders(ctx, incomplete)]


@_quiet
def link_values(ctx: click.Context, incomplete: str) -> list[str]:
    """What links have that is not named yet."""
    named = {word.partition("=")[0] for word in ctx.params.get("values") or ()}
    words = [*(f"{name}=" for name in LINK_VALUES if name != "down"), "down", "up"]
    return [word for word in words if word.startswith(incomplete) and word.rstrip("=") not in named]


def _folders(start: str) -> list[str]:
    parent, slash, name = start.rpartition("/")
    place = Path(os.path.expanduser(f"{parent}{slash}") or ".")
    return sorted(
        f"{parent}{slash}{entry.name}/"
        for entry in os.scandir(place)
        if entry.name.startswith(name)
        and (name.startswith(".") or not entry.name.startswith("."))
        and not OUTPUT_FOLDER.match(entry.name)
        and entry.is_dir()
    )


@_quiet
def testbeds(ctx: click.Context, incomplete: str) -> list[str]:
    """Installed testbeds that are not named yet."""
    from importlib.metadata import entry_points

    given = ctx.params.get("testbeds") or ()
    names = sorted({point.name for point in entry_points(group="e2c.environments")} - set(given))
    return [name for name in names if name.startswith(incomplete)]


@_quiet
def rehearsals(ctx: click.Context, incomplete: str) -> list[str]:  # noqa: ARG001
    """The testbed that can play others."""
    return ["local"]


@_quiet
def service_plugins(ctx: click.Context, incomplete: str) -> list[str]:
    """Plugins of services, also those of the scenario that is named."""
    from e2c import plugins
    from e2c.services import finding

    if ctx.params.get("scenario"):
        plugins.look_in(Path(ctx.params["scenario"]))
    return [name for name in finding.names() if name.startswith(incomplete)]


@_quiet
def configurations(ctx: click.Context, incomplete: str) -> list[str]:
    """Application configurations of the scenario; behind ``,`` the next one."""
    import yaml

    path = next(path for end in ("yaml", "yml") if (path := _scenario(ctx) / f"workflow_env.{end}").exists())
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    before, comma, name = incomplete.rpartition(",")
    known = [str(key) for key in yaml.load(_text(path), loader)]  # noqa: S506 - a safe loader
    return [f"{before}{comma}{key}" for key in known if key.startswith(name) and key not in before.split(",")]


@_quiet
def hosts(ctx: click.Context, incomplete: str) -> list[str]:
    """Service keys of the scenario, and the layers, services and roles that name several hosts or one."""
    return _names(ctx, incomplete, keys_first=True)


@_quiet
def selectors(ctx: click.Context, incomplete: str) -> list[str]:
    """What a selector may name; behind ``,``, ``:``, ``!`` or ``&`` the next term."""
    done = re.match(r".*[,:]", incomplete)
    before = done.group() if done else ""
    sign = incomplete[len(before) : len(before) + 1]
    before += sign if sign in ("!", "&") else ""
    return [f"{before}{name}" for name in _names(ctx, incomplete[len(before) :], keys_first=False)]


def _names(ctx: click.Context, start: str, *, keys_first: bool) -> list[str]:
    keys: dict[str, None] = {}
    others: dict[str, None] = {}
    for machine in _machines(_scenario(ctx)):
        keys[machine["key"]] = None
        labels = (machine.get("layer"), machine.get("service"), *machine.get("roles", ()))
        others.update(dict.fromkeys(label for label in labels if label and not re.fullmatch(r"\d+_\d+", label)))
    found = dict.fromkeys([*keys, *others] if keys_first else [*others, *keys])
    return [name for name in found if name.startswith(start) and " " not in name]


def _scenario(ctx: click.Context) -> Path:
    given = ctx.params.get("scenario_dir") or _typed_scenario() or os.environ["E2C_SCENARIO_DIR"]
    return Path(os.path.expanduser(given))


def _typed_scenario() -> str | None:
    """The first word of the command line that names a scenario; click knows none behind an option without its value."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    names = [f"layers_services.{end}" for end in ("yaml", "yml")]
    return next(
        (word for word in line.split() if any(Path(os.path.expanduser(word), name).exists() for name in names)), None
    )


def _machines(scenario: Path) -> Iterable[Mapping[str, Any]]:
    """What is deployed, else what is planned to be, else what the scenario asks for."""
    folders = [path for path in scenario.iterdir() if OUTPUT_FOLDER.match(path.name) and (path / "state.json").exists()]
    newest = max(folders, key=lambda path: (path.name[:15], int(path.name[16:] or 1)), default=None)
    if newest is not None:
        state = _json(newest / "state.json")
        if not state.get("released"):
            acquired = [*state.get("hosts", ()), *state.get("boards", ())]
            return acquired or _json(newest / "plan.json")["hosts"]
    return list(_asked(scenario))


def _asked(scenario: Path) -> Iterator[Mapping[str, Any]]:
    import yaml

    path = next(path for end in ("yaml", "yml") if (path := scenario / f"layers_services.{end}").exists())
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for layer in yaml.load(_text(path), loader)["layers"]:  # noqa: S506 - a safe loader
        services = list(enumerate(layer["services"], 1))
        for _, service in tuple(services):
            services += [(len(services) + more, service) for more in range(1, int(service.get("repeat", 0)) + 1)]
        for number, service in services:
            start = ".".join("_".join(str(name).lower().split()) for name in (layer["name"], service["name"]))
            for machine in range(1, int(service.get("quantity", 1)) + 1):
                yield {
                    "key": f"{start}.{number}.{machine}",
                    "layer": layer["name"],
                    "service": service["name"],
                    "roles": service.get("roles", ()),
                }


def _json(path: Path) -> Any:
    return json.loads(_text(path))


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        raise ValueError(path)
    return path.read_text(encoding="utf-8")
