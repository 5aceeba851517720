"""The monitoring network on Grid'5000: hosts have it beside the experiment's, and links never touch it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from standins_lab import StandIns

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError

pytestmark = [pytest.mark.netns, pytest.mark.switch, pytest.mark.timeout(400)]

LAYERS = """\
environment:
  job_name: watched
  g5k: {cluster: gros, job_type: [deploy], env_name: debian12-big}
monitoring: {type: dstat, network: private}
layers:
- name: cloud
  services: [{name: server, roles: [monitoring]}]
- name: edge
  services: [{name: client, roles: [monitoring]}, {name: plain}]
"""
NETWORK = "networks: [{src: edge, dst: cloud, delay: 60ms, rate: 1gbit, symmetric: true}]\n"
WORKFLOW = """\
- hosts: edge.client.*
  depends_on: [{service_selector: "cloud.*", grouping: round_robin, prefix: server}]
  launch:
  - shell: ping -nq -i 0.2 -c 5 {{ server.__monitoring_address__ }} >apart.txt
    args: {chdir: /tmp}
  - shell: "echo {{ _self.__monitoring_device__ }} {{ _self.__monitoring_address__ }} >>/tmp/apart.txt"
- hosts: edge.plain.*
  launch:
  - shell: "test -z '{{ _self.__monitoring_address__ }}{{ _self.__monitoring_device__ }}'"
"""


@pytest.fixture
def shaped() -> Iterator[StandIns]:
    """Three nodes on which netem works."""
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    with StandIns(["gros-1.nancy", "gros-2.nancy", "gros-3.nancy"], iotlab=(), shaped=True) as lab:
        yield lab
        assert lab.living() == []


def test_monitored_hosts_meet_in_a_network_that_links_leave_alone(shaped: StandIns, tmp_path: Path) -> None:
    for name, text in (("layers_services", LAYERS), ("network", NETWORK), ("workflow", WORKFLOW)):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "artifacts").mkdir()
    done = shaped.run("deploy", tmp_path, tmp_path / "artifacts")
    assert done.returncode == 0, done.stderr
    assert "KaVLAN 4 of nancy is the monitoring network" in done.stderr

    (job,) = shaped.grid5000.living()
    assert job.deploys
    assert "{type='kavlan'}/vlan=1" in job.resources
    found = json.loads(shaped.run("inspect", tmp_path, "--format", "json").stdout)["hosts"]
    hosts = {host["service"]: host for host in found}
    monitored = [hosts["cloud.server.1.1"], hosts["edge.client.1.1"]]
    assert hosts["edge.plain.2.1"]["monitoring"] is None
    assert {host["monitoring"]["device"] for host in monitored} == {"eno2"}
    own = [host["monitoring"]["addresses"][0].partition("/")[0] for host in monitored]
    assert all(re.fullmatch(r"10\.4\.4\.\d", address) for address in own)
    assert not set(own) & {host["addresses"]["v4"] for host in found}
    told = shaped.run("inspect", tmp_path).stdout
    for host, address in zip(monitored, own, strict=True):
        assert re.search(rf"{host['service']} +eno2 +{address}/18", told)

    # one way of 60 ms by the link, none of it here, nor any queue of ours
    client = monitored[1]["hostname"]
    apart = shaped.nodes.run(client, "cat /tmp/apart.txt")
    assert f"eno2 {own[1]}" in apart
    around = re.search(r"= [\d.]+/([\d.]+)/", apart)
    assert around is not None, apart
    assert float(around[1]) < 60
    assert "5 received" in apart
    shown = shaped.run("network", tmp_path, "--show")
    assert "delay 60ms" in shown.stdout
    queues = shaped.nodes.run(client, "tc-of-eth0 qdisc show dev eno2")
    assert re.findall(r"qdisc (\w+)", queues) == ["noqueue"]

    freed = shaped.run("destroy", tmp_path)
    assert freed.returncode == 0, freed.stderr
    assert shaped.grid5000.vlan_nodes == {}
