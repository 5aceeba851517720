"""Grid'5000's nodes by real ssh through the access machine, local hosts playing them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from standins_lab import StandIns

pytestmark = [pytest.mark.root, pytest.mark.netns]

SECOND = "gros-2.nancy.grid5000.fr"
PROGRAM = """
import json, sys
from e2c.environments.base import Watch
from e2c.environments.g5k.provider import Grid5000Provider
from e2c.errors import E2CError
from e2c.model.plan import PlannedHost
from e2c.remote import shell

asked = json.loads(sys.argv[1])
provider, told = Grid5000Provider(), {"waited": []}
claim = provider.claim(experiment="e", scenario="/s", job_name="try", walltime_s=3600, settings=asked["settings"])
planned = [
    PlannedHost(key=f"cloud.master.1.{n}", layer="cloud", service="Master", testbed="g5k", provider="g5k",
                request={"cluster": "gros"} | asked.get("request", {}))
    for n in (1, 2)
]
try:
    hosts = provider.acquire(claim, planned, Watch(lambda _: None, told["waited"].append)).hosts
    told["hosts"] = [host.model_dump(mode="json") for host in hosts]
    told["users"] = [answer.stdout.strip() for answer in shell.run_all(hosts, "id -un").values()]
    told["netem"] = provider.enable_netem(claim, hosts, lambda _: None)
except E2CError as error:
    told["error"] = str(error)
if asked.get("release", True):
    told["freed"] = provider.release(claim, lambda _: None)
print(json.dumps(told))
"""
EXAMINE = """
import json, sys
from e2c.environments.g5k.provider import Grid5000Provider
print(json.dumps([finding.model_dump() for finding in Grid5000Provider().examine(json.loads(sys.argv[1]))]))
"""
DEPLOY = {"job_type": ["deploy"], "env_name": "debian11-x64-big", "key_name": "id_ed25519.pub"}


@pytest.fixture(scope="module")
def standing() -> Iterator[StandIns]:
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    from e2c.environments.local.provider import LocalProvider
    from e2c.errors import MissingToolError

    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    with StandIns(iotlab=()) as lab:
        yield lab


@pytest.fixture
def lab(standing: StandIns) -> Iterator[StandIns]:
    try:
        yield standing
        assert standing.living() == []
    finally:
        standing.without_ssh.clear()
        standing.grid5000.faults.clear()
        for job in standing.grid5000.living():
            standing.grid5000.end(job)


def _told(lab: StandIns, program: str, asked: Any, **environment: str) -> Any:
    done = lab.python(program, json.dumps(asked), **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("settings", [{"ipv6": True}, DEPLOY])
def test_nodes_answer_as_root_through_the_access_machine(lab: StandIns, settings: dict[str, Any]) -> None:
    told = _told(lab, PROGRAM, {"settings": settings})
    assert "error" not in told
    assert [host["hostname"] for host in told["hosts"]] == ["gros-1.nancy.grid5000.fr", SECOND]
    assert {host["jump"] for host in told["hosts"]} == {"jdoe@access.grid5000.fr"}
    assert all(host["addresses"]["v4"] and host["interfaces"] for host in told["hosts"])
    assert told["users"] == ["root", "root"]
    assert told["netem"] == "kernel"
    assert len(told["freed"]) == 1


def test_addresses_in_the_monitoring_network_are_asked_for_again_when_a_job_is_taken_up(lab: StandIns) -> None:
    asked = {"settings": DEPLOY, "request": {"monitoring_network": 6}}
    before = len(lab.grid5000.deployments)
    first = _told(lab, PROGRAM, {**asked, "release": False})
    addresses = ["2001:660:4406:4::4:1/64", "2001:660:4406:4::4:2/64"]
    told = [host["monitoring"] for host in first["hosts"]]
    assert told == [{"device": "eno2", "addresses": [address]} for address in addresses]
    assert all(host["interfaces"][0]["device"] == "eth0" for host in first["hosts"])
    lab.nodes.run(SECOND, "ip addr flush dev eno2; ip link set eno2 down")  # as before DHCP was asked
    second = _told(lab, PROGRAM, asked)
    assert [host["monitoring"] for host in second["hosts"]] == told
    assert len(lab.grid5000.deployments) == before + 1
    assert lab.grid5000.vlan_nodes == {}


def test_node_without_ssh_is_named(lab: StandIns) -> None:
    lab.without_ssh.add(SECOND)
    told = _told(lab, PROGRAM, {"settings": DEPLOY}, E2C_SSH_TIMEOUT="6")
    assert told["error"].startswith(f"1 of 2 machines do not answer to ssh within 6 s: {SECOND}")
    assert "E2C_SSH_TIMEOUT" in told["error"]
    assert len(told["freed"]) == 1


def test_node_that_gives_no_root_access_is_named(lab: StandIns) -> None:
    lab.without_ssh.add(SECOND)
    told = _told(lab, PROGRAM, {"settings": {}}, E2C_SSH_TIMEOUT="6")
    assert told["error"].startswith(f"Grid'5000: no root access on {SECOND}: not within 6 s as jdoe")
    assert len(told["freed"]) == 1


def test_walltime_that_is_over_while_ssh_is_waited_for(lab: StandIns) -> None:
    lab.without_ssh.add(SECOND)
    soon = threading.Timer(5, lambda: lab.grid5000.forward(4000))
    lab.grid5000.faults.afterwards("GET", "/deployments/", soon.start)
    told = _told(lab, PROGRAM, {"settings": DEPLOY}, E2C_SSH_TIMEOUT="15")
    soon.join()
    assert "ended before its machines were ready" in told["error"] or "was over before its machines" in told["error"]
    assert "01:00:00" in told["error"]


def test_examination_tells_a_key_that_is_accepted_from_one_that_is_not(lab: StandIns) -> None:
    assert [finding["ok"] for finding in _told(lab, EXAMINE, {"key_name": "id_ed25519.pub"})] == [True] * 4
    lab.run("-q", "-t", "ed25519", "-N", "", "-f", lab.home / "stranger", program=["ssh-keygen"])
    found = _told(lab, EXAMINE, {"key_name": "~/stranger"})[3]
    assert (found["aspect"], found["ok"]) == ("ssh", False)
    assert found["text"] == (f"access.grid5000.fr: the key {lab.home}/stranger is refused for user jdoe")
    assert found["remedy"].startswith(f"Give {lab.home}/stranger.pub to your account")
