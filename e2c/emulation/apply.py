"""Puts constraints on hosts through EnOSlib, and makes sure that they are there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from e2c.emulation.constraint import Constraint
from e2c.emulation.enforce import Node, Order, Rule
from e2c.emulation.readback import Shape, listing, shapes
from e2c.errors import EmulationError
from e2c.model.host import Host
from e2c.remote import playbook, shell

Progress = Callable[[str], None]

_LIMIT_S = 300.0
_COMMAND_LIMIT_S = 60.0
_MOST_FORKS = 25
_CONNECTION = ("ansible_host", "ansible_user", "ansible_port", "ansible_ssh_private_key_file")
"""Host variables that EnOSlib makes itself."""


def apply(asked: Sequence[Constraint], hosts: Sequence[Host], progress: Progress) -> None:
    """Make the constraints, all and only these, hold on the hosts; may be called again, with others too.

    Raises:
        EmulationError: EnOSlib failed, or a host has not what it was given.
        RemoteError: a host does not answer.
    """
    sources = {constraint.source for constraint in asked}
    reset([host for host in hosts if host.key not in sources])
    if not asked:
        return
    progress(f"shaping what {len(sources)} of {len(hosts)} hosts send ({len(asked)} constraints)")
    _enforce(asked, hosts)
    verify(asked, read_back(asked, hosts))


def reset(hosts: Sequence[Host]) -> None:
    """Remove all shaping from the hosts' interfaces; a second time changes nothing.

    Raises:
        RemoteError: a host does not answer.
    """
    commands = {
        host: "; ".join(f"tc qdisc del dev {interface.device} root 2>/dev/null" for interface in host.interfaces)
        + "; true"
        for host in hosts
        if host.interfaces
    }
    shell.require(shell.run_each(commands, timeout_s=_COMMAND_LIMIT_S), "removing the shaping of links")


def read_back(asked: Sequence[Constraint], hosts: Sequence[Host]) -> dict[tuple[str, str, str], Shape]:
    """What ``tc`` reports on every shaped interface: by host, device and destination address.

    Raises:
        RemoteError: a host does not answer.
    """
    known = {host.key: host for host in hosts}
    devices = sorted({(constraint.source, constraint.device) for constraint in asked})
    found = {}
    for device in sorted({device for _, device in devices}):
        sources = [known[key] for key, other in devices if other == device]
        results = shell.run_all(sources, listing(device), timeout_s=_COMMAND_LIMIT_S)
        shell.require(results, "reading the shaping of links back", hint="`tc` (package iproute2) must be there")
        for key, result in results.items():
            found.update({(key, device, target): shape for target, shape in shapes(result.stdout).items()})
    return found


def verify(asked: Sequence[Constraint], found: Mapping[tuple[str, str, str], Shape]) -> None:
    """Compare what is asked with what ``tc`` reports; EnOSlib says nothing when, say, the kernel lacks netem.

    Raises:
        EmulationError: they differ; names the first pair.
    """
    for constraint in asked:
        for target in constraint.targets:
            shape = found.get((constraint.source, constraint.device, target))
            if shape is None or not _agrees(constraint, shape):
                raise EmulationError(
                    f"the link from {constraint.source} to {constraint.destination} is not shaped as asked",
                    where=f"{constraint.device} of {constraint.source}, to {target}",
                    why=f"asked {describe(constraint)}, tc says {shape.words if shape else 'that no netem is there'}",
                    hint="The kernel of that host may lack netem: try `tc qdisc add dev lo root netem delay 1ms` there",
                )


def describe(constraint: Constraint) -> str:
    """A constraint in a few words: ``delay 28ms loss 0.1% rate 1gbit``."""
    words = [f"delay {constraint.delay}" if constraint.delay_ms is not None else ""]
    words.append(f"loss {constraint.loss}" if constraint.loss else "")
    words.append(f"rate {constraint.rate}" if constraint.rate_kbit is not None else "")
    return " ".join(word for word in words if word) or "nothing"


def _agrees(constraint: Constraint, shape: Shape) -> bool:
    """Equal but for the steps in which ``tc`` stores and prints: microseconds, 2^-32 of loss, four digits of rate."""

    def near(asked: float | None, found: float, step: float) -> bool:
        return abs((asked or 0) - found) <= step + 0.01 * (asked or 0)

    rate = constraint.rate_kbit is None or near(constraint.rate_kbit, shape.rate_kbit, 0.5)
    return (
        rate
        and near(constraint.delay_ms, shape.delay_ms, 0.01)
        and near(constraint.loss_percent, shape.loss_percent, 1e-4)
    )


def _enforce(asked: Sequence[Constraint], hosts: Sequence[Host]) -> None:
    order = Order(
        nodes=_nodes(asked, hosts),
        rules=[
            Rule(source=c.source, destination=c.destination, delay=c.delay, rate=c.rate, loss=c.loss)
            for c in {(c.source, c.destination): c for c in asked}.values()
        ],
        forks=max(5, min(_MOST_FORKS, len(hosts))),
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    # Beside the testbed's sockets where it has a place for them: what a killed controller leaves goes with the testbed.
    with TemporaryDirectory(prefix="e2c-netem-", dir=hosts[0].control_dir) as folder:
        config = Path(folder, "ansible.cfg")  # one of the user's would make runs differ between machines
        config.touch()
        environment |= {
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_LOCAL_TEMP": str(Path(folder, "local")),
            "ANSIBLE_PIPELINING": "True",
            "PYTHONWARNINGS": "ignore",
        }
        try:
            done = subprocess.run(
                [sys.executable, "-m", "e2c.emulation.enforce"],
                input=json.dumps(order),
                capture_output=True,
                text=True,
                cwd=folder,
                env=environment,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise EmulationError(
                "links were not shaped in time", why=f"{late.timeout:.0f} s have passed", hint="Try again"
            ) from late
    if done.returncode != 0:
        words = [line for line in done.stderr.splitlines() if line.strip()]
        raise EmulationError(
            "EnOSlib could not shape the links",
            why=words[-1].strip() if words else f"exit code {done.returncode}",
            hint="Check that every host answers (e2clab exec) and has `tc` (package iproute2)",
        )


def _nodes(asked: Sequence[Constraint], hosts: Sequence[Host]) -> list[Node]:
    involved = {key for constraint in asked for key in (constraint.source, constraint.destination)}
    chosen = [host for host in hosts if host.key in involved]
    variables = playbook.inventory(chosen, {})["all"]["hosts"]
    return [
        Node(
            key=host.key,
            address=host.address,
            user=host.user,
            port=host.port,
            keyfile=host.keyfile,
            extra={name: value for name, value in variables[host.key].items() if name not in _CONNECTION},
            devices={interface.device: list(interface.addresses) for interface in host.interfaces},
        )
        for host in chosen
    ]
