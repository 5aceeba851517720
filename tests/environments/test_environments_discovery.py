"""What machines say of themselves: real hosts by real ssh, and texts of kinds of machines that are not here."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from environments_lab import Lab

from e2c.environments import discovery
from e2c.errors import TestbedError
from e2c.model.host import Addresses, Host, Interface

STRIPPED = {"hostname": "", "addresses": Addresses(), "interfaces": (), "interpreter": "/no/python"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.netns
def test_machines_are_filled_in_as_the_local_testbed_knows_them(standing: tuple[Lab, dict[str, Host]]) -> None:
    _, hosts = standing
    found = discovery.discover([host.model_copy(update=STRIPPED) for host in hosts.values()], 20)
    assert [host.key for host in found] == list(hosts)
    for host in found:
        known = hosts[host.key]
        assert (host.hostname, host.addresses) == (known.hostname, known.addresses)
        assert host.interfaces == known.interfaces
        assert host.interpreter == "/usr/bin/python3"


@pytest.mark.netns
def test_who_does_not_answer_is_named_with_the_reason(standing: tuple[Lab, dict[str, Host]], tmp_path: Path) -> None:
    _, hosts = standing
    good = next(iter(hosts.values()))
    wrong = tmp_path / "key"
    wrong.write_bytes(Path(str(good.keyfile)).read_bytes())
    wrong.chmod(0o644)
    bad = {
        "unnamed": good.model_copy(update={"key": "a.1", "address": "no-such-machine.invalid"}),
        "silent": good.model_copy(update={"key": "a.2", "port": free_port()}),
        "user": good.model_copy(update={"key": "a.3", "user": "nobody-here"}),
        "open": good.model_copy(update={"key": "a.4", "keyfile": str(wrong), "control_dir": None}),
        "absent": good.model_copy(update={"key": "a.5", "keyfile": "/no/such/key", "control_dir": None}),
    }
    said: list[str] = []
    found = discovery.survey([*bad.values(), good], 0.5, said.append)
    assert [host.key for host in found.hosts] == [good.key]
    assert found.users == {good.key: 0}
    assert found.missing == {
        "a.1": "the name no-such-machine.invalid does not resolve",
        "a.2": f"nothing listens on port {bad['silent'].port}",
        "a.3": f"the key {good.keyfile} is refused for user nobody-here",
        "a.4": f"the key {wrong} is not used, because others may read it (chmod 600 it)",
        "a.5": "the key file /no/such/key does not exist",
    }
    assert said
    assert said[0].startswith("1 of 6 machines answer to ssh; no-such-machine.invalid: the name ")
    with pytest.raises(TestbedError) as caught:
        discovery.discover([bad["silent"], good], 0)
    assert str(caught.value) == (
        "1 of 2 machines do not answer to ssh within 0 s: "
        f"{good.address}: nothing listens on port {bad['silent'].port}. "
        "Allow more time with E2C_SSH_TIMEOUT=SECONDS."
    )


HOST = Host(key="a", layer="a", service="a", testbed="static", provider="static", hostname="", address="192.0.2.9")

VAGRANT = """\
hostname box
connection 192.168.56.1 40000 192.168.56.10 22
uid 0
address 1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever
address 2: enp-0    inet 10.0.2.15/24 brd 10.0.2.255 scope global dynamic enp-0\\       valid_lft 8s
address 3: enp0s8    inet 192.168.56.10/24 brd 192.168.56.255 scope global enp0s8\\       valid_lft forever
address 3: enp0s8    inet6 fe80::1/64 scope link \\       valid_lft forever preferred_lft forever
route4 default via 10.0.2.2 dev enp-0 proto dhcp src 10.0.2.15 metric 100
"""

ALIASED = """\
hostname box
connection 10.9.9.9 40000 ::ffff:10.0.0.3 22
python /usr/local/bin/python3
address 2: eth0@if7    inet 10.0.0.2/24 scope global eth0\\       valid_lft forever
address 2: eth0@if7    inet 10.0.0.3/24 scope global secondary eth0\\       valid_lft forever
address 2: eth0@if7    inet6 2001:db8::dead/64 scope global temporary dynamic \\       valid_lft 60s
address 2: eth0@if7    inet6 2001:db8::2/64 scope global dynamic mngtmpaddr \\       valid_lft 60s
address 2: eth0@if7    inet6 2001:db8::3/64 scope global deprecated dynamic \\       valid_lft 60s
"""

TRANSLATED = """\
hostname box
connection 10.9.9.9 40000 203.0.113.1 22
address 2: docker0    inet 172.17.0.1/16 scope global docker0\\       valid_lft forever
address 3: en-main    inet 10.0.0.2/24 scope global en-main\\       valid_lft forever
address 4: tun0    inet6 2001:db8:1::7/64 scope global \\       valid_lft forever
address 5: ppp0    inet 10.5.0.1 peer 10.5.0.2/32 scope global ppp0\\       valid_lft forever
route4 default via 10.0.0.1 dev en-main
route6 default dev tun0 metric 1024
"""


@pytest.mark.parametrize(
    ("text", "v4", "v6", "devices"),
    [
        (VAGRANT, "192.168.56.10", None, ["enp0s8"]),
        (ALIASED, "10.0.0.3", "2001:db8::2", ["eth0"]),
        (TRANSLATED, "10.0.0.2", "2001:db8:1::7", ["en-main", "tun0"]),
        ("hostname box\nconnection \nuid 0\n", None, None, []),
    ],
)
def test_the_main_interface(text: str, v4: str | None, v6: str | None, devices: list[str]) -> None:
    found = discovery._filled(HOST, text)
    assert found.hostname == "box"
    assert found.addresses == Addresses(v4=v4, v6=v6)
    assert [interface.device for interface in found.interfaces] == devices


SECOND = """\
hostname gros-1
connection 10.9.9.9 40000 172.16.66.1 22
address 2: eno1    inet 172.16.66.1/20 scope global dynamic eno1\\       valid_lft 8s
address 3: eno2    inet 10.4.4.1/18 scope global dynamic eno2\\       valid_lft 8s
address 3: eno2    inet6 2001:db8:4::1/64 scope global dynamic \\       valid_lft 60s
route4 default via 10.4.63.254 dev eno2
route6 default via fe80::1 dev eno2
"""


def test_the_interface_in_the_monitoring_network_is_never_the_experiments() -> None:
    apart = HOST.model_copy(update={"monitoring": Interface(device="eno2")})
    found = discovery._filled(apart, SECOND)
    assert found.addresses == Addresses(v4="172.16.66.1")
    assert [interface.device for interface in found.interfaces] == ["eno1"]
    assert found.monitoring == Interface(device="eno2", addresses=("10.4.4.1/18", "2001:db8:4::1/64"))
    unreached = SECOND.replace(" 172.16.66.1 22", " 203.0.113.1 22")  # behind address translation
    assert [interface.device for interface in discovery._filled(apart, unreached).interfaces] == ["eno1"]


def test_a_point_to_point_address_has_its_prefix() -> None:
    ppp = "connection a 1 10.5.0.1 22\n" + "".join(line + "\n" for line in TRANSLATED.splitlines() if "ppp0" in line)
    assert discovery._filled(HOST, ppp).interfaces == (Interface(device="ppp0", addresses=("10.5.0.1/32",)),)


def test_without_python_the_usual_path_stays() -> None:
    assert discovery._filled(HOST, VAGRANT).interpreter == "/usr/bin/python3"
    assert discovery._filled(HOST, ALIASED).interpreter == "/usr/local/bin/python3"
