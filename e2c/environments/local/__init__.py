"""The local testbed: hosts in namespaces of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2c.environments.base import Provider


def provider() -> Provider:
    """Entry point ``local`` of ``e2c.environments``."""
    from e2c.environments.local.provider import LocalProvider

    return LocalProvider()
