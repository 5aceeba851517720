"""Links: what traffic from one host to another goes through."""

from __future__ import annotations

from typing import Any, Literal

from e2c.model.frozen import Frozen

Distribution = Literal["uniform", "normal", "pareto", "paretonormal"]
"""How jitter spreads delays; all but ``uniform`` come from tables of ``tc``."""
Traffic = Literal["control", "provenance"]
"""What may be left out of shaping: the controller's ssh, and captures on their way to the provenance service."""

LEAST_MS = 0.001
"""The step of times in ``tc``; what is less is nothing."""


class LinkValues(Frozen):
    """What one direction of a link does to packets; ``None``: nothing of that kind.

    Attributes:
        delay_ms: one-way delay in milliseconds.
        jitter_ms: by how many milliseconds the delay varies.
        distribution: how it varies; ``None``: uniform.
        rate_kbit: rate limit in kilobit per second.
        loss_percent, reorder_percent, duplicate_percent, corrupt_percent: shares of packets, 0 to 100.
        limit_packets: packets that may be under way or wait; ``None``: computed from rate and delay.
        down: nothing passes, whatever the other values are.
    """

    delay_ms: float | None = None
    jitter_ms: float | None = None
    distribution: Distribution | None = None
    rate_kbit: float | None = None
    loss_percent: float | None = None
    reorder_percent: float | None = None
    duplicate_percent: float | None = None
    corrupt_percent: float | None = None
    limit_packets: int | None = None
    down: bool | None = None

    @property
    def named(self) -> dict[str, Any]:
        """These values by name, those that are ``None`` among them."""
        return {name: getattr(self, name) for name in LinkValues.model_fields}

    def over(self, before: LinkValues) -> LinkValues:
        """What holds after a change to these values: what they do not name stays as before."""
        kept = {name: value for name, value in before.named.items() if self.named[name] is None}
        return LinkValues(**{**self.named, **kept})

    @property
    def fault(self) -> tuple[str, str] | None:
        """Why no host can do this: which value of network.yaml is to blame, and a clause; ``None`` when one can."""
        undelayed = (self.delay_ms or 0) < LEAST_MS
        if (self.jitter_ms or 0) >= LEAST_MS and undelayed:
            return "jitter", "jitter needs a delay that it varies"
        if self.reorder_percent and undelayed:
            return "reorder", "reorder needs a delay, for packets overtake others by not being delayed"
        if self.distribution not in (None, "uniform") and self.jitter_ms is None:
            return "distribution", "distribution needs a jitter that it spreads"
        return None


class PlannedLink(LinkValues):
    """One rule of ``network.yaml``, resolved to hosts.

    One way: traffic from every host of ``sources`` to every host of ``destinations``.

    Attributes:
        src, dst: the selectors as written.
        sources, destinations: service keys they choose.
        symmetric: the same on the way back.
        back: what the way back does, where it does something else.
        reason: why it is in the plan, for ``--dry-run``.
    """

    src: str
    dst: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    symmetric: bool = False
    back: LinkValues | None = None
    reason: str = ""


class PlannedChange(LinkValues):
    """One entry of the ``schedule`` of network.yaml, resolved to hosts: values that links have from then on.

    Values that are ``None`` stay as they are.

    Attributes:
        at_s: seconds after the beginning of the launch.
        src, dst, sources, destinations, symmetric, reason: as in :class:`PlannedLink`.
    """

    at_s: float
    src: str
    dst: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    symmetric: bool = False
    reason: str = ""
