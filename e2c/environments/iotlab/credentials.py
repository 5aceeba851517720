"""Who the user is at FIT IoT-LAB, and with which key; the password is left to the library that sends it."""

from __future__ import annotations

import base64
import binascii
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2c.environments.enos.secrets import IOTLAB_FILE, IOTLAB_VARIABLE
from e2c.errors import TestbedError

DOMAIN = "iot-lab.info"
KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


def path() -> Path:
    """The credentials file of the testbed's own tools."""
    given = os.environ.get(IOTLAB_VARIABLE)
    return Path(given) if given else Path.home() / IOTLAB_FILE


def user() -> str:
    """The account that the credentials file names.

    Raises:
        TestbedError: there is no such file, or it cannot be read.
    """
    file = path()
    hint = "Write it with: iotlab-auth -u USER"
    try:
        line = file.read_text(encoding="utf-8").partition("\n")[0]
    except FileNotFoundError:
        raise TestbedError("no credentials for FIT IoT-LAB", where=str(file), hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise TestbedError(
            "the credentials for FIT IoT-LAB cannot be read", where=str(file), why=why, hint=hint
        ) from None
    name, colon, password = line.strip().partition(":")
    try:
        secret = base64.b64decode(password, validate=True).decode()
    except (binascii.Error, ValueError):
        secret = ""
    if not (name and colon and secret) or ":" in password:
        raise TestbedError(
            "the credentials for FIT IoT-LAB cannot be read",
            where=str(file),
            why="it must hold one line, USER:PASSWORD, the password in base64",
            hint=hint,
        )
    return name


def exist() -> bool:
    """Whether the account was ever set up on this machine."""
    return path().exists()


def keyfile(settings: Mapping[str, Any]) -> str | None:
    """The private key that opens nodes and sites.

    Args:
        settings: the testbed's keys of the scenario; ``key_name`` is a private or public key file.

    Returns:
        ``None`` where ssh finds its keys by itself.

    Raises:
        TestbedError: the file that the scenario names does not exist.
    """
    named = settings.get("key_name")
    if named:
        file = Path(named).expanduser()
        private = file.with_suffix("") if file.suffix == ".pub" else file
        if not private.is_file():
            raise TestbedError("the ssh key of iotlab does not exist", where=str(private), hint="Correct ssh_key")
        return str(private)
    folder = Path.home() / ".ssh"
    if folder == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".ssh":
        return None
    # ssh looks in the home of the account, not in $HOME
    return next((str(folder / name) for name in KEYS if (folder / name).is_file()), None)


def frontend(site: str) -> str:
    """The machine of a site that users log in to."""
    return f"{site}.{DOMAIN}"
