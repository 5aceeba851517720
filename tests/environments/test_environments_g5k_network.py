"""The KaVLAN of monitored hosts, as it is asked for at Grid'5000's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from grid5000_user import DEPLOY, User, hosts, sentence

from e2c.emulation.constraint import constraints, nothing_exempt
from e2c.environments.g5k import kavlan
from e2c.environments.g5k.request import groups
from e2c.errors import TestbedError
from e2c.model.host import Addresses, Host, Interface
from e2c.model.link import PlannedLink
from e2c.plan.variables import self_variables

GROS = {"cluster": "gros", "monitoring_network": 4}


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    user = User(tmp_path)
    for name, value in user.environment.items():
        monkeypatch.setenv(name, value)
    user.log_in()
    with user.api:
        yield user
        assert user.api.living() == []


def test_hosts_of_several_sites_share_a_global_kavlan_which_one_job_holds(user: User) -> None:
    claim = user.claim(**DEPLOY)
    planned = [*hosts(1, **GROS), *hosts(1, "Other", cluster="taurus", monitoring_network=4), *hosts(1, "Plain")]
    machines = user.acquire(claim, planned)
    assert {job.site: job.vlans for job in user.api.living()} == {"nancy": ["11"], "lyon": []}
    attached = {name.replace("-eth1", "") for name in user.api.vlan_nodes}
    assert attached == {machines["cloud.master.1.1"], machines["cloud.other.1.1"]}
    assert set(user.api.vlan_nodes.values()) == {"11"}
    assert len(user.release(claim)) == 2
    assert user.api.vlan_nodes == {}


def test_a_job_that_was_booked_without_a_kavlan_is_told_to_be_freed(user: User) -> None:
    claim = user.claim(**DEPLOY)
    user.acquire(claim, hosts(1))
    with pytest.raises(TestbedError) as caught:
        user.acquire(claim, hosts(1, **GROS))
    assert "holds no KaVLAN for the monitoring network" in sentence(caught.value)
    assert f"e2clab destroy {user.scenario}" in sentence(caught.value)
    user.release(claim)


def test_monitored_machines_are_asked_for_apart_from_others() -> None:
    planned = [*hosts(1, **GROS), *hosts(1, "Plain"), *hosts(1, "Other", **GROS)]
    assert [(group.monitored, group.keys) for group in groups(planned)] == [
        (True, ("cloud.master.1.1", "cloud.other.1.1")),
        (False, ("cloud.plain.1.1",)),
    ]
    assert kavlan.families(planned) == {"cloud.master.1.1": 4, "cloud.other.1.1": 4}


def _host(key: str, number: int) -> Host:
    return Host(
        key=key, layer="a", service="b", testbed="g5k", provider="g5k", hostname=key, address=key,
        addresses=Addresses(v4=f"172.16.64.{number}"),
        interfaces=(Interface(device="eno1", addresses=(f"172.16.64.{number}/20",)),),
        monitoring=Interface(device="eno2", addresses=(f"10.4.4.{number}/18", f"2001:db8::{number}/64")),
    )  # fmt: skip


def test_links_concern_the_experiments_interface_only() -> None:
    link = PlannedLink(src="a", dst="b", sources=("a",), destinations=("b",), delay_ms=10, symmetric=True, reason="")
    made = constraints([link], [_host("a", 1), _host("b", 2)], nothing_exempt)
    assert {(one.device, one.v4, one.v6) for one in made} == {
        ("eno1", "172.16.64.2", None),
        ("eno1", "172.16.64.1", None),
    }


@pytest.mark.parametrize(("family", "address"), [(4, "10.4.4.1"), (6, "2001:db8::1")])
def test_the_variable_has_the_address_of_the_family_that_is_asked_for(family: int, address: str) -> None:
    own = self_variables(kavlan.ordered(_host("a", 1), {"a": family}))
    assert (own["__monitoring_address__"], own["__monitoring_device__"]) == (address, "eno2")
    assert own["__address__"] == own["__address4__"] == "172.16.64.1"
    bare = _host("a", 1).model_copy(update={"monitoring": None})
    assert self_variables(bare)["__monitoring_address__"] == self_variables(bare)["__monitoring_device__"] == ""
