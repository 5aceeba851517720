"""Model of network.yaml: delay, rate and loss between hosts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Strict

from e2c.config.names import Flag
from e2c.config.shape import Closed
from e2c.config.units import Delay, Loss, Rate

Selector = Annotated[str, Strict(), Field(min_length=1, max_length=1000)]
"""A pattern that chooses hosts; :mod:`e2c.plan.selectors` reads it."""


class Rule(Closed):
    """What traffic from some hosts to others goes through."""

    src: Selector = Field(description="Hosts that send.", examples=["cloud"])
    dst: Selector = Field(description="Hosts that receive.", examples=["edge.*"])
    delay: Delay | None = Field(None, description="One-way delay: `us`, `ms` or `s`.")
    rate: Rate | None = Field(None, description="Most that passes: `bit`, `kbit`, `mbit` or `gbit` per second.")
    loss: Loss | None = Field(None, description="Packets that are lost, in percent.")
    symmetric: Flag = Field(False, description="The same on the way back.")


class Network(Closed):
    """network.yaml: links between hosts."""

    networks: tuple[Rule, ...] | None = Field(description="Rules; empty for none.")
