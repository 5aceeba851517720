"""Model of network.yaml: what the links between hosts do, and when that changes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Strict

from e2c.config.names import Flag
from e2c.config.shape import Closed
from e2c.config.units import Delay, Jitter, Moment, Rate, Share
from e2c.model.link import Distribution, LinkValues, Traffic

Selector = Annotated[str, Strict(), Field(min_length=1, max_length=1000)]
"""A pattern that chooses hosts; :mod:`e2c.plan.selectors` reads it."""

MAX_LIMIT = 0x7FFFFFFF
"""Most packets that netem may be told to hold."""


class _Ends(Closed):
    src: Selector = Field(description="Hosts that send.", examples=["cloud"])
    dst: Selector = Field(description="Hosts that receive.", examples=["edge.*"])


class _When(Closed):
    at: Moment = Field(description="When, counted from the beginning of the launch.")


class Values(Closed):
    """What one direction of a link does to packets."""

    delay: Delay | None = Field(None, description="One-way delay: `us`, `ms` or `s`.")
    jitter: Jitter | None = Field(
        None, description="By how much the delay varies; packets may overtake each other then."
    )
    distribution: Distribution | None = Field(
        None, description="How the delay varies: `uniform` unless given, or by a table of `tc`.", examples=["normal"]
    )
    rate: Rate | None = Field(None, description="Most that passes: `bit`, `kbit`, `mbit` or `gbit` per second.")
    loss: Share | None = Field(None, description="Packets that are lost, in percent.")
    reorder: Share | None = Field(
        None, description="Packets that pass without the delay, and so overtake others, in percent."
    )
    duplicate: Share | None = Field(None, description="Packets that arrive twice, in percent.")
    corrupt: Share | None = Field(None, description="Packets in which one bit is flipped, in percent.")
    limit: Annotated[int, Strict()] | None = Field(
        None,
        ge=1,
        le=MAX_LIMIT,
        description="Packets that may be under way or wait; computed from rate and delay unless given.",
        examples=[1000],
    )
    down: Flag | None = Field(None, description="Nothing passes, over IPv4 or IPv6; the other values wait.")

    def values(self) -> LinkValues:
        """The same in numbers."""
        return LinkValues(
            delay_ms=self.delay,
            jitter_ms=self.jitter,
            distribution=self.distribution,
            rate_kbit=self.rate,
            loss_percent=self.loss,
            reorder_percent=self.reorder,
            duplicate_percent=self.duplicate,
            corrupt_percent=self.corrupt,
            limit_packets=self.limit,
            down=self.down,
        )


class Rule(Values, _Ends):
    """What traffic from some hosts to others goes through."""

    symmetric: Flag = Field(False, description="The same on the way back.")
    back: Values | None = Field(None, description="What the way back does, where it is not the same.")


class Change(Values, _Ends, _When):
    """What links do from some moment of the launch on; values that it does not name stay as they are."""

    symmetric: Flag = Field(False, description="The same on the way back.")


class Network(Closed):
    """network.yaml: links between hosts."""

    networks: tuple[Rule, ...] | None = Field(description="Rules; empty for none.")
    schedule: tuple[Change, ...] = Field((), description="Changes of links during the launch, in the order of time.")
    control: Literal["untouched", "shaped"] = Field(
        "untouched",
        description="Whether rules shape the controller's own ssh where the controller is one of the hosts.",
    )
    provenance: Literal["shaped", "untouched"] = Field(
        "shaped", description="Whether rules shape what goes to and from the broker of the provenance service."
    )

    def untouched(self) -> tuple[Traffic, ...]:
        """Traffic that is not shaped, whatever the rules say."""
        found: list[Traffic] = []
        if self.control == "untouched":
            found.append("control")
        if self.provenance == "untouched":
            found.append("provenance")
        return tuple(found)
