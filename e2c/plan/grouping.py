"""``depends_on``: what each host of a play learns of the hosts it depends on. Pure: from acquired hosts to variables.

The four groupings are those of E2Clab. Values are copied for every host, so nothing that a play changes on one host
shows on another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from e2c.model.host import Host
from e2c.model.plan import PlannedDependency, PlannedPlay
from e2c.plan.services import chosen_parts, parts
from e2c.plan.variables import Extras, self_variables

Variables = dict[str, dict[str, Any]]
"""Variables per service key."""


@dataclass(frozen=True)
class Dealt:
    """What a play's hosts learn.

    Attributes:
        variables: per service key, in the order of the play.
        skipped: hosts that an ``address_match`` leaves out of the play, because none of the hosts it depends on
            has their address.
    """

    variables: Variables
    skipped: tuple[str, ...] = ()


def host_variables(hosts: Sequence[Host], extras: Extras | None = None) -> Variables:
    """``_self`` of every host.

    Args:
        hosts: all acquired hosts.
        extras: what service plugins registered, per service key.
    """
    return {host.key: {"_self": self_variables(host, (extras or {}).get(host.key))} for host in hosts}


def deal(play: PlannedPlay, hosts: Sequence[Host], extras: Extras | None = None) -> Dealt:
    """Variables of a play's ``depends_on`` for each of its hosts.

    Args:
        play: a play of the plan.
        hosts: all acquired hosts.
        extras: what service plugins registered, per service key.
    """
    by_key = {host.key: host for host in hosts}
    known = {key: variables["_self"] for key, variables in host_variables(hosts, extras).items()}
    dealt: Variables = {key: {} for key in play.hosts}
    skipped: dict[str, None] = {}
    for dependency in play.depends_on:
        chosen = [by_key[key] for key in dependency.hosts if key in by_key]
        told = {**known, **parts(dependency.selector, chosen, extras)} if extras else known
        for key, found in _deal(dependency, play.hosts, chosen, by_key, told):
            if found is None:
                skipped[key] = None
            else:
                dealt[key].update(deepcopy(found))
    return Dealt({key: value for key, value in dealt.items() if key not in skipped}, tuple(skipped))


def aggregate_name(prefix: str, key: str) -> str:
    """``<prefix><service#>_<machine#>``, the variable that ``aggregate`` makes for a service key."""
    *names, machine = key.split(".")  # with two names and a number before it, or only one where it has no layer
    return f"{prefix}{names[2]}_{machine}" if len(names) > 2 else f"{prefix}{machine}"


def _aggregate_names(dependency: PlannedDependency, hosts: Sequence[Host]) -> list[str]:
    """The variable of each host: where the selector names sub-services, with the numbers within these, as in E2Clab;
    but with those of the machines where two would be the same.
    """
    prefix = dependency.prefix
    within = [aggregate_name(prefix, next(iter(chosen_parts(dependency.selector, host)), host.key)) for host in hosts]
    return within if len(set(within)) == len(within) else [aggregate_name(prefix, host.key) for host in hosts]


def _deal(
    dependency: PlannedDependency,
    keys: Sequence[str],
    chosen: Sequence[Host],
    by_key: Mapping[str, Host],
    known: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    prefix = dependency.prefix
    if dependency.grouping == "address_match":
        by_address: dict[str, Host] = {}
        for host in chosen:
            by_address.setdefault(host.address, host)
        for key in keys:
            match = by_address.get(by_key[key].address) if key in by_key else None
            yield key, {prefix: known[match.key]} if match else None
        return
    if dependency.grouping == "aggregate":
        names = _aggregate_names(dependency, chosen)
        every = {name: known[host.key] for name, host in zip(names, chosen, strict=True)}
        yield from ((key, every) for key in keys)
    elif dependency.grouping == "asarray":
        listed = _array(dependency, [known[host.key] for host in chosen])
        yield from ((key, {prefix: listed}) for key in keys)
    else:
        for place, key in enumerate(keys):
            yield key, {prefix: known[chosen[place % len(chosen)].key]} if chosen else {}


def _array(dependency: PlannedDependency, known: Sequence[Mapping[str, Any]]) -> list[str]:
    if dependency.array_info == "hostname":
        return [entry["__address__"] for entry in known]
    if dependency.array_info == "g5k_ipv6_hostname":
        return [entry["__g5k_ipv6_address__"] for entry in known]
    identities = [entry["_id"] for entry in known]
    joined = [identity.replace("_", "") for identity in identities]
    # without separators 1_11_1 and 11_1_1 are both 1111: such lists keep them
    return joined if len(set(joined)) == len(joined) else identities
