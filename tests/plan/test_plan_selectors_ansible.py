"""The same pattern on the same inventory: ours beside Ansible's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from e2c.plan.selectors import Roster

LAYERS = ("cloud", "edge", "fog-1", "all_fogs")
SERVICES = ("master", "worker", "client", "cloudlet", "edge")
ROLES = ("provenance", "monitoring", "work", "ed")


@dataclass(frozen=True)
class Machine:
    key: str
    layer: str
    service: str
    roles: tuple[str, ...]
    testbed: str = "g5k"


@st.composite
def machines(draw: st.DrawFn) -> list[Machine]:
    found = []
    for layer in draw(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=3, unique=True)):
        services = draw(st.lists(st.tuples(st.sampled_from(SERVICES), st.integers(1, 3)), min_size=1, max_size=3))
        for number, (service, quantity) in enumerate(services, 1):
            roles = tuple(draw(st.lists(st.sampled_from(ROLES), max_size=2, unique=True)))
            found += [
                Machine(f"{layer}.{service}.{number}.{machine}", layer, service, roles)
                for machine in range(1, quantity + 1)
            ]
    return found


GROUPS = st.sampled_from([*LAYERS, *SERVICES, *ROLES, "g5k", "nothing"])
NAMES = st.one_of(GROUPS, st.just("all"))
GLOBS = st.sampled_from(
    ["*", "cloud*", "*e", "?????", "*.worker.*", "*.1", "cloud.master.1.1", "[ce]*", "[!c]*", "*.[12].*", "edge.*.?.2"]
)
EXPRESSIONS = st.sampled_from(
    ["~edge", r"~.*\.[12]$", "~(cloud|edge)", r"~[a-z]+\.(master|client)\.", "~(c+l*)+oud", "~x"]
)
# not of `all`, whose hosts Ansible counts group by group, and we in the order of the plan
SUBSCRIPTS = st.sampled_from(["[0]", "[1]", "[-1]", "[0:1]", "[1:]", "[1:2]", "[0-2]"])
TERMS = st.one_of(NAMES, GLOBS, EXPRESSIONS, st.tuples(GROUPS, SUBSCRIPTS).map("".join))
PATTERNS = st.tuples(
    st.lists(st.tuples(st.sampled_from(["", "", "!", "&"]), TERMS).map("".join), min_size=1, max_size=5),
    st.sampled_from([",", ", ", ":"]),
)


def inventory(hosts: list[Machine]) -> Any:
    """Ansible's inventory with a group for every name."""
    from ansible.inventory.manager import InventoryManager
    from ansible.parsing.dataloader import DataLoader

    made = InventoryManager(loader=DataLoader(), sources=[])
    for host in hosts:
        made.add_host(host.key)
        for name in dict.fromkeys((host.layer, host.service, *host.roles, host.testbed)):
            made.add_group(name)
            made.add_host(host.key, group=name)
    made.reconcile_inventory()
    return made


@given(machines(), PATTERNS)
@settings(max_examples=400, deadline=None)
def test_ansible_chooses_the_same_hosts(hosts: list[Machine], pattern: tuple[list[str], str]) -> None:
    from ansible.errors import AnsibleError

    terms, separator = pattern
    assume(separator != ":" or not any(":" in term or "(" in term for term in terms))
    text = separator.join(terms)
    groups = inventory(hosts)

    try:
        theirs = {host.name for host in groups.list_hosts(text)}
    except AnsibleError:  # it refuses subscripts beyond the end, which here choose nothing
        theirs = None
        assert "[" in text

    ours = Roster(hosts).select(text)
    assert theirs is None or set(ours) == theirs
    assert list(ours) == [host.key for host in hosts if host.key in ours]
