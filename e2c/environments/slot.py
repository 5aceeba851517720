"""A time at which all testbeds of an experiment have what it asks for."""

from __future__ import annotations

from collections.abc import Sequence

from e2c.environments.base import Claim, Watch
from e2c.environments.enos import agent
from e2c.environments.limits import limits
from e2c.model.plan import PlannedHost

SEARCH_S = 120
"""Beyond the time limits of the API: the search itself."""


def secure(requests: Sequence[tuple[Claim, Sequence[PlannedHost]]], watch: Watch) -> None:
    """Reserve on several testbeds for the same time; each provider's ``acquire`` takes its reservation up by name.

    Does nothing for fewer than two. Reservations that exist already are kept.

    Args:
        requests: claims of providers that reserve, with their planned hosts.
        watch: receives every reservation the moment it is made.

    Raises:
        TestbedError: there is no common slot within E2C_SLOT_WINDOW, or a testbed failed; what was reserved by then
            is for the caller to release.
    """
    if len(requests) < 2:
        return
    encoded = [
        [claim.model_dump(mode="json"), [host.model_dump(mode="json") for host in hosts]] for claim, hosts in requests
    ]
    bounds = limits()
    limit = SEARCH_S + bounds.api_timeout * 20 + bounds.release_timeout
    agent.run("secure", {"provider": "slot", "requests": encoded}, watch, limit)
