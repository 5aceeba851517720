"""Builds the hosts of a local testbed: network namespaces, cables, overlay roots, one sshd each.

Runs as a process of its own, of the standard library only, so that it can fork safely and quickly; see :func:`main`.
It is told everything by a JSON document on its standard input (:class:`Order`) and answers one JSON line per host.

What it makes can always be found again (:mod:`e2c.environments.local.registry`): network namespaces are files below
the testbed's folder, and a process enters its namespace, or dies with its parent, before it does anything else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, TypedDict

from e2c.environments.local import hostroot, kernel
from e2c.environments.local.hostroot import SEARCH_PATH

_MACHINE_CAPABILITIES = (
    16,  # SYS_MODULE
    17,  # SYS_RAWIO
    22,  # SYS_BOOT
    25,  # SYS_TIME: hosts share the machine's clock
    32,  # MAC_OVERRIDE
    33,  # MAC_ADMIN
    35,  # WAKE_ALARM
)

# The key exchanges that resist quantum computers, sshd's first choice, take ten times the work: a tenth of a second
# for each host, at both ends, on traffic that never leaves this machine.
_KEY_EXCHANGES = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha256"

_SSHD_CONFIG = f"""\
Port 22
KexAlgorithms {_KEY_EXCHANGES}
HostKey /run/e2c-sshd/host_key
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
X11Forwarding no
PrintMotd no
PrintLastLog no
MaxStartups 500
MaxSessions 500
ClientAliveInterval 0
AuthorizedKeysFile /run/e2c-sshd/authorized_keys
AcceptEnv LANG LC_*
SetEnv PATH={SEARCH_PATH}
Subsystem sftp internal-sftp
"""


class HostOrder(TypedDict):
    """One host: ``index``, ``hostname`` and the addresses of its interface, with prefix length."""

    index: int
    hostname: str
    addresses: list[str]


class Order(TypedDict):
    """What to build.

    Attributes:
        parent: pid of the caller; the builder dies with it.
        folder: the testbed's folder, a tmpfs that exists.
        uplink, uplink_addresses: the controller's interface.
        device: name of the hosts' interface.
        etc_hosts: their ``/etc/hosts``.
        sshd, interpreter: paths of programs, valid on the hosts.
        sshd_extra: lines for sshd's configuration that only some versions know.
        switch: the netem switch to start once the hub stands: its command and its order (which lacks the parent).
        parallel: how many hosts to prepare at once.
    """

    parent: int
    folder: str
    uplink: str
    uplink_addresses: list[str]
    device: str
    hosts: list[HostOrder]
    etc_hosts: str
    sshd: str
    sshd_extra: str
    interpreter: str
    switch: tuple[list[str], str] | None
    parallel: int


def main() -> int:
    """Build what the order on standard input says.

    Prints ``{"index", "pid", "start"}`` for each host whose sshd was executed, and ``{"error"}`` for what failed, which
    gives exit code 1.
    """
    order: Order = json.load(sys.stdin)
    kernel.die_with_parent(order["parent"])
    os.umask(0o022)
    try:
        _make_key(Path(order["folder"], "key"), Path(order["folder"]).name)
        _make_network(order)
        return _start_hosts(order)
    except (OSError, subprocess.SubprocessError) as error:
        _say({"error": _explain(error)})
        return 1


def _say(answer: dict[str, Any]) -> None:
    os.write(1, (json.dumps(answer) + "\n").encode())


def _explain(error: BaseException) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{' '.join(error.cmd[:3])}: {(error.stderr or '').strip() or f'exit code {error.returncode}'}"
    return str(error)


def ip_batch(lines: list[str]) -> None:
    """Run ``ip`` commands in the present network namespace, all in one process.

    Raises:
        subprocess.CalledProcessError: one failed; its ``stderr`` says which.
    """
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True, check=True)


def _make_key(path: Path, name: str) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True, text=True)


def _address_lines(addresses: list[str], device: str) -> list[str]:
    """Commands that add addresses; without duplicate address detection, so that they can be used at once."""
    return [f"addr add {address} dev {device}{' nodad' if ':' in address else ''}" for address in addresses]


def _allow_ipv6(device: str) -> None:
    """IPv6 may be switched off by default (as in containers); it is on for the testbed's own interfaces."""
    switch = Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
    if switch.exists() and switch.read_text().strip() != "0":
        switch.write_text("0")


def _make_network(order: Order) -> None:
    """Make all network namespaces, then the hub's bridge and all cables, then the controller's interface."""
    folder = Path(order["folder"])
    names = folder / "net"
    names.mkdir()
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    for name in [*(f"h{host['index']}" for host in order["hosts"]), "hub"]:
        (names / name).touch()
        kernel.unshare(kernel.CLONE_NEWNET)
        kernel.mount("/proc/self/ns/net", names / name, None, kernel.MS_BIND)
    lines = [
        "link set lo up",
        "link add br0 type bridge forward_delay 0 mcast_snooping 0",
        "link set br0 up",
        f"link add uplink type veth peer name {order['uplink']} netns /proc/{os.getpid()}/fd/{here}",
        "link set uplink master br0 up",
    ]
    for host in order["hosts"]:
        port = f"h{host['index']}"
        lines.append(f"link add {port} type veth peer name {order['device']} netns {names / port}")
        lines.append(f"link set {port} master br0 up")
    ip_batch(lines)
    kernel.enter(here, kernel.CLONE_NEWNET)
    if any(":" in address for address in order["uplink_addresses"]):
        _allow_ipv6(order["uplink"])
    ip_batch(
        [*_address_lines(order["uplink_addresses"], order["uplink"]), f"link set {order['uplink']} up"],
    )
    os.close(here)


