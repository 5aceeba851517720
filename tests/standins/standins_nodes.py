"""Local hosts that play the machines of Grid'5000 and FIT IoT-LAB, under their names, with their accounts."""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from e2c.environments.base import Claim, Watch
from e2c.environments.local import registry
from e2c.environments.local.layout import HostLayout
from e2c.environments.local.provider import LocalProvider
from e2c.model.plan import PlannedHost

ACCOUNT = "jdoe"
_SSH_LIMIT_S = 20

# What a freshly booted machine is: no processes of others, no keys, no leftovers. Keys go first: whoever is thrown out
# comes back at once.
_BOOT = f"""
rm -f /root/.ssh/authorized_keys /home/{ACCOUNT}/.ssh/authorized_keys
kill -9 -1 2>/dev/null
tc qdisc del dev eth0 root 2>/dev/null
ip addr flush dev eno2 2>/dev/null
find /tmp /root /home/{ACCOUNT} -mindepth 1 -delete 2>/dev/null
rm -rf /etc/grid5000
mkdir -p -m 700 /root/.ssh /home/{ACCOUNT}/.ssh
echo '# ~/.bashrc: read by every shell that ssh starts' >/root/.bashrc
cp /root/.bashrc /home/{ACCOUNT}/.bashrc
echo 'if [ -f ~/.bashrc ]; then . ~/.bashrc; fi' >/root/.profile
"""

# The key list is read while it is written: take all of it in first.
_SUDO = '#!/bin/sh\nt=$(mktemp) && cat >"$t"\n"$@" <"$t"\nrc=$?\nrm -f "$t"\nexit $rc\n'
# The first interface has its addresses already; what another is offered, whoever plugged it in has written down.
_DHCLIENT = """\
#!/bin/sh
case $1 in -4 | -6) family=${1#-}; shift ;; *) family=4 ;; esac
[ "$1" = eth0 ] && exit 0
[ -f "/run/offer-$1-$family" ] || exit 2
ip "-$family" addr add "$(cat "/run/offer-$1-$family")" dev "$1" $([ "$family" = 6 ] && echo nodad)
"""

# Only eth0 has netem here (see e2c.environments.local.tcshim); a system that has it has it on every interface.
_TC = '#!/bin/sh\ncase " $* " in *" dev lo "*) exit 0 ;; esac\nexec /usr/local/sbin/tc-of-eth0 "$@"\n'


@dataclass(frozen=True)
class Machine:
    """A machine to play.

    Attributes:
        name: its first name, what ``hostname`` answers; unique.
        names4, names6: its names by address family.
        testbed: ``g5k`` or ``iotlab``.
        frontend: whether it is there for all users at all times.
    """

    name: str
    names4: tuple[str, ...]
    names6: tuple[str, ...]
    testbed: str
    frontend: bool = False


def grid5000_node(fqdn: str) -> Machine:
    """A node: the plain name has an IPv4 address only, ``-ipv6`` the other; in a VLAN it has names of its own."""
    uid, _, rest = fqdn.partition(".")
    vlans = [f"{uid}-kavlan-{number}" for number in range(1, 10)]
    return Machine(
        name=fqdn,
        names4=(fqdn, *(f"{name}.{rest}" for name in vlans)),
        names6=tuple(f"{name}-ipv6.{rest}" for name in (uid, *vlans)),
        testbed="g5k",
    )


def iotlab_node(address: str) -> Machine:
    """The Linux side of a node."""
    return Machine(f"node-{address}", (f"node-{address}",), (f"node-{address}",), "iotlab")


