"""Variables of the environment, checked before a command begins."""

from __future__ import annotations

import os
import sys

from e2c.cli import render

LISTED_LATER = frozenset({"check-configuration", "deploy", "layers-services"})
"""Commands that read the whole scenario, and tell of variables together with all other problems."""
FREEING = frozenset({"destroy"})
"""Commands that must not fail because of a variable: machines would stay booked."""


def check(command: str | None) -> None:
    """Refuse variables with wrong values, and warn of those that are not known.

    Raises:
        E2CError: a value is wrong.
    """
    if command in LISTED_LATER or not any(name.startswith("E2C_") for name in os.environ) or "--help" in sys.argv:
        return
    from e2c.config.settings import read_settings
    from e2c.errors import E2CError

    _, found = read_settings(os.environ)
    wrong = []
    for problem in found:
        if problem.severity == "warning":
            render.warning(problem.sentence().partition(": warning: ")[2])
        elif command in FREEING:
            render.warning(f"{problem.message}; the default is taken.")
        else:
            wrong.append(problem.message)
    if wrong:
        raise E2CError("; ".join(wrong), where="environment", hint="Correct it, or unset it")
