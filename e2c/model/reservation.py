"""Reservations: what holds machines of a testbed for a time."""

from __future__ import annotations

from e2c.model.frozen import Frozen


class Reservation(Frozen):
    """A job (Grid'5000) or experiment (FIT IoT-LAB) that holds machines.

    Attributes:
        provider: name of the provider.
        site: where it runs, on testbeds that have sites.
        id: the testbed's own number of it.
        name: its name there.
        state: in the testbed's own word (``waiting``, ``running``, ``error`` ...).
        starts, ends: seconds since the epoch; ``None`` while the testbed does not know.
    """

    provider: str
    site: str | None = None
    id: str
    name: str
    state: str
    starts: float | None = None
    ends: float | None = None
