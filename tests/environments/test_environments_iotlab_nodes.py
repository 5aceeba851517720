"""Which node serves which service: always the same, each once, and said when there are too few."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iotlab_desk import A8, M3, planned

from e2c.environments.iotlab.nodes import Node, Wish, by_name, deal, natural, wish
from e2c.environments.iotlab.profiles import is_of, is_profile_of, job_name, profile_names
from e2c.errors import TestbedError

SITES = ("grenoble", "saclay")
NODES = [
    Node(address=f"{kind}-{number}.{site}.iot-lab.info", site=site, archi=archi)
    for site in SITES
    for kind, archi in (("a8", A8), ("m3", M3))
    for number in range(1, 13)
]


@st.composite
def wishes(draw: st.DrawFn) -> list[Wish]:
    """Wishes that the nodes can fulfil: lists of servers hold the node that is meant, and others."""
    chosen = draw(st.lists(st.sampled_from(NODES), min_size=1, max_size=20, unique=True))
    made = []
    for place, node in enumerate(chosen):
        key = f"edge.s.{place}.1"
        if draw(st.booleans()):
            others = draw(st.lists(st.sampled_from(NODES), max_size=4))
            names = sorted({node.address, *(other.address for other in others)}, key=natural)
            made.append(Wish(key=key, names=tuple(names)))
        else:
            made.append(Wish(key=key, archi=node.archi, site=node.site))
    return made


@given(wishes(), st.randoms(use_true_random=False))
def test_every_key_gets_a_node_that_suits_and_the_order_of_nodes_does_not_matter(
    asked: list[Wish], chance: random.Random
) -> None:
    nodes = list(NODES)
    chance.shuffle(nodes)

    try:
        dealt = deal(asked, nodes)
    except TestbedError:  # servers can take what another key needs by architecture; then nothing is dealt out
        with pytest.raises(TestbedError):
            deal(asked, NODES)
        return

    assert list(dealt) == [each.key for each in asked]
    assert len({node.address for node in dealt.values()}) == len(asked)
    for each in asked:
        node = dealt[each.key]
        assert node.address in each.names if each.names else (node.archi, node.site) == (each.archi, each.site)
    assert dealt == deal(asked, NODES)
    assert dealt == deal(asked, list(dealt.values())), "the nodes that were booked are dealt out as they were chosen"


@given(st.permutations([f"edge.s.1.{number}" for number in range(1, 9)]))
def test_overlapping_servers_are_matched_wherever_that_is_possible(keys: list[str]) -> None:
    names = [f"m3-{number}.grenoble.iot-lab.info" for number in range(1, 9)]
    nodes = [Node(address=name, site="grenoble", archi=M3) for name in names]
    asked = [Wish(key=key, names=tuple(names[: int(key[-1])])) for key in keys]

    dealt = deal(asked, nodes)

    assert {key: node.address for key, node in dealt.items()} == {
        key: f"m3-{key[-1]}.grenoble.iot-lab.info" for key in keys
    }


def test_machines_are_dealt_out_in_natural_order_of_their_names() -> None:
    asked = [wish(host, "saclay") for host in planned("s", 12, archi=M3)]

    dealt = deal(asked, NODES)

    assert [node.address for node in dealt.values()] == [f"m3-{n}.grenoble.iot-lab.info" for n in range(1, 13)]


def test_too_few_are_told_with_what_each_lacks() -> None:
    asked = [wish(host, "saclay") for host in planned("s", 13, archi=M3) + planned("t", servers=["m3-99"])]

    with pytest.raises(TestbedError) as caught:
        deal(asked, NODES)

    assert "gives 12 of 14 nodes" in str(caught.value)
    assert f"edge.s.1.13 lacks a free {M3} node at grenoble" in str(caught.value)
    assert "edge.t.1.1 lacks one of m3-99.saclay.iot-lab.info" in str(caught.value)


@pytest.mark.parametrize(
    ("hosts", "named"),
    [
        (planned("s", 2, archi=M3), False),
        (planned("s", archi=M3) + planned("t", archi=A8, profile="p"), False),
        (planned("s", archi=M3) + planned("t", archi=M3, profile="p"), True),
        (planned("s", archi=M3) + planned("t", servers=["a8-1"]), True),
    ],
)
def test_nodes_are_asked_for_by_name_where_they_must(hosts: list, named: bool) -> None:  # type: ignore[type-arg]
    assert by_name([wish(host, "saclay") for host in hosts]) is named


def test_names_carry_the_mark_and_only_what_the_testbed_takes() -> None:
    name = job_name("my forest-walk", "/scenarios/forest")

    assert name.startswith("my_forest_walk_")
    assert is_of(name, "/scenarios/forest")
    assert not is_of(name, "/scenarios/Forest")
    profiles = profile_names(["a-b", "a_b"], name)
    assert len(set(profiles.values())) == 2
    assert all(is_profile_of(profile, name) and profile.replace("_", "").isalnum() for profile in profiles.values())
    assert not is_profile_of(profiles["a-b"], job_name("x", "/scenarios/other"))
    assert not is_profile_of("power", name)
