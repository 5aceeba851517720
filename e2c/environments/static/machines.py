"""The machines of a claim, and what is done on all of them at once."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2c.environments.base import Claim
from e2c.errors import E2CError, TestbedError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.remote import shell, sockets

SOCKETS = "sockets"
"""Key of ``Claim.resources``: the folder for ssh connections."""
_AT_ONCE = 100
_TOO_OPEN = 0o077


def planned(claim: Claim, hosts: Iterable[PlannedHost]) -> list[Host]:
    """How to log in on the machines that play planned hosts.

    Raises:
        TestbedError: the plan gives a host no machine.
    """
    made = []
    for host in hosts:
        if "address" not in host.request:
            raise TestbedError(f"no machine of static is left for {host.key}", hint="Add one to hosts: under static")
        parts = {"layer": host.layer, "service": host.service, "roles": host.roles, "testbed": host.testbed}
        made.append(_host(host.key, host.request, claim.resources.get(SOCKETS)).model_copy(update=parts))
    return made


def taken(claim: Claim) -> list[Host]:
    """How to log in on the machines of a claim."""
    return inventory(claim.settings, claim.resources.get(SOCKETS))


def inventory(settings: Mapping[str, Any], folder: str | None = None) -> list[Host]:
    """How to log in on the machines that the testbed's keys name."""
    common = {key: settings[key] for key in ("user", "port", "keyfile", "jump") if settings.get(key) is not None}
    hosts = settings.get("hosts", ())
    # those that the plan took have their key, and all that is common already
    merged = [keys if "key" in keys else {**common, **keys} for keys in hosts]
    return [_host(keys.get("key", f"hosts[{place}]"), keys, folder) for place, keys in enumerate(merged)]


def places(settings: Mapping[str, Any], missing: Mapping[str, str]) -> list[tuple[tuple[str | int, ...], str]]:
    """Where the scenario names machines that are missing, and why, for :class:`e2c.environments.base.SettingsError`."""
    return [
        (("hosts", keys["place"], "address"), f"{keys['address']}, which plays {keys['key']}: {missing[keys['key']]}")
        for keys in settings.get("hosts", ())
        if keys.get("key") in missing and "place" in keys
    ]


def _host(key: str, keys: Mapping[str, Any], folder: str | None) -> Host:
    keyfile = keys.get("keyfile")
    return Host(
        key=key,
        layer=None,
        service="",
        testbed="static",
        provider="static",
        hostname=keys["address"],
        address=keys["address"],
        user=keys.get("user", "root"),
        port=keys.get("port", 22),
        keyfile=str(Path(keyfile).expanduser()) if keyfile else None,
        jump=None if keys.get("jump") == "none" else keys.get("jump"),
        control_dir=folder,
    )


@contextlib.contextmanager
def fresh_connections(claim: Claim, hosts: Sequence[Host]) -> Iterator[list[Host]]:
    """The hosts with new connections of their own, because one to a dead machine would be waited for; none are left.

    Those that go through a jump host share the connection to it, where that is possible.
    """
    folder = claim.resources.get(SOCKETS, "")
    if folder:
        sockets.remove(folder)
    control = None
    if folder and any(host.jump for host in hosts):
        with contextlib.suppress(E2CError, OSError):
            sockets.make(folder)
            control = folder
    yield [host.model_copy(update={"control_dir": control}) for host in hosts]
    if folder:
        sockets.remove(folder)


def wrong_keys(hosts: Iterable[Host]) -> dict[str, str]:
    """Key files that ssh would not use, with the reason."""
    found = {}
    for name in sorted({host.keyfile for host in hosts if host.keyfile}):
        try:
            mode = Path(name).stat().st_mode
            with Path(name).open("rb"):
                pass
        except OSError as error:
            found[name] = f"the key file {name} cannot be read ({error.strerror})"
            continue
        if mode & _TOO_OPEN:
            found[name] = f"the key file {name} may be read by others, so ssh does not use it (chmod 600 {name})"
    return found


def privileged(command: str) -> str:
    """A shell command run by root, through ``sudo`` where the user of the machine is someone else."""
    quoted = shlex.quote(command)
    return f'if [ "$(id -u)" = 0 ]; then sh -c {quoted}; else sudo -n -H sh -c {quoted}; fi'


def on_each(commands: Mapping[Host, str], limit_s: float) -> dict[str, shell.Result]:
    """Run a command of its own as root on each machine, all at once; results by service key."""
    told = {host: f"sh -c {shlex.quote(privileged(command))}" for host, command in commands.items()}
    return shell.run_each(told, timeout_s=limit_s, at_once=_AT_ONCE)


def addresses(hosts: Sequence[Host]) -> str:
    """Their addresses: five, and how many more."""
    return shell.some([host.address for host in hosts], ", ")
