"""What this machine must offer for a local testbed, and what to do where it does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from e2c.environments.local.hostroot import SEARCH_PATH
from e2c.errors import MissingToolError, TestbedError

_CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}
_PROGRAMS = {
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "tc": "iproute2",
    "unshare": "util-linux",
}


def check() -> None:
    """Refuse, with all reasons at once, where hosts cannot be made.

    Raises:
        MissingToolError: a privilege, a program or a part of the kernel is absent.
    """
    if not sys.platform.startswith("linux"):
        raise MissingToolError("a local testbed needs Linux", hint="Use a Linux machine, or a virtual machine")
    lacking, remedies = _lacking_rights()
    may_load_modules = not lacking
    packages = []
    for name, package in _PROGRAMS.items():
        if program(name) is None:
            lacking.append(name)
            packages.append(package)
    if host_interpreter() is None:
        lacking.append("a python3 outside /root that hosts can see")
        packages.append("python3")
    if packages:
        remedies.append(f"apt-get install {' '.join(dict.fromkeys(packages))}")
    if may_load_modules and not _has_overlay():
        lacking.append("the overlay file system")
        remedies.append("modprobe overlay")
    _refuse(lacking, remedies)


def check_rights() -> None:
    """Refuse those who may not make or remove namespaces and interfaces.

    Raises:
        MissingToolError: a capability is absent.
    """
    _refuse(*_lacking_rights())


def _lacking_rights() -> tuple[list[str], list[str]]:
    missing = _missing_capabilities()
    if not missing:
        return [], []
    root = os.geteuid() == 0
    return (
        [f"the {'capabilities' if root else 'rights of root'} ({' and '.join(missing)})"],
        ["start the container with --privileged" if root else "run it as root: sudo e2clab ..."],
    )


def _refuse(lacking: list[str], remedies: list[str]) -> None:
    if lacking:
        raise MissingToolError(
            f"a local testbed needs {_enumerate(lacking)}, which {'is' if len(lacking) == 1 else 'are'} not here",
            hint=_sentence("; ".join(remedies)),
        )


def program(name: str) -> str | None:
    """Path of a program, also where the caller's PATH lacks the system's folders."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SEARCH_PATH}")


def host_program(name: str) -> str | None:
    """Path of a program that is there on hosts too: they have neither the caller's PATH nor its /root."""
    return shutil.which(name, path=SEARCH_PATH)


def host_interpreter() -> str | None:
    """The Python of hosts: the distribution's, whose packages Ansible's modules need, else the first they can see."""
    return shutil.which("python3", path=f"/usr/bin:{SEARCH_PATH}")


def sshd_extra() -> str:
    """Lines for sshd's configuration that only recent versions know."""
    ssh = program("ssh")
    text = subprocess.run([ssh, "-V"], capture_output=True, text=True, check=False).stderr if ssh else ""
    version = re.match(r"OpenSSH_(\d+)\.(\d+)", text)
    if version and (int(version[1]), int(version[2])) >= (9, 8):
        return "PerSourcePenalties no\n"  # it would lock the controller out after a few impatient connections
    return ""


def has_ipv6() -> bool:
    """Whether the kernel offers IPv6 at all; that it is switched off by default does not matter."""
    return Path("/proc/sys/net/ipv6").is_dir()


def _missing_capabilities() -> list[str]:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    if found is None:
        raise TestbedError("this kernel does not tell what a process may do", where="/proc/self/status")
    effective = int(found[1], 16)
    return [name for number, name in _CAPABILITIES.items() if not effective >> number & 1]


def _has_overlay() -> bool:
    def listed() -> bool:
        return "\toverlay\n" in Path("/proc/filesystems").read_text()

    if not listed() and (modprobe := program("modprobe")):
        subprocess.run([modprobe, "-q", "overlay"], check=False, capture_output=True)
    return listed()


def _enumerate(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] if text.startswith(("run it", "start the")) else text
