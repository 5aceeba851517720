"""Which node serves which service: what is wished, and how the nodes that were given are dealt out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from e2c.config.catalogue import runs_linux
from e2c.environments.iotlab.credentials import DOMAIN
from e2c.errors import TestbedError
from e2c.model.frozen import Frozen
from e2c.model.plan import PlannedHost

SITE = "saclay"


class Node(Frozen):
    """A node of the testbed: its name (``m3-1.grenoble.iot-lab.info``), site and architecture."""

    address: str
    site: str
    archi: str


class Wish(Frozen):
    """What one service key takes.

    Attributes:
        key: its service key.
        names: nodes of which it takes one, in natural order; empty: any node of the architecture and site.
        archi, site: what it takes unless nodes are named.
        image: firmware for a board, as the scenario writes it.
        profile: monitoring profile, as the scenario names it.
    """

    key: str
    names: tuple[str, ...] = ()
    archi: str = ""
    site: str = ""
    image: str | None = None
    profile: str | None = None


def node(item: Mapping[str, Any]) -> Node:
    """A node as the API describes it."""
    return Node(address=item["network_address"], site=item["site"], archi=item["archi"])


def natural(name: str) -> tuple[tuple[str, int, str], ...]:
    """Sort key that puts m3-2 before m3-10."""
    return tuple((text, int(digits or 0), digits) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name))


def wish(host: PlannedHost, site: str) -> Wish:
    """What a planned host takes; ``site`` where it names none."""
    request = host.request
    site = str(request.get("cluster") or site).lower()
    servers = request.get("servers") or ()
    return Wish(
        key=host.key,
        names=tuple(sorted({_full(name, site) for name in servers}, key=natural)),
        archi="" if servers else str(request.get("archi", "")),
        site="" if servers else site,
        image=None if runs_linux(str(servers[0] if servers else request.get("archi", ""))) else request.get("image"),
        profile=request.get("profile"),
    )


def _full(name: str, site: str) -> str:
    name = name.lower().removeprefix("node-")
    return name if "." in name else f"{name}.{site}.{DOMAIN}"


def by_name(wishes: Sequence[Wish]) -> bool:
    """Whether nodes must be asked for by name.

    One experiment takes named nodes or nodes by architecture, never both; and where services of one architecture and
    site differ in their profile, only names tell which node gets which.
    """
    profiles: dict[tuple[str, str], set[str | None]] = {}
    for each in wishes:
        if not each.names:
            profiles.setdefault((each.archi, each.site), set()).add(each.profile)
    return any(each.names for each in wishes) or any(len(kinds) > 1 for kinds in profiles.values())


def deal(wishes: Sequence[Wish], nodes: Iterable[Node]) -> dict[str, Node]:
    """A node for every service key, the same ones for the same nodes, in whatever order these come.

    Named nodes go first; all others are dealt out in natural order to the keys in the order of the plan.

    Raises:
        TestbedError: some get none; names them and what they lack.
    """
    free = {each.address.lower(): each for each in sorted(nodes, key=lambda each: natural(each.address.lower()))}
    dealt = {key: free.pop(name) for key, name in _match([w for w in wishes if w.names], free).items()}
    lacking: list[Wish] = []
    for each in wishes:
        if each.key in dealt:
            continue
        suits = (name for name, one in free.items() if (one.archi, one.site) == (each.archi, each.site))
        name = None if each.names else next(suits, None)
        if name is None:
            lacking.append(each)
        else:
            dealt[each.key] = free.pop(name)
    if lacking:
        raise TestbedError(
            f"FIT IoT-LAB gives {len(dealt)} of {len(wishes)} nodes",
            why=f"{_lack(lacking)}",
            hint="Take fewer, other nodes or another site, or try again later",
        )
    return {each.key: dealt[each.key] for each in wishes}


def _match(wishes: Sequence[Wish], free: Mapping[str, Node]) -> dict[str, str]:
    """Names for keys such that as many as possible get one, though lists of servers overlap."""
    holder: dict[str, Wish] = {}

    def settle(each: Wish, seen: set[str]) -> bool:
        names = [name for name in each.names if name in free and name not in seen]
        for name in names:
            if name not in holder:
                holder[name] = each
                return True
        for name in names:
            if name not in seen:
                seen.add(name)
                if settle(holder[name], seen):
                    holder[name] = each
                    return True
        return False

    for each in wishes:
        settle(each, set())
    return {each.key: name for name, each in holder.items()}


def _lack(wishes: Sequence[Wish]) -> str:
    kinds: dict[str, list[str]] = {}
    for each in wishes:
        kind = f"one of {', '.join(each.names)}" if each.names else f"a free {each.archi} node at {each.site}"
        kinds.setdefault(kind, []).append(each.key)
    return "; ".join(f"{', '.join(keys)} lacks {kind}" for kind, keys in kinds.items())
