"""Grid'5000 and FIT IoT-LAB on this machine: their APIs, their machines with real ssh, a user with an account."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grid5000_api import Grid5000Api
from grid5000_jobs import Deployment, Job
from iotlab_api import Experiment, IotLabApi
from standins_nodes import ACCOUNT, Machine, Nodes, grid5000_node, iotlab_node

LIMIT_S = 300
_E2CLAB = (sys.executable, "-c", "from e2c.cli.app import main; main()")
_NAMES = {"eth1": "eno2"}
"""Names that systems give to interfaces, by their names in the API."""
_SITES = ("nancy", "lyon", "rennes")
_GATEWAYS = tuple(f"kavlan-{vlan}.{site}.grid5000.fr" for site in _SITES for vlan in (1, 2, 3))


class StandIns:
    """A context manager: everything stands inside, nothing is left after.

    Commands run in a mount namespace of their own in which ``/etc/hosts`` names the machines and the home folder is a
    temporary one, also for programs that ask the list of accounts.

    Args:
        grid5000: nodes that exist with a machine behind (``gros-1.nancy``).
        iotlab: nodes that exist with a machine behind (``a8-1.grenoble``); boards without Linux need none.
        shaped: make ``tc ... netem`` work on the machines (takes some seconds).
        isolated: machines are reached through the jump hosts only, IPv4 does not lead from one testbed to the other,
            and Grid'5000 nodes are closed to IoT-LAB hosts until the firewall is asked to open a port.

    Attributes:
        grid5000, iotlab: the APIs.
        nodes: the machines.
        home: the user's home folder, with credentials and an ssh key, ``.ssh/id_ed25519``.
        environment: variables of the commands.
        without_ssh: names of machines that nobody gets into, whatever is reserved.
        without_dhcp: names of machines whose further interfaces are offered no address.
    """

    def __init__(
        self,
        grid5000: Sequence[str] = ("gros-1.nancy", "gros-2.nancy"),
        iotlab: Sequence[str] = ("a8-1.grenoble",),
        *,
        shaped: bool = False,
        isolated: bool = True,
    ) -> None:
        self._isolated = isolated
        self._played = [f"{name}.grid5000.fr" for name in grid5000]
        self._linux = [f"{name}.iot-lab.info" for name in iotlab]
        access = Machine(
            "access.grid5000.fr",
            ("access.grid5000.fr", *(f"{site}.grid5000.fr" for site in _SITES), *_GATEWAYS),
            (),
            "g5k",
            frontend=True,
        )
        site = Machine("grenoble.iot-lab.info", ("grenoble.iot-lab.info", "saclay.iot-lab.info"), (), "iotlab", True)
        machines = [access, *map(grid5000_node, self._played)]
        machines += [site, *map(iotlab_node, self._linux)] if iotlab else []
        self.nodes = Nodes(machines, shaped=shaped)
        self.without_ssh: set[str] = set()
        self.without_dhcp: set[str] = set()
        self.grid5000 = Grid5000Api(clusters=self._clusters())
        self.iotlab = IotLabApi()
        for node in self.iotlab.nodes.values():
            if node.archi.startswith(("a8", "rpi")) and node.network_address not in self._linux:
                node.state = "Absent"
        self.home = Path()
        self.environment: dict[str, str] = {}

    def _clusters(self) -> dict[str, tuple[str, int]]:
        clusters = {"gros": ("nancy", 0), "taurus": ("lyon", 0), "paravance": ("rennes", 0)}
        for fqdn in self._played:
            cluster, _, number = fqdn.partition(".")[0].rpartition("-")
            site = fqdn.split(".")[1]
            clusters[cluster] = (site, max(int(number), clusters.get(cluster, (site, 0))[1]))
        return clusters

    def __enter__(self) -> StandIns:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.grid5000.__exit__()
        self.iotlab.__exit__()
        self.nodes.down()
        if self.home != Path():
            shutil.rmtree(self.home, ignore_errors=True)

    def _start(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="standins-"))
        self._make_home()
        self.nodes.up()
        network = (self.nodes.layout.net4, self.nodes.layout.controller4)
        self.grid5000.park.network = network
        for fqdn in list(self.grid5000.park.nodes):
            if fqdn not in self._played:
                del self.grid5000.park.nodes[fqdn]
        for machine in self.nodes.machines.values():
            if machine.frontend:
                self.nodes.admit(machine.name, ACCOUNT, self.public_key)
            elif self._isolated:
                self.nodes.filter(machine.name, self._rules(machine, []))
        own = Path("/etc/hosts").read_text()
        (self.home / "hosts").write_text(f"{own.rstrip()}\n{self.nodes.etc_hosts()}")
        self.grid5000.listeners.append(self._grid5000_changed)
        self.iotlab.listeners.append(self._iotlab_changed)
        self.grid5000.open()
        self.iotlab.open()

    def _make_home(self) -> None:
        ssh = self.home / ".ssh"
        ssh.mkdir(mode=0o700)
        key = ssh / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", ACCOUNT, "-f", str(key)], check=True)
        self.public_key = key.with_suffix(".pub").read_text()
        for name in ("your_g5k_key", "your_g5k_key.pub"):  # the published tutorial's name for it
            shutil.copy(key.with_suffix(Path(name).suffix), ssh / name)
        self.log_in()
        accounts = Path("/etc/passwd").read_text().splitlines()
        own = [f"root:x:0:0:root:{self.home}:/bin/bash" if line.startswith("root:") else line for line in accounts]
        (self.home / "passwd").write_text("\n".join(own) + "\n")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("E2C_", "IOTLAB_"))},
            "HOME": str(self.home),
            "IOTLAB_API_URL": self.iotlab.url,
            "NO_PROXY": "*",
        }

    def log_in(self, *, grid5000: str | None = None, iotlab: str | None = None) -> None:
        """Write the credentials into the home folder; with other passwords, if asked."""
        password = grid5000 or self._password(self.grid5000.users)
        text = f"uri: {self.grid5000.uri}\nusername: {ACCOUNT}\npassword: {password}\n"
        file = self.home / ".python-grid5000.yaml"
        file.write_text(text)
        file.chmod(0o600)
        secret = base64.b64encode((iotlab or self._password(self.iotlab.users)).encode()).decode()
        file = self.home / ".iotlabrc"
        file.write_text(f"{ACCOUNT}:{secret}")
        file.chmod(0o600)

    def log_out(self) -> None:
        """Remove the credentials."""
        (self.home / ".python-grid5000.yaml").unlink()
        (self.home / ".iotlabrc").unlink()

    @staticmethod
    def _password(users: dict[str, str] | None) -> str:
        return (users or {}).get(ACCOUNT, "any")

    def reset(self) -> None:
        """All is well again, and nothing is reserved: for the next test."""
        self.without_ssh.clear()
        self.without_dhcp.clear()
        for api in (self.grid5000, self.iotlab):
            api.reset()
        self.log_in()

    def living(self) -> list[Any]:
        """Jobs and experiments that have not ended."""
        return [*self.grid5000.living(), *self.iotlab.living()]

    # --- commands

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line that runs a program inside."""
        files = [(self.home / "hosts", "/etc/hosts"), (self.home / "passwd", "/etc/passwd")]
        binds = " && ".join(f"mount --bind {here} {there}" for here, there in files)
        return ["unshare", "--mount", "--", "/bin/sh", "-c", f'{binds} && exec "$@"', "inside", *map(str, arguments)]

    def popen(self, *arguments: str | Path, program: Sequence[str] = _E2CLAB, **options: Any) -> subprocess.Popen[str]:
        """Start ``e2clab`` inside; its pid is that of the command itself."""
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        settings["env"] = {**self.environment, **(options.get("env") or {})}
        return subprocess.Popen(self.command(*program, *arguments), **settings)

    def run(
        self, *arguments: str | Path, timeout: float = LIMIT_S, program: Sequence[str] = _E2CLAB, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``e2clab`` inside, with more variables."""
        return subprocess.run(
            self.command(*program, *arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env={**self.environment, **environment},
        )

    def python(self, code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program inside."""
        return self.run(*arguments, program=(sys.executable, "-c", code), **environment)

    # --- what reservations do to the machines

    def _grid5000_changed(self, what: str, subject: Any) -> None:
        if isinstance(subject, Deployment):
            for node in set(subject.nodes) & set(self._played):
                self._deploy(subject, node)
            return
        if what == "vlan":
            node, device, vlan = subject
            if node in self._played:
                offer = {} if node in self.without_dhcp else self.grid5000.park.offer(node, vlan)
                self.nodes.plug(node, _NAMES[device], f"kavlan-{vlan}", offer)
            return
        job: Job = subject
        for node in set(job.nodes) & set(self._played):
            if what == "ended":
                self.nodes.boot(node)
                self.nodes.unplug(node, _NAMES["eth1"])
                if self._isolated:
                    self.nodes.filter(node, self._rules(self.nodes.machines[node], []))
            elif what == "running" and not job.deploys and node not in self.without_ssh:
                self.nodes.boot(node)
                self.nodes.admit(node, ACCOUNT, self.public_key)
            elif what == "firewall" and self._isolated:
                self.nodes.filter(node, self._rules(self.nodes.machines[node], job.firewall))

    def _deploy(self, deployment: Deployment, node: str) -> None:
        self.nodes.boot(node)
        result = deployment.details().get("result", {})
        if result.get(node, {}).get("state") == "OK" and node not in self.without_ssh:
            name = deployment.environment.replace("-x64", "").replace("-", "-x64-", 1)
            self.nodes.write(node, "/etc/grid5000/release", f"{name}-{deployment.version or 2026110117}\n")
            self.nodes.admit(node, "root", deployment.key)

    def _iotlab_changed(self, what: str, experiment: Experiment) -> None:
        if what == "running" and self._linux:
            self._keep_measures(experiment)
        for address in set(experiment.nodes) & set(self._linux):
            self.nodes.boot(f"node-{address}")
            if what == "running" and f"node-{address}" not in self.without_ssh:
                self.nodes.admit(f"node-{address}", "root", self.public_key)

    def _keep_measures(self, experiment: Experiment) -> None:
        """The folder that the sites keep of an experiment, with what its monitoring profiles measure."""
        folder = f"/home/{ACCOUNT}/.iot-lab/{experiment.id}"
        self.nodes.run("grenoble.iot-lab.info", f"mkdir -p {folder}/consumption {folder}/radio")
        if experiment.asked.get("profileassociations"):
            for address in experiment.nodes:
                file = f"{folder}/consumption/{address.partition('.')[0].replace('-', '_')}.oml"
                self.nodes.write("grenoble.iot-lab.info", file, f"protocol: 5\nsender-id: {address}\n\n0.1\t1\t1\n")

    def _rules(self, machine: Machine, opened: list[dict[str, Any]]) -> str:
        """Packet filter of a node: see ``isolated``."""
        layout = self.nodes.layout
        others = [other for other in self.nodes.machines.values() if other.testbed != machine.testbed]
        lines = ["ct state established,related accept", "iif lo accept"]
        lines += [f"ip saddr {layout.controller4} reject", f"ip6 saddr {layout.controller6} reject"]
        if others:
            lines.append(f"ip saddr {{ {', '.join(self.nodes.v4(other.name) for other in others)} }} drop")
        strangers = [self.nodes.v6(other.name) for other in others if other.names6]
        if machine.testbed == "g5k" and strangers:
            source = f"ip6 saddr {{ {', '.join(strangers)} }}"
            lines.append(f"{source} icmpv6 type echo-request accept")
            lines += [f"{source} {rule} accept" for rule in self._opened(machine, opened)]
            lines.append(f"{source} meta l4proto {{ tcp, udp }} drop")
        body = "\n".join(f"    {line}" for line in lines)
        return f"  chain input {{\n    type filter hook input priority 0; policy accept;\n{body}\n  }}"

    @staticmethod
    def _opened(machine: Machine, rules: list[dict[str, Any]]) -> list[str]:
        found = []
        for rule in rules:
            if machine.names6[0] in rule["addr"]:
                source = f"ip6 saddr {rule['src_addr']} " if isinstance(rule.get("src_addr"), str) else ""
                ports = rule.get("port", "0-65535")
                listed = ", ".join(map(str, ports if isinstance(ports, list) else [ports]))
                protocols = {"tcp+udp": ("tcp", "udp"), "all": ("tcp", "udp")}.get(rule["proto"], (rule["proto"],))
                found += [f"{source}{protocol} dport {{ {listed} }}" for protocol in protocols]
        return found
