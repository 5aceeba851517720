"""Whether Grid'5000 can be used from this machine: credentials, API, account, ssh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grid5000.exceptions import Grid5000AuthenticationError

from e2c.environments.base import Finding
from e2c.environments.g5k import api, credentials, refusals
from e2c.errors import TestbedError
from e2c.model.host import Host
from e2c.remote import shell
from e2c.remote.unreachable import reason

SSH_LIMIT_S = 30
ACCOUNT = "https://api.grid5000.fr/ui/account"


def examine(settings: Mapping[str, Any], ssh: bool = True) -> list[Finding]:
    """Everything that must be right to use Grid'5000, in turn; never raises for what is wrong.

    Args:
        settings: the testbed's keys of the scenario; may be empty.
        ssh: look at the ssh key too, which takes a connection.
    """
    try:
        known = credentials.read()
    except TestbedError as error:
        text = error.what if error.why is None else f"{error.what}: {error.why}"
        return [Finding(aspect="credentials", ok=False, text=f"{text} ({error.where})", remedy=error.hint or "")]
    found = [_credentials(known), *_service()]
    if ssh:
        found.append(_ssh(settings, known.username))
    return found


def _credentials(known: credentials.Credentials) -> Finding:
    path = credentials.file()
    if not path.exists():
        return Finding(aspect="credentials", ok=True, text="none needed on a machine of Grid'5000")
    text = f"user {known.username} ({path})"
    if credentials.readable_by_others():
        text = f"{text}; other users of this machine can read the password"
        return Finding(aspect="credentials", ok=True, text=text, remedy=f"Run chmod 600 {path}")
    return Finding(aspect="credentials", ok=True, text=text)


def _service() -> list[Finding]:
    """API and account: both are asked by one request."""
    try:
        client = api.connect()
        where = api.place(client)
        sites = client.http_list("/sites")
    except Grid5000AuthenticationError:
        remedy = f"Correct username and password in {credentials.file()}"
        return [
            Finding(aspect="API", ok=True, text=f"{where} answers"),
            Finding(aspect="account", ok=False, text="it does not accept the user name or the password", remedy=remedy),
        ]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the user wants to be told
        failure = refusals.translate(error, "its API cannot be used")
        text = failure.what if failure.why is None else failure.why
        return [
            Finding(aspect="API", ok=False, text=text, remedy=failure.hint or refusals.STATUS_PAGE),
            Finding(aspect="account", ok=None, text="not known, because the API does not answer"),
        ]
    return [
        Finding(aspect="API", ok=True, text=f"{where} answers, {len(sites)} sites"),
        Finding(aspect="account", ok=True, text="user name and password are accepted"),
    ]


def _ssh(settings: Mapping[str, Any], username: str | None) -> Finding:
    if credentials.inside():
        return Finding(aspect="ssh", ok=True, text="this machine is inside Grid'5000: no access machine needed")
    try:
        key = credentials.private_key(settings, None)
    except TestbedError as error:
        return Finding(aspect="ssh", ok=False, text=error.what, remedy=error.hint or "")
    host = Host(
        key="access",
        layer=None,
        service="access",
        testbed="g5k",
        provider="g5k",
        hostname=credentials.ACCESS,
        address=credentials.ACCESS,
        user=str(username),
        keyfile=str(key) if key else None,
    )
    answer = shell.run(host, "true", timeout_s=SSH_LIMIT_S)
    if answer.ok:
        return Finding(aspect="ssh", ok=True, text=f"{username}@{credentials.ACCESS} accepts the key")
    why = reason(host, answer)
    public = f"{key}.pub" if key else "your public key (~/.ssh/id_rsa.pub)"
    refused = f"Give {public} to your account: {ACCOUNT}, section SSH keys"
    remedy = refused if "refused" in why else f"Check that this machine may connect to {credentials.ACCESS}, port 22"
    return Finding(aspect="ssh", ok=False, text=f"{credentials.ACCESS}: {why}", remedy=remedy)
