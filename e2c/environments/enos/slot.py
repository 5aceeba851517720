"""The child's side of :mod:`e2c.environments.slot`: EnOSlib looks for the common time."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

from enoslib.errors import InvalidReservationCritical, NoSlotError
from enoslib.infra.providers import Providers

from e2c.environments.base import Claim, Watch
from e2c.environments.enos.worker import ADAPTERS, name
from e2c.environments.limits import advice, limits
from e2c.errors import TestbedError
from e2c.model.plan import PlannedHost


def secure(requests: Sequence[tuple[Claim, Sequence[PlannedHost]]], watch: Watch) -> None:
    """Reserve on all testbeds for the same time.

    An adapter may have a function ``asked_start(claim)``, the time the scenario asks for (seconds since the epoch).

    Raises:
        TestbedError: no common time was found, or a testbed refused.
    """
    adapters: dict[str, ModuleType] = {
        claim.provider: importlib.import_module(ADAPTERS[claim.provider]) for claim, _ in requests
    }
    starts = [_asked_start(adapters[claim.provider], claim) for claim, _ in requests]
    start = max((moment for moment in starts if moment is not None), default=None)
    providers = [adapters[claim.provider].provider(claim, hosts, watch) for claim, hosts in requests]
    named = " and ".join(name(claim.provider) for claim, _ in requests)
    window = limits().slot_window
    watch(f"looking for a time within {window:g} s at which {named} have what is asked for")
    try:
        Providers(providers).async_init(start_time=None if start is None else int(start), time_window=int(window))
    except (InvalidReservationCritical, NoSlotError) as error:
        raise TestbedError(
            f"{named} have no common time for this experiment within {window:g} s",
            why="at no time are enough machines free on all of them",
            hint=f"{advice('slot_window')}, or ask for fewer machines or a shorter walltime",
        ) from error


def _asked_start(adapter: ModuleType, claim: Claim) -> float | None:
    found: float | None = adapter.asked_start(claim) if hasattr(adapter, "asked_start") else None
    return found
