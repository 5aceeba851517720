"""What a local testbed leaves on the machine, looked for without the product's own eyes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def traces(testbed: str, spaces: set[int] | None = None) -> list[str]:
    """Everything that carries the testbed's id, or lives in one of its network namespaces (inodes)."""
    found = []
    if Path("/run/e2c", testbed).exists():
        found.append(f"folder /run/e2c/{testbed}")
    found += [f"interface {name}" for name in os.listdir("/sys/class/net") if testbed in name]
    found += [f"netns {name}" for name in _listing("/run/netns") if testbed in name]
    found += [f"mount {line}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if testbed in line]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if _belongs(pid, testbed, spaces or set()):
                found.append(f"process {pid} {Path('/proc', pid, 'cmdline').read_bytes()!r}")
    return found


def _belongs(pid: str, testbed: str, spaces: set[int]) -> bool:
    process = Path("/proc", pid)
    if os.stat(process / "ns/net").st_ino in spaces or testbed.encode() in (process / "cmdline").read_bytes():
        return int(pid) != os.getpid()
    own = os.stat("/proc/self/ns/mnt").st_ino
    return os.stat(process / "ns/mnt").st_ino != own and testbed in (process / "mountinfo").read_text()


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def namespace_inodes(testbed: str) -> set[int]:
    """Inodes of the testbed's network namespaces, for a look at what outlived them."""
    folder = Path("/run/e2c", testbed, "net")
    return {os.stat(folder / name).st_ino for name in _listing(str(folder))}


def machine() -> tuple[str, ...]:
    """The machine's own network settings that a testbed must leave alone."""
    names = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/all/disable_ipv6")
    settings = [
        f"{name}={Path('/proc/sys', name).read_text().strip()}" for name in names if Path("/proc/sys", name).exists()
    ]
    return (*settings, Path("/etc/hosts").read_text(), Path("/etc/resolv.conf").read_text())
