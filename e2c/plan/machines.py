"""Which machine of ``static`` plays which part: those that a service names, then the others in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from e2c.config.reach import DIRECTLY
from e2c.model.plan import PlannedHost

STATIC = "static"
MACHINE = ("address", "user", "port", "keyfile", "jump")
"""Keys of ``PlannedHost.request`` that say how its machine is reached."""

PLACE = "place"
"""Key of a machine taken: its position in ``hosts:``, from 0; absent where only ``servers:`` names it."""

Machine = dict[str, Any]


def deal(hosts: Sequence[PlannedHost], settings: Mapping[str, Any]) -> tuple[tuple[PlannedHost, ...], list[Machine]]:
    """Give every host of ``static`` its machine.

    Args:
        hosts: all hosts of the plan.
        settings: validated keys of ``static``.

    Returns:
        The hosts, those of ``static`` with the machine in their request; and the machines taken, in the same order,
        each with the ``key`` of its host. Where there are too few, which a check of the scenario tells as an error,
        the last hosts have none.
    """
    common = {"user": settings.get("user", "root"), "port": settings.get("port", 22)}
    common |= {key: settings[key] for key in ("keyfile", "jump") if settings.get(key)}
    inventory = [{**_machine({**common, **host}), PLACE: n} for n, host in enumerate(settings.get("hosts", ()))]
    wanted = [host for host in hosts if host.provider == STATIC]
    dealt = _named(wanted, inventory, common)
    named = {name.lower() for host in wanted for name in host.request.get("servers", ())}
    others = [machine for machine in inventory if machine["address"].lower() not in named]
    dealt |= dict(zip((host.key for host in wanted if "servers" not in host.request), others, strict=False))
    taken = [{"key": host.key, **dealt[host.key]} for host in wanted if host.key in dealt]
    return tuple(_with(host, dealt[host.key]) if host.key in dealt else host for host in hosts), taken


def _machine(keys: Mapping[str, Any]) -> Machine:
    made = {key: keys[key] for key in MACHINE if keys.get(key) is not None}
    if made.get("jump") == DIRECTLY:
        del made["jump"]
    return made


def _named(hosts: Sequence[PlannedHost], inventory: Sequence[Machine], common: Machine) -> dict[str, Machine]:
    """Machines of the hosts whose service names its servers: each the first of them that is still free."""
    free: dict[str, list[Machine]] = {}
    for machine in inventory:
        free.setdefault(machine["address"].lower(), []).append(machine)
    pools: dict[tuple[str, ...], Iterator[Machine]] = {}

    def pool(names: tuple[str, ...]) -> Iterator[Machine]:
        for name in dict.fromkeys(name.lower() for name in names):
            left = free.setdefault(name, [_machine({**common, "address": name})])
            if left:
                yield left.pop(0)

    dealt = {}
    for host in hosts:
        names = tuple(host.request.get("servers", ()))
        found: Machine | None = next(pools.setdefault(names, pool(names)), None)
        if found is not None:
            dealt[host.key] = found
    return dealt


def _with(host: PlannedHost, machine: Machine) -> PlannedHost:
    rest = {key: value for key, value in host.request.items() if key != "servers"}
    reason = f"{host.reason}; plays on {machine['address']}"
    reached = {key: machine[key] for key in MACHINE if key in machine}
    return host.model_copy(update={"request": {**rest, **reached}, "reason": reason})
