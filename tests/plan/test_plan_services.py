"""Services of a plan, names that plugins give to hosts, and what plays learn by them."""

from __future__ import annotations

import pytest

from e2c.model.host import Addresses, Host
from e2c.model.plan import PlannedDependency, PlannedHost, PlannedPlay
from e2c.plan import services
from e2c.plan.grouping import deal
from e2c.plan.selectors import Roster


def planned(layer: int, service: int, machine: int, name: str = "Flink") -> PlannedHost:
    return PlannedHost(
        key=f"cloud.{name.lower()}.{service}.{machine}",
        layer="Cloud",
        service=name,
        roles=("Cloud", name, f"{layer}_{service}", "g5k", "fast"),
        testbed="g5k",
        provider="local",
        request={"cluster": "gros"},
        numbers=(layer, service, machine),
        metadata={"port": 1, "env": {"X": 2}},
    )


HOSTS = [planned(1, 1, 1), planned(1, 1, 2), planned(1, 2, 1, "Idle")]


def test_services_and_what_their_plugins_are_told() -> None:
    own = PlannedHost(
        key="provenance_service.1", layer=None, service="provenance_service", testbed="g5k", provider="g5k"
    )
    flink, idle = services.services([*HOSTS, own])
    assert (flink.key, flink.numbers, len(flink.hosts)) == ("cloud.flink.1", (1, 1), 2)
    assert (idle.key, idle.name) == ("cloud.idle.2", "Idle")
    assert flink.metadata() == {
        "cluster": "gros",
        "port": 1,
        "env": {"X": 2},
        "name": "Flink",
        "quantity": 2,
        "environment": "g5k",
        "roles": ["fast"],
        "layer_name": "Cloud",
        "layer_id": 1,
        "service_id": 1,
        "_id": "1_1",
    }


def test_selectors_may_name_what_plugins_are_going_to_register() -> None:
    names = services.expected(HOSTS, {"Flink": ("Job Manager", "worker"), "Other": ("x",)})
    roster = Roster(services.named(HOSTS, names))
    assert roster.select("cloud.flink.1.job_manager.1") == ("cloud.flink.1.1",)
    assert roster.select("cloud.flink.1.worker.*") == ("cloud.flink.1.1", "cloud.flink.1.2")
    assert roster.select("cloud.idle.2.worker.1") == ()
    assert services.expected(HOSTS, {"Flink": ()}) == {}
    assert services.named(HOSTS, {}) is HOSTS


def host(number: int, *roles: str) -> Host:
    return Host(
        key=f"cloud.flink.1.{number}",
        layer="cloud",
        service="Flink",
        roles=("cloud", "Flink", "1_1", *roles),
        testbed="local",
        provider="local",
        hostname="h",
        address=f"10.0.0.{number}",
        addresses=Addresses(v4=f"10.0.0.{number}"),
    )


MANAGER, WORKER, PLAIN = "cloud.flink.1.manager.1", "cloud.flink.1.worker.1", "cloud.flink.1.1"
EXTRAS = {
    PLAIN: {"service_port": 80, "a": 0},
    MANAGER: {"service_port": 81, "a": 1},
    WORKER: {"service_port": 82, "b": 2},
}


@pytest.mark.parametrize(
    ("selector", "port", "a", "b"),
    [
        ("cloud.flink.1.manager.*", "81", 1, None),
        ("cloud.flink.1.worker.1", "82", None, 2),
        ("CLOUD.Flink.1.Worker.1", "82", None, 2),
        ("cloud.flink.1.worker.1,cloud.flink.1.manager.1", "81", 1, 2),
        ("cloud.flink.1.1", "80", 0, None),
        ("cloud.*", "80", 0, None),
        ("Flink", "80", 0, None),
        ("all", "80", 0, None),
    ],
)
def test_a_selector_that_names_a_part_learns_its_port(selector: str, port: str, a: int | None, b: int | None) -> None:
    both = host(1, MANAGER, WORKER)
    dependency = PlannedDependency(selector=selector, hosts=(both.key,), grouping="round_robin", prefix="p")
    play = PlannedPlay(index=0, selector="x", hosts=("x",), depends_on=(dependency,))
    learnt = deal(play, [both], EXTRAS).variables["x"]["p"]
    assert learnt["url"] == f"10.0.0.1:{port}"
    assert (learnt.get("a"), learnt.get("b")) == (a, b)
    assert learnt["_id"] == "1_1_1"


@pytest.mark.parametrize(
    ("selector", "hosts", "variables"),
    [
        ("cloud.flink.1.worker.*", (2, 3), {"w1_1": "1_1_2", "w1_2": "1_1_3"}),
        (
            "cloud.flink.1.manager.*,cloud.flink.1.worker.*",
            (1, 2, 3),
            {"w1_1": "1_1_1", "w1_2": "1_1_2", "w1_3": "1_1_3"},
        ),
        ("cloud.flink.*", (1, 2, 3), {"w1_1": "1_1_1", "w1_2": "1_1_2", "w1_3": "1_1_3"}),
    ],
)
def test_aggregate_counts_within_a_sub_service_where_that_is_unambiguous(
    selector: str, hosts: tuple[int, ...], variables: dict[str, str]
) -> None:
    every = [host(1, MANAGER), host(2, WORKER), host(3, WORKER.replace("worker.1", "worker.2"))]
    extras = {
        one.key: {"sub_service": part, "sub_service_id": number}
        for one, part, number in zip(every, ("manager", "worker", "worker"), ("1", "1", "2"), strict=True)
    }
    extras |= {one.roles[-1]: extras[one.key] for one in every}
    chosen = tuple(every[number - 1].key for number in hosts)
    dependency = PlannedDependency(selector=selector, hosts=chosen, grouping="aggregate", prefix="w")
    play = PlannedPlay(index=0, selector="x", hosts=("x",), depends_on=(dependency,))

    learnt = deal(play, every, extras).variables["x"]

    assert {name: found["_id"] for name, found in learnt.items()} == variables