class Nodes:
    """The machines, up from the first moment; who may log in changes with the reservations."""

    def __init__(self, machines: Sequence[Machine], *, shaped: bool) -> None:
        self.machines = {machine.name: machine for machine in machines}
        self._provider = LocalProvider()
        self._shaped = shaped
        self._claim: Claim | None = None
        self._layouts: dict[str, HostLayout] = {}
        self._pids: dict[str, int] = {}

    def up(self) -> None:
        """Build all, and give them their names and programs."""
        keys = list(self.machines)
        claim = self._provider.claim(
            experiment=f"stand-ins {uuid.uuid4()}",
            scenario="/no/such/scenario",
            job_name="x",
            walltime_s=1,
            settings={},
        )
        if self._shaped:
            claim = claim.model_copy(update={"resources": {**claim.resources, "netem": "auto"}})
        self._claim = claim
        watch = Watch(lambda _: None)
        hosts = [PlannedHost(key=key, layer=None, service="x", testbed="local", provider="local") for key in keys]
        acquired = self._provider.acquire(claim, hosts, watch)
        if self._shaped:
            self._provider.enable_netem(claim, acquired.hosts, watch)
        record = registry.read(claim.resources["testbed"])
        assert record is not None
        self.layout = record.layout
        self._layouts = {layout.key: layout for layout in record.layout.hosts}
        self._pids = {key: record.processes[layout.index].pid for key, layout in self._layouts.items()}
        for name in keys:
            self._settle(name)
        for name in keys:
            self._wait_for_ssh(name)

    def down(self) -> None:
        """Remove all."""
        if self._claim is not None:
            self._provider.release(self._claim, lambda _: None)

    def v4(self, name: str) -> str:
        return self._layouts[name].v4

    def v6(self, name: str) -> str:
        address = self._layouts[name].v6
        assert address is not None, "the kernel of this machine has no IPv6"
        return address

    def etc_hosts(self) -> str:
        """Lines that name all machines."""
        lines = []
        for name, machine in self.machines.items():
            lines.append(f"{self.v4(name)} {' '.join(machine.names4)}")
            if machine.names6 and self._layouts[name].v6:
                lines.append(f"{self.v6(name)} {' '.join(machine.names6)}")
        return "\n".join(lines) + "\n"

    def run(self, name: str, script: str, *, stdin: str = "", check: bool = True) -> str:
        """Run a shell script on a machine, from the inside and as root, whoever may log in; returns what it wrote."""
        enter = ["nsenter", "--target", str(self._pids[name]), "--mount", "--uts", "--ipc", "--net", "--pid"]
        done = subprocess.run(
            [*enter, "--", "/bin/sh", "-c", script],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if check and done.returncode:
            raise AssertionError(f"{name}: {script}: {done.stderr}")
        return done.stdout

    def boot(self, name: str) -> None:
        """As after a reboot: nobody's processes, keys or files."""
        self.run(name, _BOOT, check=False)

    def admit(self, name: str, user: str, keys: str) -> None:
        """Let whoever has one of these keys log in."""
        home = "/root" if user == "root" else f"/home/{user}"
        self.run(name, f"cat >{home}/.ssh/authorized_keys", stdin=keys.strip() + "\n")

    def write(self, name: str, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of a machine."""
        quoted = shlex.quote(path)
        self.run(name, f'mkdir -p "$(dirname {quoted})" && cat >{quoted} && chmod {mode:o} {quoted}', stdin=text)

    def plug(self, name: str, device: str, network: str, offer: Mapping[int, str]) -> None:
        """Give a machine one more interface, in a network of its own, with addresses that ``dhclient`` gets there."""
        switch = next(self._pids[other.name] for other in self.machines.values() if other.frontend)
        port = f"{network}-{self._layouts[name].index}"
        there = ["nsenter", "--target", str(switch), "--net", "ip", "link"]
        self.unplug(name, device)
        subprocess.run([*there, "add", network, "type", "bridge"], check=False, capture_output=True)  # may be there
        ends = [device, "netns", str(self._pids[name]), "type", "veth", "peer", "name", port, "netns", str(switch)]
        for command in (
            ["ip", "link", "add", *ends],
            [*there, "set", "dev", network, "up"],
            [*there, "set", "dev", port, "master", network, "up"],
        ):
            subprocess.run(command, check=True, capture_output=True)
        for family, address in offer.items():
            self.write(name, f"/run/offer-{device}-{family}", address)

    def unplug(self, name: str, device: str) -> None:
        """Remove an interface that was plugged in, if it is there."""
        self.run(name, f"ip link del {device} 2>/dev/null; rm -f /run/offer-{device}-*", check=False)

    def filter(self, name: str, rules: str) -> None:
        """Replace a machine's packet filter."""
        enter = ["nsenter", "--target", str(self._pids[name]), "--net", "nft", "-f", "-"]
        text = f"table inet standins {{}}\ndelete table inet standins\ntable inet standins {{\n{rules}\n}}\n"
        subprocess.run(enter, input=text, text=True, check=True, capture_output=True)

    def _settle(self, name: str) -> None:
        machine = self.machines[name]
        hosts = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n" + self.etc_hosts()
        self.write(name, "/etc/hosts", hosts)
        self.write(name, "/etc/hostname", f"{name}\n")
        self.run(name, f"hostname {name}")
        self.run(name, f"echo '{ACCOUNT}:*:0:0::/home/{ACCOUNT}:/bin/bash' >>/etc/passwd; mkdir -p /home/{ACCOUNT}")
        if machine.testbed == "g5k":
            self.write(name, "/usr/local/bin/sudo-g5k", _SUDO, 0o755)
            self.write(name, "/usr/local/sbin/dhclient", _DHCLIENT, 0o755)
        if self._shaped:
            self.run(name, "mv /usr/local/sbin/tc /usr/local/sbin/tc-of-eth0")
            self.write(name, "/usr/local/sbin/tc", _TC, 0o755)
        self.run(name, _BOOT, check=False)
        own_keys = "s,^AuthorizedKeysFile.*,AuthorizedKeysFile .ssh/authorized_keys,"
        self.run(name, f"sed -i {shlex.quote(own_keys)} /run/e2c-sshd/config && kill -HUP 1")

    def _wait_for_ssh(self, name: str) -> None:
        deadline = time.monotonic() + _SSH_LIMIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((self.v4(name), 22), timeout=1) as connection:
                if connection.recv(7) == b"SSH-2.0":
                    return
            time.sleep(0.02)
        raise AssertionError(f"{name} does not answer to ssh")
