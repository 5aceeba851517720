"""The user's account on Grid'5000: what this machine knows of it."""

from __future__ import annotations

import os
import pwd
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from e2c.errors import TestbedError
from e2c.model.frozen import Frozen

FILE = ".python-grid5000.yaml"
ACCESS = "access.grid5000.fr"
DOMAIN = "grid5000.fr"
HOW = (
    f"Write your account into ~/{FILE}, two lines: `username: LOGIN` and `password: PASSWORD`, "
    f"then chmod 600 ~/{FILE}; accounts: https://www.grid5000.fr/w/Grid5000:Get_an_account"
)
USUAL_KEYS = ("id_rsa", "id_ed25519", "id_ecdsa")


class Credentials(Frozen):
    """How the API is reached.

    Attributes:
        username: login; ``None`` on a machine of Grid'5000, which needs none.
        options: the file's keys, as ``grid5000.Grid5000`` takes them.
    """

    username: str | None
    options: dict[str, Any]


def file() -> Path:
    """The credentials file, which EnOSlib expects in the home folder."""
    return Path.home() / FILE


def inside() -> bool:
    """Whether this machine is one of Grid'5000's."""
    return socket.getfqdn().endswith(f".{DOMAIN}")


def present() -> bool:
    """Whether this machine was ever set up to use Grid'5000."""
    return file().exists() or inside()


def read() -> Credentials:
    """The user's credentials.

    Raises:
        TestbedError: there are none, or the file cannot be used.
    """
    path = file()
    try:
        known = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if inside():
            return Credentials(username=os.environ.get("USER"), options={})
        raise TestbedError("no Grid'5000 credentials on this machine", where=str(path), hint=HOW) from error
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error
    except (ValueError, yaml.YAMLError) as error:  # never shown: it would quote the line with the password
        raise _unusable(path, "it is not YAML") from error
    if not isinstance(known, dict):
        raise _unusable(path, "it holds no `username:` and `password:`")
    if known.get("sslcert") is None and not inside():
        absent = [name for name in ("username", "password") if not known.get(name)]
        if absent:
            raise _unusable(path, f"{' and '.join(absent)} missing")
    options = {str(key): value for key, value in known.items()}
    for name in ("username", "password"):
        if options.get(name) is not None:
            options[name] = str(options[name])
    return Credentials(username=options.get("username") or os.environ.get("USER"), options=options)


def _unusable(path: Path, why: str) -> TestbedError:
    return TestbedError("the Grid'5000 credentials cannot be used", where=str(path), why=why, hint=HOW)


def readable_by_others() -> bool:
    """Whether other users of this machine can read the file."""
    return bool(file().stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def public_key(settings: Mapping[str, Any], scenario: str | None) -> Path | None:
    """The public ssh key file that the scenario names; ``None`` where it names none.

    A relative name is looked for in the scenario folder, if that is known, then in ``~/.ssh``.

    Raises:
        TestbedError: there is no such file, or its private half is absent.
    """
    named = settings.get("key_name")
    if not named:
        return None
    path = Path(os.path.expanduser(named))
    folders = [*([Path(scenario)] if scenario else []), Path.home() / ".ssh"]
    places = [path] if path.is_absolute() else [folder / path for folder in folders]
    for place in places:
        public = place if place.suffix == ".pub" else place.with_name(f"{place.name}.pub")
        if public.is_file():
            private = public.with_suffix("")
            if private.is_file():
                return public
            raise TestbedError(
                f"the private half of the ssh key {named} is absent",
                where=str(private),
                hint=f"Put the private key there, beside {public.name}, or name another key with key_name",
            )
    raise TestbedError(
        f"there is no ssh key {named}",
        where="layers_services.yaml: environment.g5k.key_name",
        why=f"looked for {' and '.join(map(str, places))}",
        hint=f"Make one with ssh-keygen -f {places[-1].with_suffix('')}, and give its .pub to your Grid'5000 account",
    )


def require_any_key() -> None:
    """Refuse to deploy an image that nobody could log in to: EnOSlib puts all keys of ``~/.ssh`` on it.

    Raises:
        TestbedError: there is none.
    """
    folder = Path.home() / ".ssh"
    if not any(file.stat().st_size for file in folder.glob("*.pub")):
        raise TestbedError(
            "there is no ssh key to put on the machines",
            where=str(folder),
            hint="Make one with ssh-keygen, or name one with key_name under environment.g5k",
        )


def private_key(settings: Mapping[str, Any], scenario: str | None) -> Path | None:
    """The private ssh key file to log in with; ``None``: ssh finds it by itself."""
    public = public_key(settings, scenario)
    if public is not None:
        return public.with_suffix("")
    if Path.home() == Path(pwd.getpwuid(os.getuid()).pw_dir):
        return None
    # ssh looks into the home of the user database, not into $HOME
    usual = (Path.home() / ".ssh" / name for name in USUAL_KEYS)
    return next((key for key in usual if key.is_file()), None)


def found_key(settings: Mapping[str, Any]) -> Path | None:
    """The same, as far as it is known without the scenario's folder, beside which a key may lie."""
    try:
        return private_key(settings, None)
    except TestbedError:
        return None


def jump(username: str | None) -> str | None:
    """``user@host`` of the machine through which nodes are reached; ``None`` from inside Grid'5000."""
    return None if inside() else f"{username}@{ACCESS}"
