"""Time limits of work on testbeds: every wait has one, and every one is a setting."""

from __future__ import annotations

import os

from e2c.config.settings import PREFIX, read_settings
from e2c.model.frozen import Frozen


class Limits(Frozen):
    """Seconds; the fields are the settings of the same names (``E2C_API_TIMEOUT`` ...)."""

    api_timeout: float
    start_timeout: float
    slot_window: float
    deploy_timeout: float
    ssh_timeout: float
    release_timeout: float


def limits() -> Limits:
    """The limits that the environment of this process asks for."""
    settings, _ = read_settings(os.environ)
    return Limits(**{name: getattr(settings, name) for name in Limits.model_fields})


def advice(name: str) -> str:
    """How to allow more time, for the hint of a message: names the variable of a limit."""
    return f"Allow more time with {PREFIX}{name.upper()}=SECONDS"
