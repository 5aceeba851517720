"""EnOSlib reaches our hosts as we do: by keys, jump hosts and sudo."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

from e2c.model.host import Addresses, Host, Interface

HOST = Host(
    key="cloud.x.1.1",
    layer="cloud",
    service="x",
    testbed="static",
    provider="static",
    hostname="h",
    address="10.0.0.1",
    addresses=Addresses(v4="10.1.0.1", v6="fd00::1"),
    interfaces=(Interface(device="eth1", addresses=("10.1.0.1/24", "fd00::1/64")),),
    user="me",
    port=2222,
    keyfile="/keys/100%",
    sudo=True,
    jump="you@gate:22",
    control_dir="/tmp/c",
    interpreter="/opt/python",
)
LOOK = """
import json, pickle, sys
from enoslib import Roles
from enoslib.enos_inventory import EnosInventory
from e2c.services import enos
host = enos.made(pickle.load(sys.stdin.buffer))
roles = Roles({"all": [host]})
found = EnosInventory(roles=roles).get_host(host.alias).vars
found = {name: str(value) for name, value in found.items()}
print(json.dumps([found, sorted(str(one.ip) for one in host.filter_addresses()), host.extra["gateway"]]))
"""


def test_a_host_behind_a_jump_host_with_sudo() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], input=pickle.dumps(HOST), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found, addresses, gateway = json.loads(done.stdout.decode().splitlines()[-1])
    assert addresses == ["10.1.0.1/24", "fd00::1/64"]
    assert gateway == "you@gate:22"
    assert found["ansible_host"] == "10.0.0.1"
    assert (found["ansible_port"], found["ansible_become"]) == ("2222", "True")
    assert found["ansible_python_interpreter"] == "/opt/python"
    assert found["ansible_ssh_private_key_file"] == "/keys/100%%"
    assert "ProxyCommand=" in found["ansible_ssh_common_args"]
    assert "gate" in found["ansible_ssh_common_args"]
