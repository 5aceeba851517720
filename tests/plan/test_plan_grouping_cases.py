"""The four groupings over uneven numbers of hosts, as data; and that no host ever gets what is another's."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from plan_scenarios import CASES

from e2c.model.host import Addresses, Host
from e2c.model.plan import ArrayInfo, Grouping, PlannedDependency, PlannedPlay
from e2c.plan.grouping import deal, host_variables
from e2c.plan.selectors import Roster

FILES = sorted((CASES / "plan" / "grouping").glob("*.yaml"))


def machine(key: str, layer_number: int, number: int) -> Host:
    layer, service, service_number, _ = key.split(".")
    return Host(
        key=key,
        layer=layer,
        service=service,
        roles=(layer, service, f"{layer_number}_{service_number}"),
        testbed="local",
        provider="local",
        hostname=key.replace(".", "-"),
        address=f"10.0.0.{number}",
        addresses=Addresses(v4=f"10.1.0.{number}", v6=f"fd00::{number}"),
    )


def hosts_of(case: dict[str, Any]) -> list[Host]:
    """Machines of a case, with addresses in their order, or from ``first`` on."""
    names = [group["name"].split(".")[0] for group in case["hosts"]]
    layers = case.get("layers") or list(dict.fromkeys(names))
    hosts: list[Host] = []
    for group, layer in zip(case["hosts"], names, strict=True):
        first, service = group.get("first", len(hosts) + 1), group.get("service", 1)
        for place in range(group["number"]):
            key = f"{group['name']}.{service}.{place + 1}"
            hosts.append(machine(key, layers.index(layer) + 1, first + place))
    return hosts


def value(variables: dict[str, Any], path: str) -> Any:
    """``server._id`` among the variables of a host."""
    found: Any = variables
    for name in path.split("."):
        found = found[name]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_dealt_as_the_case_says(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    hosts = hosts_of(case)
    roster = Roster(hosts)
    dependencies = [
        PlannedDependency(
            selector=dependency["service_selector"],
            hosts=roster.select(dependency["service_selector"]),
            grouping=dependency["grouping"],
            prefix=dependency["prefix"],
            array_info=dependency.get("array_info", "id"),
        )
        for dependency in case["depends_on"]
    ]
    play = PlannedPlay(
        index=0, selector=case["play"], hosts=roster.select(case["play"]), depends_on=tuple(dependencies)
    )

    dealt = deal(play, hosts)

    for key, wanted in case["expected"].items():
        assert {name: value(dealt.variables[key], name) for name in wanted} == wanted, key
    assert list(dealt.skipped) == case.get("skipped", [])
    assert not set(case.get("not_given", [])) & set(dealt.variables)


def test_every_grouping_has_a_case() -> None:
    used = {dependency["grouping"] for path in FILES for dependency in yaml.safe_load(path.read_text())["depends_on"]}
    assert used == set(get_args(Grouping))


dependencies = st.lists(
    st.tuples(st.sampled_from(get_args(Grouping)), st.sampled_from("abc"), st.sampled_from(get_args(ArrayInfo))),
    min_size=1,
    max_size=3,
)


@given(st.integers(1, 6), st.integers(1, 8), dependencies, st.integers(0, 7))
def test_what_a_host_does_to_its_values_changes_no_others(
    servers: int, clients: int, asked: list[tuple[Grouping, str, ArrayInfo]], changed: int
) -> None:
    serving = [machine(f"cloud.s.1.{number}", 1, number) for number in range(1, servers + 1)]
    # half of the clients share a machine with a server, as address_match needs
    asking = [
        machine(f"edge.c.1.{number}", 2, number if number % 2 else 50 + number) for number in range(1, clients + 1)
    ]
    hosts = [*serving, *asking]
    extras = {host.key: {"shared": {"list": [host.key]}} for host in hosts}
    before = deepcopy(extras)
    wanted = tuple(host.key for host in serving)
    play = PlannedPlay(
        index=0,
        selector="edge",
        hosts=tuple(host.key for host in asking),
        depends_on=tuple(
            PlannedDependency(selector="cloud", hosts=wanted, grouping=grouping, prefix=prefix, array_info=info)
            for grouping, prefix, info in asked
        ),
    )
    dealt = deal(play, hosts, extras)
    untouched = deepcopy(dealt.variables)
    selves = host_variables(hosts, extras)

    victim = list(dealt.variables)[changed % len(dealt.variables)] if dealt.variables else None
    if victim is not None:
        scribble(dealt.variables[victim])
        scribble(selves[victim])

    others = {key: found for key, found in dealt.variables.items() if key != victim}
    assert others == {key: found for key, found in untouched.items() if key != victim}
    assert extras == before
    assert deal(play, hosts, extras).variables == untouched
    fresh = host_variables(hosts, extras)
    assert {key: found for key, found in selves.items() if key != victim} == {
        key: found for key, found in fresh.items() if key != victim
    }
    assert not set(dealt.skipped) & set(dealt.variables)


def scribble(found: Any) -> None:
    """Change everything in a value that can be changed."""
    if isinstance(found, dict):
        for inner in list(found.values()):
            scribble(inner)
        found["scribbled"] = True
    elif isinstance(found, list):
        for inner in found:
            scribble(inner)
        found.append("scribbled")
