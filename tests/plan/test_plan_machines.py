"""Which machine of ``static`` plays which part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2c.config.load import read_scenario
from e2c.plan.build import build

HEAD = """\
environment:
  job_name: j
  static:
    user: debian
    port: 2200
    keyfile: ~/.ssh/lab
    jump: me@gateway.example.org
    hosts:
      - address: a
      - {address: b, user: root, jump: none}
      - {address: c, port: 22, keyfile: ~/.ssh/c}
      - {address: d, jump: other@gateway.example.org:23}
      - {address: "2001:db8::5"}
"""


def planned(
    folder: Path, services: str, more: str = "", testbed: str | None = None
) -> tuple[dict[str, Any], list[Any]]:
    folder.joinpath("layers_services.yaml").write_text(
        f"{HEAD}{more}layers:\n  - name: edge\n    services:\n{services}"
    )
    plan = build(read_scenario(folder, None, need="layers-services"), testbed=testbed)
    return {host.key: host.request for host in plan.hosts}, plan.testbeds["static"].get("hosts", [])


def test_taken_in_order_with_what_is_common_filled_in(tmp_path: Path) -> None:
    hosts, taken = planned(tmp_path, "      - {name: X, quantity: 2}\n      - {name: Y, quantity: 2}\n")
    common = {"user": "debian", "port": 2200, "keyfile": "~/.ssh/lab", "jump": "me@gateway.example.org"}
    assert hosts == {
        "edge.x.1.1": {**common, "address": "a"},
        "edge.x.1.2": {"address": "b", "user": "root", "port": 2200, "keyfile": "~/.ssh/lab"},
        "edge.y.2.1": {**common, "address": "c", "port": 22, "keyfile": "~/.ssh/c"},
        "edge.y.2.2": {**common, "address": "d", "jump": "other@gateway.example.org:23"},
    }
    assert [machine["key"] for machine in taken] == list(hosts)
    assert [machine["place"] for machine in taken] == [0, 1, 2, 3]


def test_those_that_services_name_are_set_aside(tmp_path: Path) -> None:
    services = (
        "      - {name: X, quantity: 1, repeat: 1}\n"
        "      - {name: Y, quantity: 1, repeat: 1, servers: [elsewhere, C, a]}\n"
        "      - {name: Z, quantity: 1, servers: [b]}\n"
    )
    hosts, taken = planned(tmp_path, services)
    assert {key: request["address"] for key, request in hosts.items()} == {
        "edge.x.1.1": "d",
        "edge.y.2.1": "elsewhere",
        "edge.z.3.1": "b",
        "edge.x.4.1": "2001:db8::5",
        "edge.y.5.1": "c",
    }
    assert hosts["edge.y.2.1"]["user"] == "debian"
    assert "jump" not in hosts["edge.z.3.1"]
    assert "place" not in taken[1]


def test_the_provenance_host_comes_last_or_is_named(tmp_path: Path) -> None:
    (tmp_path / "flow.py").touch()
    section = "provenance:\n  provider: static\n  dataflow_spec: flow.py\n"
    services = "      - {name: X, quantity: 2, roles: [provenance]}\n"
    hosts, _ = planned(tmp_path, services, section)
    assert [request["address"] for request in hosts.values()] == ["a", "b", "c"]
    hosts, _ = planned(tmp_path, services, f"{section}  servers: [a]\n")
    assert [request["address"] for request in hosts.values()] == ["b", "c", "a"]


def test_a_rehearsal_takes_no_machine(tmp_path: Path) -> None:
    hosts, taken = planned(tmp_path, "      - {name: X, quantity: 2}\n", testbed="local")
    assert list(hosts.values()) == [{}, {}]
    assert [machine["address"] for machine in taken] == ["a", "b", "c", "d", "2001:db8::5"]
