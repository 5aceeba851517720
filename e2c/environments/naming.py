"""Names of reservations: unique for a scenario folder of a controller, so that nothing is ever mixed up."""

from __future__ import annotations

import hashlib
import socket

from e2c.config.names import safe_text

MARK_LENGTH = 8


def mark(scenario: str) -> str:
    """What the name of every reservation of a scenario ends with: 8 hexadecimal digits.

    Args:
        scenario: absolute path of the scenario folder.
    """
    return hashlib.sha256(f"{scenario}@{socket.gethostname()}".encode()).hexdigest()[:MARK_LENGTH]


def job_name(wanted: str, scenario: str) -> str:
    """The name of a scenario's reservations: what it asks for, in characters that testbeds take, and its mark."""
    return f"{safe_text(wanted)}-{mark(scenario)}"


def is_of(name: str, scenario: str) -> bool:
    """Whether a reservation of that name belongs to the scenario."""
    return name.endswith(f"-{mark(scenario)}")
