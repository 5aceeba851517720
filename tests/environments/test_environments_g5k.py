"""What is asked of Grid'5000 for a plan, and which host each machine becomes."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest
from grid5000_user import hosts

from e2c.environments import naming
from e2c.environments.g5k import dates, firewall, refusals
from e2c.environments.g5k.request import Group, deal, groups, natural
from e2c.errors import TestbedError
from e2c.model.plan import PlannedHost


def _machines(cluster: str, *numbers: int) -> list[str]:
    return [f"{cluster}-{number}.nancy.grid5000.fr" for number in numbers]


def test_machines_of_one_cluster_are_asked_for_together() -> None:
    planned = [*hosts(2), *hosts(1, "Other", cluster="grisou"), *hosts(1, "Third")]
    assert groups(planned) == [
        Group(cluster="gros", keys=("cloud.master.1.1", "cloud.master.1.2", "cloud.third.1.1")),
        Group(cluster="grisou", keys=("cloud.other.1.1",)),
    ]


def test_servers_go_before_the_cluster_and_their_order_does_not_matter() -> None:
    one, two = _machines("gros", 2, 10)
    planned = [*hosts(1, servers=[two, one], cluster="grisou"), *hosts(1, "Other", servers=[one, "gros-10.nancy"])]
    assert groups(planned) == [Group(servers=(one, two), keys=("cloud.master.1.1", "cloud.other.1.1"))]


def test_servers_of_several_clusters_are_asked_for_cluster_by_cluster() -> None:
    names = ["taurus-1.lyon.grid5000.fr", *_machines("gros", 1, 2)]
    found = groups(hosts(3, servers=names))
    assert [(group.servers, group.keys) for group in found] == [
        (("gros-1.nancy.grid5000.fr", "gros-2.nancy.grid5000.fr"), ("cloud.master.1.1", "cloud.master.1.2")),
        (("taurus-1.lyon.grid5000.fr",), ("cloud.master.1.3",)),
    ]


@pytest.mark.parametrize(
    ("number", "request_", "message"),
    [
        (1, {"env_name": "x"}, "neither cluster nor servers say which machine to take"),
        (1, {"servers": ["gros-1"]}, "gros-1 is no machine of Grid'5000"),
        (1, {"servers": ["192.0.2.1"]}, "192.0.2.1 is no machine of Grid'5000"),
        (3, {"servers": _machines("gros", 1, 2)}, "3 machines are asked for, but only 2 named"),
        (1, {"servers": [*_machines("gros", 1), "taurus-1.lyon"]}, "1 of 2 servers of several clusters are asked for"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(number: int, request_: dict[str, Any], message: str) -> None:
    with pytest.raises(TestbedError) as caught:
        groups(hosts(number, **request_))
    assert caught.value.what.startswith(message)
    assert caught.value.where == "layers_services.yaml: Master"
    assert caught.value.hint


def test_machines_are_dealt_in_natural_order_whatever_order_they_come_in() -> None:
    asked = groups([*hosts(3), *hosts(2, "Other", cluster="grisou")])
    first, second = _machines("gros", 9, 10, 100), _machines("grisou", 1, 2)
    wanted = dict(zip([*asked[0].keys, *asked[1].keys], [*first, *second], strict=True))
    for seed in range(20):
        shuffled = {0: random.Random(seed).sample(first, 3), 1: random.Random(seed).sample(second, 2)}
        assert deal(asked, shuffled) == wanted


def test_natural_order() -> None:
    assert sorted(["b-1", "a-10", "a-2", "a-2x", "a"], key=natural) == ["a", "a-2", "a-2x", "a-10", "b-1"]


def test_fewer_machines_than_asked_says_how_many_came() -> None:
    with pytest.raises(TestbedError, match=r"3 machines of gros were asked for, 1 came \(gros-7\.nancy"):
        deal(groups(hosts(3)), {0: _machines("gros", 7)})
    with pytest.raises(TestbedError, match="1 machine of gros were asked for, none came"):
        deal(groups(hosts(1)), {})


def test_firewall_opens_hosts_by_service_role_layer_or_provenance() -> None:
    provenance = PlannedHost(
        key="provenance_service.1", layer=None, service="provenance_service", roles=("provenance_service",),
        testbed="g5k", provider="g5k",
    )  # fmt: skip
    planned = [*hosts(2), *hosts(1, "Other"), provenance]
    machines = {host.key: name for host, name in zip(planned, _machines("gros", 1, 2, 3, 4), strict=True)}

    def opened(**rule: Any) -> list[tuple[tuple[str, ...], tuple[int, ...] | None, str]]:
        found = firewall.openings({"firewall_rules": [rule]}, planned, machines)
        return [(opening.machines, opening.ports, opening.proto) for opening in found]

    first, second, third, fourth = _machines("gros", 1, 2, 3, 4)
    assert opened(services=["master"], ports=[80, 443], proto="tcp") == [((first, second), (80, 443), "tcp")]
    assert opened(services=["CLOUD"], ports=[80]) == [((first, second, third), (80,), "tcp+udp")]
    assert opened(services=["provenance"]) == [((first, second, third), None, "tcp+udp")]
    assert opened(services=["provenance_service", "Other"], proto="tcp") == [((third, fourth), None, "tcp")]
    assert opened(services=["Other"], ports=[80], proto="all") == [((third,), None, "all")]
    assert opened(services=["nobody"], ports=[80]) == []


def test_an_opening_that_stands_is_recognised() -> None:
    opening = firewall.Opening(machines=("gros-1.nancy.grid5000.fr",), ports=(1883,), proto="tcp+udp")
    addresses = [firewall.address(machine) for machine in opening.machines]
    rule = {"addr": ["gros-1-ipv6.nancy.grid5000.fr"], "port": [1883], "proto": "tcp+udp"}
    assert addresses == rule["addr"]
    assert firewall.stands([rule], addresses, opening)
    assert firewall.stands([{"addr": addresses[0], "port": "1883"}], addresses, opening)
    for change in ({"port": [80]}, {"proto": "tcp"}, {"addr": ["gros-2-ipv6.nancy.grid5000.fr"]}):
        assert not firewall.stands([rule | change], addresses, opening)
    every = opening.model_copy(update={"ports": None, "proto": "all"})
    assert firewall.stands([{"addr": addresses, "port": None, "proto": "all"}], addresses, every)


@pytest.mark.parametrize(("seconds", "text"), [(59, "00:00:59"), (3600, "01:00:00"), (360_000, "100:00:00")])
def test_walltime_of_any_length(seconds: int, text: str) -> None:
    assert dates.duration(seconds) == text
    assert dates.seconds(text, 0) == seconds
    assert dates.seconds(None, 7) == 7


def test_dates_are_those_of_paris_in_winter_and_summer() -> None:
    assert dates.parse("2027-01-30 19:00:00") == 1_801_332_000
    assert dates.parse("2027-07-30 19:00:00") == 1_816_966_800
    assert dates.there(1_816_966_800) == "2027-07-30 19:00:00"
    assert dates.parse(None) is None


def test_words_of_the_testbed_come_in_one_line_without_markup() -> None:
    html = b"<html><head><title>502 Bad Gateway</title></head>\n<body><h1>Bad Gateway</h1></body></html>"
    assert refusals.words(html) == "Bad Gateway"
    told = "Request to http://api/oarapi/jobs.json failed with status 400: Reservation too old"
    assert refusals.words(told) == "Reservation too old"
    assert refusals.words("a\n\n b.") == "a b"
    assert len(refusals.words("x" * 5000)) < 400
    assert refusals.words(None) == ""


@pytest.mark.parametrize("answer", ["<html>Log in</html>", ["x"], None])
def test_an_answer_of_another_form_is_told_without_words_of_python(answer: Any) -> None:
    with pytest.raises((TypeError, AttributeError)) as raised:
        answer["uid"].get("state")
    told = str(refusals.translate(raised.value, "the job could not be read"))
    assert "answers something else than expected" in told
    assert not any(word in told for word in ("indices", "attribute", "NoneType"))


def test_names_differ_between_folders_and_stay_the_same_between_processes() -> None:
    program = "from e2c.environments import naming; print(naming.job_name('try', '/some/scenario'))"
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert told == {naming.job_name("try", "/some/scenario")}
    assert naming.is_of(naming.job_name("try", "/some/scenario"), "/some/scenario")
    assert naming.is_of(naming.job_name("another", "/some/scenario"), "/some/scenario")
    assert naming.job_name("try-\u00fcn\u00ef walk", "/s").startswith("try-_n_walk-")
    assert not naming.is_of(naming.job_name("try", "/some/scenario2"), "/some/scenario")
    assert not naming.is_of("try", "/some/scenario")
