"""The user's passwords for testbeds, so that no text that leaves us holds one."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import yaml

GRID5000_FILE = ".python-grid5000.yaml"
IOTLAB_FILE = ".iotlabrc"
IOTLAB_VARIABLE = "IOTLAB_PASSWORD_FILE"
"""Names another file instead."""
HIDDEN = "********"
SHORTEST = 3
"""Shorter ones are no secrets, and hiding them would make text unreadable."""


class Redaction:
    """Replaces the passwords of this machine's credentials files, in every form they are sent in, by stars."""

    def __init__(self, home: Path | None = None) -> None:
        forms = {form for pair in _credentials(home or Path.home()) for form in _forms(*pair)}
        self._forms = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without passwords."""
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return text


def _credentials(home: Path) -> Iterator[tuple[str, str]]:
    """User and password of each file that can be read; damaged files have none."""
    try:
        known = yaml.safe_load((home / GRID5000_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        known = None
    if isinstance(known, dict) and known.get("password") is not None:
        yield str(known.get("username", "")), str(known["password"])
    try:
        file = Path(os.environ.get(IOTLAB_VARIABLE) or home / IOTLAB_FILE)
        user, _, encoded = file.read_text(encoding="utf-8").strip().partition(":")
        yield user, encoded
        yield user, base64.b64decode(encoded, validate=True).decode()
    except (OSError, ValueError, binascii.Error):
        pass


def _forms(user: str, password: str) -> Iterator[str]:
    yield password
    yield quote(password, safe="")
    yield base64.b64encode(password.encode()).decode()
    yield base64.b64encode(f"{user}:{password}".encode()).decode()
