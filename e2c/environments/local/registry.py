"""What exists of local testbeds on this machine, found without any state file.

Everything of a testbed lies below ``/run/e2c/<id>``, a file system in memory of its own, so a reboot leaves nothing:

- ``testbed.json``: the claim and the layout, written before anything is made;
- ``net/hub``, ``net/h<n>``: its network namespaces. A process belongs to the testbed if it is in one of them;
- ``hosts/<n>``: what the hosts write; ``switch``: the netem switch; ``cp``: sockets of ssh connections; ``key``.

Outside there is only the controller's interface, which carries the testbed's id as its name.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from e2c.environments.base import Claim
from e2c.environments.local import kernel
from e2c.environments.local.layout import Layout, Subnet, subnets
from e2c.errors import MissingToolError
from e2c.model.frozen import Frozen

ROOT = Path("/run/e2c")
_NAME = re.compile(r"e2c-[0-9a-f]{6}")
_RECORD = "testbed.json"


class Process(Frozen):
    """A process for good: its pid and its start time (clock ticks since boot), because pids come round again."""

    pid: int
    start: int


class Record(Frozen):
    """``testbed.json``.

    Attributes:
        claim: whose testbed it is.
        layout: its names and addresses.
        phase: ``building`` until every host answers to ssh.
        builder: the process that builds it, while it does.
        processes: first process of each host, by index.
    """

    claim: Claim
    layout: Layout
    phase: Literal["building", "ready"] = "building"
    builder: Process | None = None
    processes: dict[int, Process] = {}


def folder(testbed: str) -> Path:
    """The testbed's folder, whether it exists or not."""
    return ROOT / testbed


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Hold the machine's lock on local testbeds: while subnets are chosen, and while folders come and go."""
    while True:
        ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            handle = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # the last testbed went away in between
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is(handle, ROOT):
                yield
                return
        finally:
            os.close(handle)


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def create(record: Record) -> Path:
    """Make and mount the testbed's folder and write its record; the lock must be held."""
    path = folder(record.layout.testbed)
    path.mkdir(mode=0o700)
    kernel.mount(record.layout.testbed, path, "tmpfs", kernel.MS_NOSUID, "mode=700,size=50%")
    write(record)
    return path


def write(record: Record) -> None:
    """Replace ``testbed.json`` in one step."""
    path = folder(record.layout.testbed)
    new = path / f"{_RECORD}.new"
    new.write_text(record.model_dump_json(indent=1))
    new.replace(path / _RECORD)


def read(testbed: str) -> Record | None:
    """The record of a testbed; ``None`` where it has none (yet, or any more), or an unreadable one.

    Raises:
        MissingToolError: only root may look.
    """
    try:
        return Record.model_validate_json((folder(testbed) / _RECORD).read_text())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
    except PermissionError as error:
        raise MissingToolError(
            f"local testbed {testbed} belongs to root",
            where=str(folder(testbed)),
            hint="Run it as root: sudo e2clab ...",
        ) from error


def stands(record: Record) -> bool:
    """Every host's first process lives, and the controller's interface is there."""
    alive = (kernel.start_time(process.pid) == process.start for process in record.processes.values())
    names = {name for _, name in socket.if_nameindex()}
    return len(record.processes) == len(record.layout.hosts) and record.layout.testbed in names and all(alive)


def testbeds() -> list[str]:
    """Ids of the testbeds that have a folder."""
    try:
        return sorted(name for name in os.listdir(ROOT) if _NAME.fullmatch(name))
    except FileNotFoundError:
        return []


def taken() -> list[Subnet]:
    """Subnets that the machine's addresses, routes and other testbeds use; the lock must be held."""
    texts = []
    for record in map(read, testbeds()):
        if record:
            texts += [record.layout.net4, *([record.layout.net6] if record.layout.net6 else [])]
    for link in _ip_json("address"):
        texts += [f"{info['local']}/{info['prefixlen']}" for info in link.get("addr_info", ()) if "local" in info]
    for family in ("-4", "-6"):
        texts += [str(route.get("dst", "")) for route in _ip_json(family, "route", "show", "table", "all")]
    return subnets(texts)


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-json", *arguments], capture_output=True, text=True, check=False)
    return [entry for entry in json.loads(done.stdout or "[]") if entry]


def namespaces(testbed: str) -> dict[tuple[int, int], str]:
    """Network namespaces of a testbed, by device and inode: ``hub``, ``h<n>``."""
    names = folder(testbed) / "net"
    try:
        entries = sorted(os.listdir(names))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    outside = os.stat(names).st_dev
    found = {}
    for name in entries:
        status = os.stat(names / name)
        if status.st_dev != outside:  # an empty file is a namespace that was not made yet
            found[status.st_dev, status.st_ino] = name
    return found


def members(spaces: Sequence[tuple[int, int]] | dict[tuple[int, int], str]) -> list[int]:
    """Processes that are in one of these network namespaces."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                status = os.stat(f"/proc/{name}/ns/net")
                if (status.st_dev, status.st_ino) in spaces:
                    found.append(int(name))
    return found


def kill(
    pids: Sequence[int], spaces: Sequence[tuple[int, int]] | dict[tuple[int, int], str], patience_s: float
) -> None:
    """Kill those of the processes that are in one of these namespaces, and wait until they have ended."""
    handles = []
    try:
        for pid in pids:
            with contextlib.suppress(OSError):  # it ended meanwhile
                handle = os.pidfd_open(pid)
                handles.append(handle)
                status = os.stat(f"/proc/{pid}/ns/net")  # after pidfd_open: surely the same process
                if (status.st_dev, status.st_ino) in spaces:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
        _wait(handles, patience_s)
    finally:
        for handle in handles:
            os.close(handle)


def end(process: Process, patience_s: float) -> None:
    """Kill a recorded process, if it is still that one, and wait until it has ended."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(process.pid)
        try:
            if kernel.start_time(process.pid) == process.start:  # after pidfd_open: surely the same process
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                _wait([handle], patience_s)
        finally:
            os.close(handle)


def terminate(pids: Sequence[int], patience_s: float) -> None:
    """Ask processes to end, and wait until they have."""
    handles = []
    try:
        for pid in pids:
            with contextlib.suppress(OSError):
                handle = os.pidfd_open(pid)
                handles.append(handle)
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        _wait(handles, patience_s)
    finally:
        for handle in handles:
            os.close(handle)


def _wait(handles: Sequence[int], patience_s: float) -> None:
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    waiting = len(handles)
    while waiting:
        ended = poll.poll(patience_s * 1000)
        if not ended:
            return
        for handle, _ in ended:
            poll.unregister(handle)
        waiting -= len(ended)


def connections(testbed: str) -> list[int]:
    """Processes outside the testbed that keep its ssh connections open (control masters), found by their sockets."""
    below = f"{folder(testbed)}/cp/"
    sockets = set()
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7].startswith(below):
            sockets.add(f"socket:[{fields[6]}]")
    return sorted(pid for pid in _holders(sockets) if pid != os.getpid()) if sockets else []


def _holders(sockets: set[str]) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                for handle in os.listdir(f"/proc/{name}/fd"):
                    if os.readlink(f"/proc/{name}/fd/{handle}") in sockets:
                        yield int(name)
                        break
