"""``provenance:`` of layers_services.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from e2c.config.names import WHOLE, ArtifactPath, HostName, Resource
from e2c.config.shape import Closed
from e2c.config.testbeds import OrOwn

MAX_PARALLELISM = 64


class Provenance(Closed):
    """The provenance service. Hosts whose service has the role `provenance` capture for it."""

    provider: Annotated[Literal["g5k", "static", "local"], OrOwn] = Field(description="Testbed of its host.")
    cluster: Resource | None = Field(
        None, description="Cluster of its host. One of `cluster` and `servers`, except on `local`.", examples=["gros"]
    )
    servers: tuple[HostName, ...] | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="The machine that carries it.",
        examples=[["gros-1.nancy.grid5000.fr"]],
    )
    dataflow_spec: ArtifactPath = Field(
        description="Python file in the artifacts folder that declares the dataflow.", examples=["dataflow.py"]
    )
    ipv: Annotated[Literal[4, 6], WHOLE] = Field(4, description="Address family by which hosts reach it.")
    parallelism: Annotated[int, Strict()] = Field(
        1, ge=1, le=MAX_PARALLELISM, description="Number of topics, and translators, that the hosts are spread over."
    )
    tls: Annotated[bool, Strict()] = Field(
        False, description="Whether hosts reach it by TLS only, with a certificate authority made for the experiment."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"required": ["cluster", "servers"]},
            "if": {"properties": {"provider": {"const": "g5k"}}},
            "then": {"anyOf": [{"required": ["cluster"]}, {"required": ["servers"]}]},
        }
    )

    @model_validator(mode="after")
    def _check(self) -> Provenance:
        if self.cluster and self.servers:
            raise PydanticCustomError(
                "cluster-and-servers",
                "cluster and servers are both given",
                {"key": "servers", "hint": "Keep one of them"},
            )
        if self.provider == "g5k" and not (self.cluster or self.servers):
            raise PydanticCustomError(
                "provenance-host",
                "neither cluster nor servers is given",
                {"hint": "Say where it runs, as cluster: gros"},
            )
        return self