def _start_switch(order: Order) -> list[int]:
    """Start the netem switch, which boots while hosts are built; whoever needs it finds out whether it runs."""
    if order["switch"] is None:
        return []
    command, told = order["switch"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(json.dumps({**json.loads(told), "parent": os.getpid()}).encode())
    process.stdin.close()
    return [process.pid]


def _start_hosts(order: Order) -> int:
    """Fork one preparer per host, a few at a time; returns the exit code."""
    me = os.getpid()
    others = _start_switch(order)
    failed = False
    running: list[int] = []
    for host in order["hosts"]:
        if len(running) == order["parallel"]:
            failed |= os.waitpid(running.pop(0), 0)[1] != 0
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                kernel.die_with_parent(me)
                code = _prepare(order, host)
            finally:
                os._exit(code)
        running.append(pid)
    for pid in running:
        failed |= os.waitpid(pid, 0)[1] != 0
    for pid in others:
        os.waitpid(pid, 0)
    return 1 if failed else 0


def _prepare(order: Order, host: HostOrder) -> int:
    """In a child of the builder: enter the host's network namespace, start its first process, report it."""
    try:
        folder = Path(order["folder"], "hosts", str(host["index"]))
        kernel.enter(Path(order["folder"], "net", f"h{host['index']}"), kernel.CLONE_NEWNET)
        _allow_ipv6("all")
        _allow_ipv6(order["device"])
        ip_batch(
            ["link set lo up", *_address_lines(host["addresses"], order["device"]), f"link set {order['device']} up"]
        )
        _write_private_files(order, host, folder)
        kernel.unshare(kernel.CLONE_NEWPID)
        reading, writing = os.pipe()  # closed by a successful exec
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reading)
                _become_host(order, host, folder)
            except BaseException as error:  # noqa: BLE001 - there is no caller; the pipe tells
                os.write(writing, _explain(error).encode())
            finally:
                os._exit(1)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            failure = pipe.read()
        if failure:
            raise OSError(failure)
        start = kernel.start_time(pid)
        if start is None:
            raise OSError(f"sshd ended at once: {(folder / 'sshd.log').read_text().strip()}")
        _say({"index": host["index"], "pid": pid, "start": start})
    except (OSError, subprocess.SubprocessError) as error:
        _say({"error": f"{host['hostname']}: {_explain(error)}"})
        return 1
    return 0


def _write_private_files(order: Order, host: HostOrder, folder: Path) -> None:
    for name, mode in (
        ("up", 0o755),
        ("work", 0o755),
        ("mnt", 0o755),
        ("tmp", 0o1777),
        ("root", 0o700),
        ("shm", 0o1777),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(mode)
    for name in ("run/sshd", "run/lock", "run/e2c", "run/e2c-sshd", "root/.ssh"):
        (folder / name).mkdir(parents=True)
    (folder / "root/.ssh").chmod(0o700)
    (folder / "root/.bashrc").write_text("# ~/.bashrc: read by every shell that ssh starts\n")
    (folder / "root/.profile").write_text("if [ -f ~/.bashrc ]; then . ~/.bashrc; fi\n")
    ssh = folder / "run/e2c-sshd"
    (ssh / "config").write_text(_SSHD_CONFIG + order["sshd_extra"])
    shutil.copyfile(Path(order["folder"], "key.pub"), ssh / "authorized_keys")
    _make_key(ssh / "host_key", host["hostname"])


def _become_host(order: Order, host: HostOrder, folder: Path) -> None:
    """As the first process of the host's PID namespace: make its root, enter it, execute sshd. Returns by raising."""
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.set_hostname(host["hostname"])
    log = os.open(folder / "sshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    root = folder / "mnt"
    hostroot.mount_root(root, folder)
    hostroot.mount_kernel_views(root)
    hostroot.mount_devices(root, folder / "shm")
    for name in ("run", "tmp", "root"):
        (root / name).mkdir(exist_ok=True)
        kernel.mount(folder / name, root / name, None, kernel.MS_BIND)
    kernel.mount(Path(order["folder"], "switch"), root / "run/e2c", None, kernel.MS_BIND)
    kernel.mount("none", root / "run/e2c", None, kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY)
    shim = Path(__file__).with_name("tcshim.py").read_text()
    os.chdir(root)
    kernel.pivot_root_here()
    hostroot.write_identity(
        order["etc_hosts"], host["hostname"], order["interpreter"], shim
    )  # only now: links in the overlay lead within it
    kernel.drop_capabilities(_MACHINE_CAPABILITIES)
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    environment = {"HOME": "/root", "USER": "root", "PATH": SEARCH_PATH, "LANG": "C.UTF-8"}
    os.execve(order["sshd"], [order["sshd"], "-D", "-e", "-f", "/run/e2c-sshd/config"], environment)  # noqa: S606
