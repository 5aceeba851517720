"""Whether users of machines are root or may become it: services, plays and shaped links need it."""

from __future__ import annotations

from collections.abc import Sequence

from e2c.environments import limits
from e2c.environments.base import Finding
from e2c.environments.discovery import Survey
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.remote import shell

_REMEDY = "Log in as root, or allow sudo without a password"


def refused(found: Survey, hosts: Sequence[Host]) -> list[Host]:
    """Machines whose user is not root and may not become it without a password."""
    others = [host for host in hosts if found.users.get(host.key, 0) != 0]
    answers = shell.run_all(others, "sudo -n true", timeout_s=limits.limits().ssh_timeout)
    return [host for host in others if not answers[host.key].ok]


def as_root(found: Survey, hosts: Sequence[Host]) -> list[Host]:
    """The machines, set so that whatever runs there is run by root.

    Raises:
        TestbedError: a user may not become root.
    """
    for host in refused(found, hosts):
        raise error(host)
    return [host.model_copy(update={"sudo": found.users[host.key] != 0}) for host in hosts]


def error(host: Host) -> TestbedError:
    """The refusal of a machine."""
    return TestbedError(
        f"user {host.user} of {host.address} is not root and may not become it without a password",
        why="services, plays and shaped links need root",
        hint=f"{_REMEDY}: {host.user} ALL=(ALL) NOPASSWD: ALL in a file of /etc/sudoers.d",
    )


def finding(found: Survey, hosts: Sequence[Host]) -> Finding:
    """What :func:`refused` tells, for a report."""
    wrong = refused(found, hosts)
    if wrong:
        names = shell.some([f"{host.user} of {host.address}" for host in wrong], ", ")
        return Finding(aspect="rights", ok=False, text=f"{names} cannot become root", remedy=_REMEDY)
    return Finding(aspect="rights", ok=True, text="every user is root or may become it")
