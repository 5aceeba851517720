"""The few Linux system calls that Python's standard library does not offer, by ctypes.

Standard library only: :mod:`e2c.environments.local.builder` and the netem switch run this without any other package.
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, action: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{action}: {os.strerror(number)}")


def mount(source: str | Path, target: str | Path, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    """``mount(2)``; the error names the target."""
    _checked(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode() if fstype else None,
            ctypes.c_ulong(flags),
            data.encode() if data else None,
        ),
        f"mount {fstype or source} on {target}",
    )


def umount(target: str | Path, flags: int = 0) -> None:
    """``umount2(2)``."""
    _checked(_libc.umount2(os.fsencode(target), flags), f"umount {target}")


def unshare(flags: int) -> None:
    """``unshare(2)``: leave the given namespaces for new ones."""
    _checked(_libc.unshare(flags), "unshare")


def enter(namespace: str | Path | int, kind: int) -> None:
    """``setns(2)``: enter the namespace behind a path or an open file; ``kind`` is one of the ``CLONE_NEW...``."""
    if isinstance(namespace, int):
        _checked(_libc.setns(namespace, kind), "setns")
        return
    handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.setns(handle, kind), f"setns {namespace}")
    finally:
        os.close(handle)


def pivot_root_here() -> None:
    """Make the working directory, a mount point, the root of this mount namespace; the old root is detached."""
    _checked(_libc.pivot_root(b".", b"."), "pivot_root")
    umount(".", MNT_DETACH)
    os.chdir("/")


def set_hostname(name: str) -> None:
    """``sethostname(2)``."""
    encoded = name.encode()
    _checked(_libc.sethostname(encoded, len(encoded)), f"sethostname {name}")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, whose pid is given, ends; exit now if it has ended already."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undo :func:`die_with_parent`."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0), "prctl")


def drop_capabilities(numbers: tuple[int, ...]) -> None:
    """Remove capabilities from the bounding set: programs executed from now on never get them."""
    for number in numbers:
        _checked(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), f"drop capability {number}")


def start_time(pid: int | str) -> int | None:
    """Start time of a process in clock ticks since boot, or ``None`` if there is none: pid and start time are unique.

    A process that has ended and only waits for its parent to notice is none. Fields 3 and 22 of ``/proc/PID/stat``,
    see proc(5).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])
