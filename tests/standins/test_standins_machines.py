"""The machines of the stand-ins: who gets in, when, and from where."""

from __future__ import annotations

import subprocess

import pytest
from standins_lab import StandIns
from test_standins_apis import ask, submit

pytestmark = pytest.mark.netns

_LISTEN = "nohup python3 -m http.server --bind :: 1883 >/dev/null 2>&1 &"
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 1883), timeout=float(sys.argv[2])).close()"


def ssh(lab: StandIns, user: str, host: str, command: str, *, jump: str | None) -> subprocess.CompletedProcess[str]:
    options = ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    options += ["-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR"]
    if jump:
        options += ["-o", f"ProxyCommand=ssh {' '.join(options)} -W %h:%p jdoe@{jump}"]
    return lab.run(f"{user}@{host}", command, program=("ssh", *options), timeout=30)


def test_nodes_let_in_whoever_holds_them_and_only_through_the_jump_host(standins: StandIns) -> None:
    api, node, access = standins.grid5000, "gros-1.nancy.grid5000.fr", "access.grid5000.fr"
    assert ssh(standins, "jdoe", access, "hostname", jump=None).stdout == f"{access}\n"
    assert ssh(standins, "jdoe", node, "true", jump=access).returncode == 255
    job = submit(api)[1]
    assert ask(api, "GET", f"/sites/nancy/jobs/{job['uid']}")[1]["state"] == "running"
    assert ssh(standins, "jdoe", node, "hostname", jump=access).stdout == f"{node}\n"
    assert ssh(standins, "jdoe", node, "true", jump=None).returncode == 255
    assert ssh(standins, "root", node, "true", jump=access).returncode == 255
    grant = "cat ~/.ssh/authorized_keys | sudo-g5k tee -a /root/.ssh/authorized_keys >/dev/null"
    behind = "setsid -f sleep 1000 </dev/null >/dev/null 2>&1"
    assert ssh(standins, "jdoe", node, f"{grant}; {behind}", jump=access).returncode == 0
    assert ssh(standins, "root", node, "pgrep -c sleep", jump=access).stdout == "1\n"
    api.forward(7200)
    assert ssh(standins, "root", node, "true", jump=access).returncode == 255
    assert standins.nodes.run(node, "pgrep -c sleep", check=False) == "0\n"


def test_the_firewall_opens_one_port_to_the_other_testbed(standins: StandIns) -> None:
    api, node, edge = standins.grid5000, "gros-1.nancy.grid5000.fr", "node-a8-1.grenoble.iot-lab.info"
    number = submit(api)[1]["uid"]
    ask(api, "GET", f"/sites/nancy/jobs/{number}")
    standins.nodes.run(node, _LISTEN)

    def reaches(name: str, patience_s: float) -> bool:
        done = standins.nodes.run(edge, f'python3 -c "{_CONNECT}" {name} {patience_s} && echo yes', check=False)
        return done == "yes\n"

    until = (
        "for i in $(seq 100); do python3 -c 'import socket; socket.create_connection((\"::1\", 1883))' && exit; done"
    )
    standins.nodes.run(node, until)
    assert not reaches("gros-1-ipv6.nancy.grid5000.fr", 1)
    rule = {"addr": ["gros-1-ipv6.nancy.grid5000.fr"], "port": [1883], "proto": "tcp"}
    ask(api, "POST", f"/sites/nancy/firewall/{number}", [rule])
    assert reaches("gros-1-ipv6.nancy.grid5000.fr", 10)
    assert not reaches(node, 1)  # IPv4 leads nowhere
    ask(api, "DELETE", f"/sites/nancy/firewall/{number}")
    assert not reaches("gros-1-ipv6.nancy.grid5000.fr", 1)
    ask(api, "DELETE", f"/sites/nancy/jobs/{number}")
