"""Selectors choose what Ansible would choose from the same names, in the order of the plan."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2c.plan.selectors import Roster, SelectorError, select


@dataclass(frozen=True)
class Machine:
    key: str
    layer: str | None
    service: str
    roles: tuple[str, ...] = ()
    testbed: str = "g5k"


HOSTS = (
    Machine("cloud.master.1.1", "cloud", "Master", ("cloud", "Master", "1_1", "provenance")),
    Machine("cloud.worker.2.1", "cloud", "Worker", ("cloud", "Worker", "1_2")),
    Machine("cloud.worker.2.2", "cloud", "Worker", ("cloud", "Worker", "1_2")),
    Machine("edge.gateway.1.1", "edge", "Gateway", ("edge", "Gateway", "2_1"), "iotlab"),
    Machine("edge.worker.2.1", "edge", "Worker", ("edge", "Worker", "2_2", "provenance"), "iotlab"),
    Machine("edge.worker.2.2", "edge", "Worker", ("edge", "Worker", "2_2", "provenance"), "iotlab"),
    Machine("provenance_service.1", None, "provenance_service", ("provenance_service",)),
)
KEYS = [host.key for host in HOSTS]
LAYERED = KEYS[:-1]


def keys(*places: int) -> list[str]:
    return [KEYS[place] for place in places]


CASES = {
    "all": LAYERED,
    "*": LAYERED,
    "ALL": LAYERED,
    "cloud": keys(0, 1, 2),
    "Cloud": keys(0, 1, 2),
    "cloud.*": keys(0, 1, 2),
    "cloud.master.1.1": keys(0),
    "Master": keys(0),
    "master": keys(0),
    "worker": keys(1, 2, 4, 5),
    "provenance": keys(0, 4, 5),
    "iotlab": keys(3, 4, 5),
    "1_2": keys(1, 2),
    "edge,cloud": LAYERED,
    "edge:cloud": LAYERED,
    "edge.gateway.*:cloud.master.*": keys(0, 3),
    "all:!edge": keys(0, 1, 2),
    "!edge": keys(0, 1, 2),
    "!edge:all": keys(0, 1, 2),
    "edge:&provenance": keys(4, 5),
    "&provenance:!cloud": keys(4, 5),
    "worker:&edge:!edge.worker.2.1": keys(5),
    "~edge": keys(3, 4, 5),
    r"~(cloud|edge)\.worker\.2\.1$": keys(1, 4),
    "~EDGE.*2$": keys(5),
    "all:!~edge": keys(0, 1, 2),
    "cloud[0]": keys(0),
    "cloud[-1]": keys(2),
    "cloud[0:1]": keys(0, 1),
    "cloud[1:]": keys(1, 2),
    "cloud[0-1]": keys(0, 1),
    "cloud[7]": [],
    "cloud[-7]": [],
    "cloud[1:99]": keys(1, 2),
    "worker[1:2]": keys(2, 4),
    "cloud.worker.2.[12]*": keys(1, 2),
    "cloud.worker.2.[12]": [],
    "cloud.worker.2.[!1]": keys(2),
    "*.worker.?.1": keys(1, 4),
    " cloud , edge ": LAYERED,
    "provenance_service": keys(6),
    "provenance_service.*": keys(6),
    "cloud:provenance_service": keys(0, 1, 2, 6),
    "all:provenance_service.1": KEYS,
    "clowd": [],
    "cloud.master": [],
    "cloud:&edge": [],
    "cloud:!cloud": [],
}


@pytest.mark.parametrize(("pattern", "chosen"), CASES.items(), ids=CASES)
def test_patterns(pattern: str, chosen: list[str]) -> None:
    assert select(pattern, HOSTS) == chosen


@pytest.mark.parametrize(
    "pattern", ["", " ", ",", ":", "!", "&", "cloud:!", "cloud[", "cloud]", "~(", "~[", "~(a", "a" * 2000, "[:", "a)("]
)
def test_what_cannot_be_read_is_refused(pattern: str) -> None:
    with pytest.raises(SelectorError):
        select(pattern, HOSTS)


def test_blanks_in_names_match_as_written_and_as_in_keys() -> None:
    hosts = [Machine("cloud.my_master.1.1", "cloud", "My Master")]

    for pattern in ("My Master", "my_master", "cloud.my master.*", "cloud.my_master.*", "cloud.My Master.1.1"):
        assert select(pattern, hosts) == ["cloud.my_master.1.1"], pattern


def test_one_key_is_chosen_once() -> None:
    assert select("all", (*HOSTS, HOSTS[0])) == LAYERED


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("clowd", "cloud"),
        ("cloud.master", "cloud.master.*"),
        ("cloud.mister.*", "cloud.master.*"),
        ("Mastr", "Master"),
        ("xyz", None),
    ],
)
def test_proposals(text: str, meant: str | None) -> None:
    assert Roster(HOSTS).proposal(text) == meant


TERMS = st.sampled_from([name for name in CASES if not set(name) & set(",:!& ")])
SIGNS = st.sampled_from(["", "", "!", "&"])


@given(TERMS, TERMS)
def test_union_commutes(left: str, right: str) -> None:
    both = select(f"{left}:{right}", HOSTS)

    assert both == select(f"{right},{left}", HOSTS)
    assert set(both) == {*select(left, HOSTS), *select(right, HOSTS)}


@given(TERMS, TERMS)
def test_exclusion_removes_and_intersection_keeps(left: str, right: str) -> None:
    first, second = select(left, HOSTS), select(right, HOSTS)

    assert select(f"{left}:!{right}", HOSTS) == [key for key in first if key not in second]
    assert select(f"{left}:&{right}", HOSTS) == [key for key in first if key in second]


@given(st.lists(st.tuples(SIGNS, TERMS), min_size=1, max_size=5), st.randoms())
def test_order_of_terms_does_not_matter(terms: list[tuple[str, str]], random: Any) -> None:
    shuffled = random.sample(terms, len(terms))

    assert select(":".join(map("".join, terms)), HOSTS) == select(":".join(map("".join, shuffled)), HOSTS)


@given(st.lists(st.tuples(SIGNS, TERMS), min_size=1, max_size=5))
def test_hosts_come_once_in_the_order_of_the_plan_whatever_the_case(terms: list[tuple[str, str]]) -> None:
    pattern = ":".join(map("".join, terms))

    chosen = select(pattern, HOSTS)

    assert chosen == [key for key in KEYS if key in chosen]
    assert len(chosen) == len(set(chosen))
    upper = [
        replace(host, service=host.service.upper(), roles=tuple(role.upper() for role in host.roles)) for host in HOSTS
    ]
    assert select(pattern, upper) == chosen


@given(st.text(alphabet="cloudegma.*?[]()!&~:,-01 9\\^$|{}+", max_size=30))
@settings(max_examples=400)
def test_any_text_chooses_or_is_refused(pattern: str) -> None:
    with contextlib.suppress(SelectorError):  # the only way to refuse
        assert set(select(pattern, HOSTS)) <= set(KEYS)


BEYOND = ("cloud[7]", "cloud[-7]")
"""Ansible raises for these."""


@pytest.fixture(scope="module")
def ansible_inventory(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Ansible's own inventory of the layered hosts, with a group for every name, all lower case."""
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    lines: list[str] = list(LAYERED)
    for name in sorted(
        {name.lower() for host in HOSTS[:-1] for name in (host.layer or "", host.service, *host.roles, host.testbed)}
    ):
        members = [
            host.key
            for host in HOSTS[:-1]
            if name in {word.lower() for word in (host.layer or "", host.service, *host.roles, host.testbed)}
        ]
        lines += [f"[{name}]", *members]
    file = tmp_path_factory.mktemp("inventory") / "hosts.ini"
    file.write_text("\n".join(lines))
    return InventoryManager(loader=DataLoader(), sources=[str(file)])


@pytest.mark.parametrize("pattern", [name for name in CASES if "provenance_service" not in name and name not in BEYOND])
def test_ansible_chooses_the_same_hosts(pattern: str, ansible_inventory: Any) -> None:
    lowered = pattern if "~" in pattern else pattern.lower()
    theirs = {host.name for host in ansible_inventory.list_hosts(lowered.replace("~EDGE", "~edge"))}

    assert set(select(pattern, HOSTS)) == theirs
