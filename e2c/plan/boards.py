"""Boards: nodes of IoT-LAB that run a firmware instead of a system, so that no play, link or capture reaches them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from e2c.config.catalogue import IOTLAB_ARCHIS, runs_linux
from e2c.config.layers import LayersServices, Service
from e2c.config.problems import Path, Problem, shown
from e2c.config.scenario import Scenario
from e2c.plan.selectors import Roster, Selectable

TESTBED = "iotlab"
SHOWN = 3
"""Boards that a message names."""


def is_board(archi: str | None, servers: Sequence[str] | None) -> bool:
    """Whether nodes of IoT-LAB of that architecture, or of those names, are boards.

    Of an architecture that is not known, which the check warns of, nothing is said.
    """
    known = {name.partition(":")[0] for name in IOTLAB_ARCHIS}
    names = servers or ([archi] if archi and archi.partition(":")[0] in known else [])
    return bool(names) and not any(map(runs_linux, names))


def boards(roster: Roster) -> frozenset[str]:
    """Service keys of the planned hosts that are going to be boards; local hosts that play boards are not."""
    return frozenset(host.key for host in roster.hosts if _is_board(host))


def check_boards(scenario: Scenario, roster: Roster, patterns: Iterable[tuple[str, Path, str]]) -> Iterator[Problem]:
    """Problems of what boards cannot do, and what a rehearsal makes of them.

    Args:
        scenario: with its layers and services.
        roster: the planned hosts.
        patterns: selectors that can be read: file, path, pattern.
    """
    layers = scenario.layers_services
    if layers is None or not any(host.testbed == TESTBED for host in roster.hosts):
        return
    if any(getattr(host, "provider", TESTBED) == TESTBED for host in roster.hosts if host.testbed == TESTBED):
        yield from _selectors(scenario, roster, patterns)
        yield from _capturing(scenario, layers)
    else:
        yield from _rehearsed(scenario, layers)


def _is_board(host: Selectable) -> bool:
    request = getattr(host, "request", {})
    planned = getattr(host, "provider", None) == TESTBED
    return planned and is_board(request.get("archi"), request.get("servers"))


def _selectors(scenario: Scenario, roster: Roster, patterns: Iterable[tuple[str, Path, str]]) -> Iterator[Problem]:
    known = boards(roster)
    for name, path, pattern in patterns:
        chosen = roster.select(pattern)
        mine = [key for key in chosen if key in known]
        what = f"{path[-1]} {shown(pattern)}"
        deaf = "links of boards are not shaped" if name == "network" else "boards run a firmware, not tasks"
        if mine and len(mine) == len(chosen):
            message = f"{what} chooses only boards: {_some(mine)}"
            hint = f"Choose other hosts: {deaf}"
            yield scenario.problem(name, path, "board-only", message, hint)
        elif mine:
            message = f"{what} chooses boards too, which are left out: {_some(mine)}"
            hint = f"Exclude them: {deaf}"
            yield scenario.problem(name, path, "board-skipped", message, hint, severity="warning")


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - SHOWN
    return ", ".join(keys[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _services(layers: LayersServices) -> Iterator[tuple[Path, Service]]:
    """Services whose nodes are boards, with their path."""
    for place, layer in enumerate(layers.layers):
        for number, service in enumerate(layer.services):
            on_testbed = (service.environment or layers.environment.default) == TESTBED
            if on_testbed and is_board(service.archi, service.servers):
                yield ("layers", place, "services", number), service


def _capturing(scenario: Scenario, layers: LayersServices) -> Iterator[Problem]:
    for path, service in _services(layers):
        for place, role in enumerate(service.roles):
            if role.lower() == "provenance":
                message = f"the service {shown(service.name)} runs on boards, which cannot capture provenance"
                hint = "Remove the role, or take a8 or rpi nodes"
                where = (*path, "roles", place)
                yield scenario.problem("layers_services", where, "board-provenance", message, hint)


def _rehearsed(scenario: Scenario, layers: LayersServices) -> Iterator[Problem]:
    for path, service in _services(layers):
        key = "servers" if service.servers else "archi"
        message = f"the service {shown(service.name)} runs on boards, which local hosts play in a rehearsal"
        hint = "No firmware runs there, and plays on them that run now will be refused on the testbed"
        yield scenario.problem(
            "layers_services", (*path, key), "board-rehearsed", message, hint, severity="warning", key=True
        )
    if layers.monitoring_iotlab is not None:
        message = "monitoring_iotlab measures nothing in a rehearsal"
        yield scenario.problem(
            "layers_services", ("monitoring_iotlab",), "not-deployed", message, "", severity="warning", key=True
        )
