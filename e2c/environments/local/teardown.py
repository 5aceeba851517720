"""Releasing a local testbed: from what exists on this machine, not from what was remembered. Needs no EnOSlib."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

from e2c.environments.local import kernel, neighbours, registry, requirements
from e2c.errors import TestbedError

_PATIENCE_S = 10.0
_ROUNDS = 5


def release(testbed: str) -> list[str]:
    """Remove whatever is left of a testbed, in whatever state; returns what was freed, one clause each.

    Raises:
        TestbedError: something resists.
    """
    folder = registry.folder(testbed)
    if not folder.exists() and not _has_link(testbed):
        return []
    requirements.check_rights()
    record = registry.read(testbed)
    if record is not None and record.builder is not None:
        registry.end(record.builder, _PATIENCE_S)  # first, so that nothing more is made
    spaces = registry.namespaces(testbed)
    freed = []
    if masters := registry.connections(testbed):
        registry.terminate(masters, _PATIENCE_S)
        freed.append(_count(len(masters), "ssh connection"))
    # Before the links: what dies says goodbye to its peers, and no ssh connection of the controller hangs.
    killed = _kill_all(testbed, spaces)
    if _delete_link(testbed):
        freed.append(f"interface {testbed}")
    with registry.locked():
        if folder.exists():
            _remove(folder)
            freed.append(f"folder {folder}")
        # A process that was just about to enter a namespace when the first sweep went by.
        killed += _kill_all(testbed, spaces)
        if not registry.testbeds():
            neighbours.set_back(registry.ROOT)
        with contextlib.suppress(OSError):  # other testbeds are there
            registry.ROOT.rmdir()
    hosts = sum(name != "hub" for name in spaces.values())
    if hosts:
        freed.insert(0, f"{_count(hosts, 'host')} ({_count(killed, 'process', 'processes')})")
    return freed


def sweep_unfinished() -> None:
    """Remove folders whose maker was killed before it wrote the record; the lock must be held."""
    for testbed in registry.testbeds():
        folder = registry.folder(testbed)
        if registry.read(testbed) is None and not registry.namespaces(testbed):
            _remove(folder)


def _kill_all(testbed: str, spaces: dict[tuple[int, int], str]) -> int:
    killed = 0
    for _ in range(_ROUNDS):
        pids = registry.members(spaces) if spaces else []
        if not pids:
            return killed
        registry.kill(pids, spaces, _PATIENCE_S)
        killed += len(pids)
    raise TestbedError(
        f"processes of local testbed {testbed} do not end",
        why=f"still there: {', '.join(map(str, registry.members(spaces)))}",
        hint="Try again; a process in an uninterruptible wait ends when its disk or network answers",
    )


def _has_link(name: str) -> bool:
    return any(name == other for _, other in socket.if_nameindex())


def _delete_link(name: str) -> bool:
    if not _has_link(name):
        return False
    done = subprocess.run(["ip", "link", "del", name], capture_output=True, text=True, check=False)
    if done.returncode != 0 and _has_link(name):
        raise TestbedError(f"interface {name} cannot be deleted", why=done.stderr.strip())
    return True


def _remove(folder: Path) -> None:
    """Detach everything mounted at or below a folder, also where it was mounted more than once; then remove it."""
    while os.path.ismount(folder):
        kernel.umount(folder, kernel.MNT_DETACH)
    shutil.rmtree(folder)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
