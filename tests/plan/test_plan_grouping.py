"""``depends_on``: what each host of a play learns of others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.model.host import Addresses, Host
from e2c.model.plan import ArrayInfo, Grouping, PlannedDependency, PlannedPlay
from e2c.plan.grouping import deal, host_variables


def host(key: str, number: int, *, layer: str = "edge", identity: str = "2_1", **more: Any) -> Host:
    fields: dict[str, Any] = {
        "key": key,
        "layer": layer,
        "service": key.split(".")[1],
        "roles": (layer, identity, "9_9"),
        "testbed": "local",
        "provider": "local",
        "hostname": f"h{number}",
        "address": f"10.0.0.{number}",
        "addresses": Addresses(v4=f"10.1.0.{number}", v6=f"fd00::{number}"),
    }
    return Host(**{**fields, **more})


SERVERS = [host(f"cloud.master.1.{machine}", machine, layer="cloud", identity="1_1") for machine in (1, 2)]
CLIENTS = [host(f"edge.worker.1.{machine}", 10 + machine) for machine in (1, 2, 3)]
HOSTS = [*SERVERS, *CLIENTS]


def play(
    grouping: Grouping, hosts: list[Host] = SERVERS, *, info: ArrayInfo = "id", prefix: str = "server"
) -> PlannedPlay:
    dependency = PlannedDependency(
        selector="x", hosts=tuple(found.key for found in hosts), grouping=grouping, prefix=prefix, array_info=info
    )
    return PlannedPlay(
        index=0, selector="edge", hosts=tuple(client.key for client in CLIENTS), depends_on=(dependency,)
    )


def test_self_of_a_host() -> None:
    assert host_variables(SERVERS[:1]) == {
        "cloud.master.1.1": {
            "_self": {
                "_id": "1_1_1",
                "layer_id": "1",
                "service_id": "1",
                "machine_id": "1",
                "__address__": "10.1.0.1",
                "url": "10.1.0.1",
                "__address4__": "10.1.0.1",
                "url4": "10.1.0.1",
                "__address6__": "fd00::1",
                "url6": "[fd00::1]",
                "__g5k_ipv6_address__": "fd00::1",
                "__monitoring_address__": "",
                "__monitoring_device__": "",
                "gateway": "",
            }
        }
    }


def test_self_with_what_a_plugin_registered() -> None:
    extras = {"cloud.master.1.1": {"service_port": 8080, "token": {"n": 1}}}

    found = host_variables(SERVERS[:1], extras)["cloud.master.1.1"]["_self"]

    assert (found["url"], found["url4"], found["url6"]) == ("10.1.0.1:8080", "10.1.0.1:8080", "[fd00::1]:8080")
    assert found["token"] == {"n": 1}
    assert "service_port" not in found


def test_self_of_a_grid5000_host() -> None:
    g5k = host(
        "cloud.master.1.1",
        1,
        hostname="gros-1.nancy.grid5000.fr",
        address="gros-1.nancy.grid5000.fr",
        addresses=Addresses(),
    )

    found = host_variables([g5k])["cloud.master.1.1"]["_self"]

    assert found["__g5k_ipv6_address__"] == "gros-1-ipv6.nancy.grid5000.fr"
    assert found["__address__"] == "gros-1.nancy.grid5000.fr"
    assert (found["__address6__"], found["url6"]) == ("", "")


def test_self_of_a_host_with_only_ipv6_and_of_the_provenance_host() -> None:
    only6 = host("edge.a.1.1", 1, addresses=Addresses(v6="fd00::1"))
    provenance = host("provenance_service.1", 2, layer=None, service="provenance_service", roles=())  # type: ignore[arg-type]

    found = host_variables([only6, provenance])

    assert found["edge.a.1.1"]["_self"]["url"] == "[fd00::1]"
    assert found["provenance_service.1"]["_self"]["_id"] == "1"


def test_round_robin_deals_in_turn() -> None:
    dealt = deal(play("round_robin"), HOSTS).variables

    assert {key: found["server"]["_id"] for key, found in dealt.items()} == {
        "edge.worker.1.1": "1_1_1",
        "edge.worker.1.2": "1_1_2",
        "edge.worker.1.3": "1_1_1",
    }


@pytest.mark.parametrize(
    ("info", "listed"),
    [("id", ["111", "112"]), ("hostname", ["10.1.0.1", "10.1.0.2"]), ("g5k_ipv6_hostname", ["fd00::1", "fd00::2"])],
)
def test_asarray_lists(info: ArrayInfo, listed: list[str]) -> None:
    dealt = deal(play("asarray", info=info), HOSTS).variables

    assert all(found == {"server": listed} for found in dealt.values())
    assert len(dealt) == 3


def test_identities_that_would_be_equal_keep_their_separators() -> None:
    many = [
        host(f"edge.w.{service}.{machine}", machine, identity=f"1_{service}") for service, machine in ((1, 11), (11, 1))
    ]

    assert deal(play("asarray", many), [*many, *CLIENTS]).variables["edge.worker.1.1"]["server"] == ["1_1_11", "1_11_1"]


def test_aggregate_makes_a_variable_per_machine() -> None:
    dealt = deal(play("aggregate", prefix="agg"), HOSTS).variables["edge.worker.1.2"]

    assert {name: found["url4"] for name, found in dealt.items()} == {"agg1_1": "10.1.0.1", "agg1_2": "10.1.0.2"}


def test_address_match_leaves_out_whom_it_cannot_match_and_says_so() -> None:
    beside = host("edge.sidecar.2.1", 11, identity="2_2")
    dealt = deal(play("address_match", [beside]), [*HOSTS, beside])

    assert list(dealt.variables) == ["edge.worker.1.1"]
    assert dealt.variables["edge.worker.1.1"]["server"]["_id"] == "2_2_1"
    assert dealt.skipped == ("edge.worker.1.2", "edge.worker.1.3")


def test_several_dependencies_add_up() -> None:
    both = play("round_robin").model_copy(
        update={"depends_on": (*play("round_robin").depends_on, *play("asarray", CLIENTS, prefix="peers").depends_on)}
    )

    assert deal(both, HOSTS).variables["edge.worker.1.1"].keys() == {"server", "peers"}


@pytest.mark.parametrize("grouping", ["round_robin", "asarray", "aggregate"])
def test_values_of_one_host_never_leak_to_another(grouping: Grouping) -> None:
    extras = {server.key: {"shared": {"list": [1]}} for server in SERVERS}
    dealt = deal(play(grouping), HOSTS, extras).variables

    for value in dealt["edge.worker.1.1"].values():
        if isinstance(value, list):
            value.append("mine")
        else:
            value["shared"]["list"].append("mine")

    fresh = deal(play(grouping), HOSTS, extras).variables
    assert dealt["edge.worker.1.3"] == fresh["edge.worker.1.3"]
    assert extras["cloud.master.1.1"] == {"shared": {"list": [1]}}


@given(st.integers(1, 7), st.integers(1, 9))
def test_round_robin_is_even(servers: int, clients: int) -> None:
    chosen = [host(f"cloud.s.1.{n}", n, layer="cloud") for n in range(1, servers + 1)]
    asking = [host(f"edge.c.1.{n}", 100 + n) for n in range(1, clients + 1)]
    asked = play("round_robin", chosen).model_copy(update={"hosts": tuple(client.key for client in asking)})

    dealt = deal(asked, [*chosen, *asking]).variables
    counts = [sum(found["server"]["machine_id"] == str(n) for found in dealt.values()) for n in range(1, servers + 1)]

    assert sum(counts) == clients
    assert max(counts) - min(counts) <= 1
