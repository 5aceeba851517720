"""What a host sees as its file system: the machine's, copy on write, with what is its own or hidden.

Standard library only: :mod:`e2c.environments.local.builder` runs this without any other package.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from e2c.environments.local import kernel

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ORDINARY = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "nfs", "nfs4", "overlay", "virtiofs", "xfs", "zfs"}
)
_PRIVATE = ("/boot", "/dev", "/media", "/mnt", "/proc", "/root", "/run", "/sys", "/tmp")  # noqa: S108 - names only
_READ_ONLY = ("acpi", "bus", "fs", "irq", "sys/dev", "sys/fs", "sys/kernel", "sys/vm", "sysrq-trigger")


def mount_root(root: Path, folder: Path) -> None:
    """The machine's root, copy on write; so are file systems mounted below it (a separate /usr, /var, /home ...)."""
    options = "lowerdir={},upperdir={},workdir={}"
    kernel.mount("overlay", root, "overlay", 0, options.format("/", folder / "up", folder / "work"))
    for number, point in enumerate(_mounted_below_root()):
        layer = folder / f"layer{number}"
        for name in ("up", "work"):
            (layer / name).mkdir(parents=True)
        kernel.mount("overlay", f"{root}{point}", "overlay", 0, options.format(point, layer / "up", layer / "work"))


def _mounted_below_root() -> list[str]:
    """Mount points, parents first, that hold ordinary files and that hosts do not have for themselves."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        fstype = line.partition(" - ")[2].split()[0]
        hidden = any(f"{point}/".startswith(f"{top}/") for top in _PRIVATE)
        if point != "/" and fstype in _ORDINARY and not hidden and os.path.isdir(point) and "," not in point:
            points.append(point)
    return sorted(set(points))


def mount_kernel_views(root: Path) -> None:
    """/proc and /sys of the host's own namespaces; what belongs to the whole machine is read-only."""
    quiet = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", root / "proc", "proc", quiet)
    for name in _READ_ONLY:
        path = root / "proc" / name
        if path.exists():
            kernel.mount(path, path, None, kernel.MS_BIND | kernel.MS_REC)
            kernel.mount("none", path, None, kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | quiet)
    kernel.mount("sysfs", root / "sys", "sysfs", quiet | kernel.MS_RDONLY)


def mount_devices(root: Path, shm: Path) -> None:
    """/dev with the few devices that every program may use, its own terminals and shared memory."""
    dev = root / "dev"
    kernel.mount("tmpfs", dev, "tmpfs", kernel.MS_NOSUID, "mode=755,size=64k")
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ):
        os.mknod(dev / name, 0o020666, os.makedev(major, minor))
        os.chmod(dev / name, 0o666)  # noqa: S103 - as everywhere
    (dev / "pts").mkdir()
    kernel.mount("devpts", dev / "pts", "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=0666,mode=620,gid=5")
    (dev / "shm").mkdir()
    kernel.mount(shm, dev / "shm", None, kernel.MS_BIND)
    for link, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "fd/0"),
        ("stdout", "fd/1"),
        ("stderr", "fd/2"),
    ):
        (dev / link).symlink_to(target)


def write_identity(etc_hosts: str, hostname: str, interpreter: str, shim: str) -> None:
    """Files of the overlay that say who this host is, and what its programs need; ``shim`` is its ``tc``."""
    _replace("/etc/hosts", etc_hosts)
    _replace("/etc/hostname", hostname + "\n")
    _replace("/etc/resolv.conf", "# no name server: hosts of a local testbed know each other only, see /etc/hosts\n")
    _replace("/etc/hosts.allow", "ALL: ALL\n")  # Debian's sshd obeys it
    shadow = Path("/etc/shadow")
    if shadow.exists():
        before = shadow.read_text()
        after = "\n".join(_unlocked(line) for line in before.split("\n"))
        if after != before:
            shadow.write_text(after)
    for name in ("python", "python3"):
        if shutil.which(name, path=SEARCH_PATH) is None:
            Path("/usr/local/bin").mkdir(parents=True, exist_ok=True)
            Path("/usr/local/bin", name).unlink(missing_ok=True)
            Path("/usr/local/bin", name).symlink_to(interpreter)
    _replace("/usr/local/sbin/tc", f"#!{interpreter} -IS\n{shim}").chmod(0o755)


def _unlocked(line: str) -> str:
    """sshd refuses an account whose password is locked by "!", even with a key; "*" has no password either."""
    name, _, rest = line.partition(":")
    return f"{name}:*:{rest.partition(':')[2]}" if name == "root" and rest.startswith("!") else line


def _replace(name: str, text: str) -> Path:
    """Write a file, also where a link that leads nowhere has its name."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    return path
