"""The netem switch: a process in the hub that keeps a User-Mode Linux (UML) and hands it the hosts' ``tc`` commands.

UML is a Linux kernel as an ordinary program; Debian's has the netem that the running kernel may lack. Each host's cable
is moved from the hub's bridge to a tap of its own that UML serves; inside, all taps are joined by a bridge, and what a
host sends passes an ``ifb`` interface first, where ``tc`` commands typed on that host's eth0 take effect::

    host eth0 ── h1 ─ b1 ─ t1 ──[ vec1 ─> ifb1 ─> bridge ─ vec0 ]── t0 ─ br0 ── controller
                    (hub)                 (UML)                       (hub)

Standard library only; told by a JSON document on standard input (:class:`Order`). Two sockets: ``uml/control`` for the
controller (``connect``), answered when UML has booted; ``switch/tc`` for the hosts, once they are connected.
The process ends when UML ends, and UML with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from e2c.environments.local import kernel
from e2c.environments.local.builder import ip_batch

_VECTOR = "transport=tap,ifname=t{0},depth=128,gro=1"
_BOOT_LIMIT_S = 60.0
_COMMAND_LIMIT_S = 120.0
_NUDGE_S = 0.5
_CLIENT_LIMIT_S = 10.0
_BACKLOG = 4096
_MOST_INPUT_BYTES = 2048
_LIVE = frozenset({"autofs", "bpf", "cgroup", "cgroup2", "devpts", "devtmpfs", "mqueue", "nsfs", "proc", "sysfs"})


class Order(TypedDict):
    """What to do.

    Attributes:
        parent: pid of the caller.
        folder: the testbed's.
        hosts: their indices.
        device: name of the hosts' interface.
        program: path of ``linux.uml``.
        interpreter: path of the machine's Python.
    """

    parent: int
    folder: str
    hosts: list[int]
    device: str
    program: str
    interpreter: str


class SwitchError(Exception):
    """The switch cannot go on."""


def main() -> int:
    """Enter the hub, listen, and go on in the background; returns once the control socket exists."""
    order: Order = json.load(sys.stdin)
    kernel.die_with_parent(order["parent"])
    kernel.enter(Path(order["folder"], "net/hub"), kernel.CLONE_NEWNET)
    work = Path(order["folder"], "uml")
    work.mkdir(exist_ok=True)
    control = _listen(work / "control")
    if os.fork():
        return 0
    os.setsid()
    os.umask(0o022)
    log = os.open(work / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open("/dev/null", os.O_RDWR)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    try:
        Switch(order, work).serve(control)
    except (OSError, subprocess.SubprocessError, SwitchError) as error:
        os.write(2, f"\n{error}\n".encode())
        _answer_all(control, f"failed {error}")
        return 1
    finally:
        with contextlib.suppress(FileNotFoundError):
            (work / "control").unlink()
    return 0


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(_BACKLOG)
    return listener


def _answer_all(listener: socket.socket, text: str) -> None:
    """Tell those who wait on a control socket; then there will be no one to ask."""
    listener.setblocking(False)
    with contextlib.suppress(OSError):  # nobody waits (any more)
        while True:
            client, _ = listener.accept()
            with client:
                client.sendall(text.encode())


class Switch:
    """A User-Mode Linux and the hosts' cables."""

    def __init__(self, order: Order, work: Path) -> None:
        self.order = order
        self.work = work
        self.folder = Path(order["folder"])
        self.hosts = {namespace(f"/proc/self/fd/{handle}"): index for index, handle in self._open_namespaces()}
        self._make_taps()
        self.console, theirs = socket.socketpair()
        self.console.settimeout(_BOOT_LIMIT_S)
        self.copiers: set[int] = set()
        self.patience_s = 0.0  # no nudges yet: what is sent now would be echoed
        self.pending = b""
        self.process = self._boot(theirs)
        theirs.close()
        if self._line() != b"ready":
            raise SwitchError("User-Mode Linux said something else than that it is ready")
        self.console.settimeout(_NUDGE_S)
        self.patience_s = _COMMAND_LIMIT_S
        self._configure()

    def _open_namespaces(self) -> list[tuple[int, int]]:
        names = self.folder / "net"
        return [(index, os.open(names / f"h{index}", os.O_RDONLY)) for index in self.order["hosts"]]

    def _make_taps(self) -> None:
        """Taps, made where they stay (a tap that is moved to another namespace stops working); left-overs go first."""
        present = {name for _, name in socket.if_nameindex()}
        lines = [
            f"link del {name}" for i in (0, *self.order["hosts"]) for name in (f"t{i}", f"b{i}") if name in present
        ]
        lines += ["tuntap add t0 mode tap", "link set t0 master br0 up"]
        for i in self.order["hosts"]:
            lines += [
                f"link add b{i} type bridge forward_delay 0 mcast_snooping 0",
                f"tuntap add t{i} mode tap",
                f"link set t{i} master b{i} up",
                f"link set b{i} up",
            ]
        ip_batch(lines)

    def _boot(self, console: socket.socket) -> subprocess.Popen[bytes]:
        init = self.work / "init"
        init.write_text(f"#!{self.order['interpreter']} -IS\n{Path(__file__).with_name('umlinit.py').read_text()}")
        init.chmod(0o700)
        me = os.getpid()

        def confine() -> None:
            kernel.die_with_parent(me)
            kernel.unshare(kernel.CLONE_NEWNS)
            kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
            _make_read_only(self.folder)

        channel = console.fileno()
        return subprocess.Popen(
            [
                self.order["program"],
                f"mem={128 + 2 * len(self.order['hosts'])}M",
                "umid=switch",
                f"uml_dir={self.work}",
                "root=/dev/root",
                "rootfstype=hostfs",
                "hostfs=/",
                "ro",
                "con=null",
                "con0=null,fd:1",
                f"con1=fd:{channel},fd:{channel}",
                "quiet",
                "panic=-1",
                f"init={init}",
            ],
            stdin=subprocess.DEVNULL,
            env={"TMPDIR": str(self.work), "HOME": str(self.work), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            pass_fds=(channel,),
            preexec_fn=confine,  # this process has one thread
        )

    def _configure(self) -> None:
        """Give UML its interfaces: one per tap, all in one bridge, with an ifb in front of each host's."""
        for i in (0, *self.order["hosts"]):
            self._mconsole(f"config vec{i}:{_VECTOR.format(i)}")
        self.require("ip", "link add br0 type bridge forward_delay 0 mcast_snooping 0 ageing_time 30000")
        self.require("ip", "link set br0 up")
        for i in self.order["hosts"]:
            self.require("ip", f"link add ifb{i} txqueuelen 1000 type ifb")
            self.require("ip", f"link set ifb{i} up")
            self.require("tc", f"qdisc add dev vec{i} ingress")
            self.require(
                "tc",
                f"filter add dev vec{i} parent ffff: protocol all matchall action mirred egress redirect dev ifb{i}",
            )
            self.require("ip", f"link set vec{i} master br0 up")

    def _mconsole(self, command: str) -> None:
        """One request to UML's management console (user-mode Linux, arch/um/drivers/mconsole.h, version 2)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            own = self.work / "reply"
            own.unlink(missing_ok=True)
            link.bind(str(own))
            link.settimeout(_COMMAND_LIMIT_S)
            link.sendto(
                struct.pack("=III512s", 0xCAFEBABE, 2, len(command), command.encode()),
                str(self.work / "switch/mconsole"),
            )
            failed, _, length = struct.unpack_from("=III", reply := link.recv(1024))
            if failed:
                raise SwitchError(f"User-Mode Linux refuses {command}: {reply[12 : 12 + length].decode().strip()}")

    def run(self, tool: str, arguments: list[str], text: str = "") -> tuple[int, str, str]:
        """Run ``ip`` or ``tc`` inside UML, perhaps with a text for its standard input: exit code, output, errors."""
        document = json.dumps([tool, arguments, text]).encode()
        if len(document) < _MOST_INPUT_BYTES:
            return self._ask(document)
        # Each has a name of its own, for UML does not look twice at what it has read.
        with tempfile.NamedTemporaryFile(dir=self.work, prefix="request-") as file:
            file.write(document)
            file.flush()
            return self._ask(file.name.encode())

    def _ask(self, line: bytes) -> tuple[int, str, str]:
        self.console.sendall(line + b"\n")
        code, out, err = json.loads(self._line())
        return code, out, err

    def require(self, tool: str, command: str) -> None:
        """As :meth:`run`, for commands that must not fail."""
        code, _, err = self.run(tool, command.split())
        if code != 0:
            raise SwitchError(f"{tool} {command}: {err.strip()}")

    def _line(self) -> bytes:
        """What UML says next; nudged now and then, for it sometimes overlooks that its console can be read."""
        deadline = time.monotonic() + self.patience_s
        while b"\n" not in self.pending:
            try:
                part = self.console.recv(65536)
            except TimeoutError as late:
                if time.monotonic() > deadline:
                    raise SwitchError("User-Mode Linux does not answer in time") from late
                self.console.send(b"\n")
                continue
            if not part:
                raise SwitchError(f"User-Mode Linux has ended: {self._last_words()}")
            self.pending += part
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def _last_words(self) -> str:
        lines = (self.work / "log").read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def connect(self) -> None:
        """Move the hosts' cables from the hub's bridge to UML; they go on where they were, through the switch."""
        ip_batch(
            [line for i in self.order["hosts"] for line in (f"link set h{i} nomaster", f"link set h{i} master b{i}")]
        )
        # Only now: else it would have learned that the hosts are behind this interface, and send nothing to quiet ones.
        self.require("ip", "link set vec0 master br0 up")

    def serve(self, control: socket.socket) -> None:
        """Answer the controller and the hosts, in the order in which they have asked, until UML ends.

        Many hosts may ask at once: whoever comes is let in, and waits without a time limit.
        """
        handle = os.pidfd_open(self.process.pid)
        hosts = None
        with selectors.DefaultSelector() as selector:
            selector.register(control, selectors.EVENT_READ, "control")
            selector.register(handle, selectors.EVENT_READ, "end")
            while True:
                for key, _ in selector.select():
                    if key.data == "end":
                        raise SwitchError(f"User-Mode Linux has ended: {self._last_words()}")
                    assert isinstance(key.fileobj, socket.socket)
                    if isinstance(key.data, Request):
                        if key.data.read():
                            selector.unregister(key.fileobj)
                            key.data.answer(self._tc)
                    elif key.data == "tc":
                        client, _ = key.fileobj.accept()
                        selector.register(client, selectors.EVENT_READ, Request(client))
                    else:
                        if hosts is None:
                            self.connect()
                            hosts = _listen(self.folder / "switch/tc")
                            selector.register(hosts, selectors.EVENT_READ, "tc")
                        _answer_controller(key.fileobj)

    def _tc(self, space: tuple[int, int] | None, told: str) -> str:
        """Answer a host's ``tc`` (:mod:`e2c.environments.local.tcshim`): which host it is, its namespace tells."""
        index = self.hosts.get(space) if space else None
        if index is None:
            return "1\0\0this is not a host of the testbed\n"
        number, _, rest = told.partition("\0")
        if not number.isdecimal():
            return "1\0\0this is no request for tc\n"
        device = self.order["device"]
        theirs = {device: f"ifb{index}", f"dup-{device}": f"dup{index}", f"dup-{device}r": f"back{index}"}
        ours = {name: word for word, name in theirs.items()}
        told = re.sub(rf"(?<![^\s\0])({'|'.join(theirs)})(?![^\s\0])", lambda found: theirs[found[0]], rest)
        # where copies of packets come back, they arrive as from the host once more
        told = told.replace(f"mirred egress redirect dev ifb{index}", f"mirred ingress redirect dev vec{index}")
        *arguments, text = told.split("\0", int(number))
        if index not in self.copiers and f"qdisc add dev back{index} " in text:
            self._add_copier(index)
        if index not in self.copiers:  # for an interface that is not there, the kernel looks for a module, for long
            text = text.replace(f"qdisc del dev dup{index} root\n", "")
        code, out, err = self.run("tc", arguments, text)
        named = re.compile(rf"\b({'|'.join(ours)})\b")
        return "\0".join([str(code), *(named.sub(lambda found: ours[found[0]], said) for said in (out, err))])

    def _add_copier(self, index: int) -> None:
        """The interface that makes the duplicates of what a host sends, as :mod:`e2c.emulation.copying` has it."""
        self.require("ip", f"link add dup{index} type veth peer name back{index}")
        for name in (f"dup{index}", f"back{index}"):
            self.require("ip", f"link set {name} up")
        # Each copy gets memory of its own. Else netem, before it damages a packet, makes another one of it, which no
        # longer knows the length of its header; an ifb needs that, and the kernel panics without.
        self.require("tc", f"qdisc add dev dup{index} clsact")
        self.require(
            "tc", f"filter add dev dup{index} egress matchall action pedit munge offset 0 u32 set 0 retain 0 pipe"
        )
        self.copiers.add(index)


class Request:
    """A host's ``tc`` that has connected."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        client.setblocking(False)
        pid, _, _ = struct.unpack("=iII", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        self.data = b""
        self.space: tuple[int, int] | None = None
        with contextlib.suppress(OSError):  # it has ended already
            self.space = namespace(f"/proc/{pid}/ns/net")

    def read(self) -> bool:
        """Take what is there; whether that was all of the request."""
        try:
            part = self.client.recv(65536)
        except OSError:  # it went away
            self.data = part = b""
        self.data += part
        return not part

    def answer(self, how: Callable[[tuple[int, int] | None, str], str]) -> None:
        """Have the request answered and hang up, without a word to those who have asked nothing."""
        with self.client:
            if self.data:
                answer = how(self.space, self.data.decode(errors="replace")).encode()
                self.client.settimeout(_CLIENT_LIMIT_S)
                with contextlib.suppress(OSError):  # it went away
                    self.client.sendall(answer)


def _answer_controller(control: socket.socket) -> None:
    client, _ = control.accept()
    with client:
        client.settimeout(_CLIENT_LIMIT_S)
        with contextlib.suppress(OSError):  # it went away
            client.recv(64)
            client.sendall(b"connected")


def namespace(path: str) -> tuple[int, int]:
    """What tells a network namespace from others."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _make_read_only(keep: Path) -> None:
    """All files of the machine, except the testbed's own, become read-only in this mount namespace."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        fstype = line.partition(" - ")[2].split()[0]
        if fstype in _LIVE or f"{point}/".startswith(f"{keep}/"):
            continue
        try:
            kernel.mount("none", point, None, kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY)
        except OSError:
            if point == "/":
                raise
