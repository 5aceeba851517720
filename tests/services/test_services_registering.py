"""Numbers and names of what plugins register: none is given twice, none is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2c.model.host import Host
from e2c.model.service import Registration
from e2c.services.registering import Registry

HOSTS = [
    Host(
        key=f"cloud.flink.2.{number}",
        layer="cloud",
        service="Flink",
        testbed="local",
        provider="local",
        hostname="h",
        address=f"10.0.0.{number}",
    )
    for number in (1, 2, 3)
]
CALLS = st.lists(
    st.tuples(st.lists(st.sampled_from(HOSTS), unique=True), st.sampled_from([None, "job manager", "Task_Manager"]))
)


def register(calls: list[tuple[list[Host], str | None]]) -> list[Registration]:
    registry = Registry("cloud.flink.2", HOSTS)
    for hosts, part in calls:
        for host in hosts:
            registry.add(host, 80, part, {})
    return registry.all


def keys(calls: list[tuple[list[Host], str | None]]) -> list[str]:
    return [one.key for one in register(calls)]


def test_numbers_go_on_from_call_to_call() -> None:
    first, second, third = HOSTS
    assert keys([([first], "job_manager"), ([second], "Task Manager"), ([third, first], "task_manager")]) == [
        "cloud.flink.2.job_manager.1",
        "cloud.flink.2.task_manager.1",
        "cloud.flink.2.task_manager.2",
        "cloud.flink.2.task_manager.3",
    ]


def test_a_host_without_a_part_keeps_its_key_and_gets_the_next_number_after_that() -> None:
    first, second, third = HOSTS
    assert keys([([second], None), ([first, third], None), ([second], None), ([second], None)]) == [
        "cloud.flink.2.2",
        "cloud.flink.2.1",
        "cloud.flink.2.3",
        "cloud.flink.2.4",
        "cloud.flink.2.5",
    ]


@given(CALLS)
def test_no_registration_replaces_another(calls: list[tuple[list[Host], str | None]]) -> None:
    made = register(calls)
    assert len(made) == sum(len(hosts) for hosts, _ in calls)
    assert len({one.key for one in made}) == len(made)
    others = {host.key: host.key for host in HOSTS}
    assert all(others.get(one.key, one.host) == one.host for one in made), "no host gets the service key of another"


@given(CALLS, CALLS)
def test_what_was_registered_before_counts(
    before: list[tuple[list[Host], str | None]], after: list[tuple[list[Host], str | None]]
) -> None:
    registry = Registry("cloud.flink.2", HOSTS, register(before))
    for hosts, part in after:
        for host in hosts:
            registry.add(host, 80, part, {})
    assert registry.all == register([*before, *after])


@pytest.mark.parametrize("name", ["", " ", "1", "a.b", "a:b", "*", "é", 3])
def test_what_cannot_be_part_of_a_service_key_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match="a sub-service may not be called"):
        Registry("cloud.flink.2", HOSTS).add(HOSTS[0], None, name, {})


def test_extra_entries_are_copied_and_plain() -> None:
    registry = Registry("cloud.flink.2", HOSTS)
    entries: dict[str, Any] = {"list": [1, {"a": None}]}
    made = registry.add(HOSTS[0], None, None, entries)
    entries["list"].append(2)
    assert made.extra == {"list": [1, {"a": None}]}
    with pytest.raises(ValueError, match="must be plain values"):
        registry.add(HOSTS[0], None, None, {"host": HOSTS[0]})
