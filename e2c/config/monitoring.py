"""``monitoring:``, ``monitoring_iotlab:`` and ``kwollect:`` of layers_services.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from e2c.config.names import WHOLE, ArtifactPath, Flag, HostName, Resource, Role, Text
from e2c.config.shape import Closed

Options = Annotated[str, Strict(), Field(max_length=255, pattern=r"^[A-Za-z0-9 ,._=/-]*$")]


class Monitoring(Closed):
    """Resource monitoring of the hosts whose service has the role `monitoring`."""

    type: Literal["dstat", "tpg", "tig"] = Field(
        description="dstat, Telegraf-Prometheus-Grafana, or Telegraf-InfluxDB-Grafana."
    )
    provider: Literal["g5k", "chameleoncloud"] | None = Field(
        None, description="Testbed of the collecting host; `tig` and `tpg` need it."
    )
    cluster: Resource | None = Field(None, description="Cluster of the collecting host.", examples=["gros"])
    servers: tuple[HostName, ...] | None = Field(
        None, min_length=1, max_length=1, description="The collecting machine.", examples=[["gros-1.nancy.grid5000.fr"]]
    )
    network: Literal["shared", "private"] = Field("shared", description="Network that carries the measurements.")
    agent_conf: ArtifactPath | None = Field(
        None, description="Telegraf configuration in the artifacts folder (`tig`).", examples=["telegraf.conf"]
    )
    options: Options = Field("-m -c -n", description="Options of dstat.")
    ipv: Annotated[Literal[4, 6], WHOLE] = Field(4, description="Address family of the measurements.")

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"type": {"enum": ["tpg", "tig"]}}},
            "then": {
                "required": ["provider"],
                "not": {"required": ["cluster", "servers"]},
                "if": {"properties": {"provider": {"const": "g5k"}}},
                "then": {"anyOf": [{"required": ["cluster"]}, {"required": ["servers"]}]},
            },
        }
    )

    @model_validator(mode="after")
    def _check(self) -> Monitoring:
        if self.type == "dstat":
            return self
        if self.provider is None:
            raise PydanticCustomError(
                "monitoring-host", "{type} needs a provider", {"type": self.type, "hint": "Write provider: g5k"}
            )
        if self.cluster and self.servers:
            raise PydanticCustomError(
                "cluster-and-servers", "cluster and servers are both given", {"key": "servers", "hint": "Keep one"}
            )
        if self.provider == "g5k" and not (self.cluster or self.servers):
            raise PydanticCustomError(
                "monitoring-host",
                "neither cluster nor servers is given",
                {"hint": "Say where it runs, as cluster: gros"},
            )
        return self


class IotProfile(Closed):
    """What IoT-LAB's control nodes measure; a service names it by `profile:`."""

    name: Role = Field(description="Name, for `profile:` of a service.", examples=["power"])
    archi: Literal["a8", "m3", "custom"] = Field(description="Kind of board.")
    current: Flag = Field(False, description="Measure the current.")
    power: Flag = Field(False, description="Measure the power.")
    voltage: Flag = Field(False, description="Measure the voltage.")
    period: Annotated[Literal[140, 204, 332, 588, 1100, 2116, 4156, 8244], WHOLE] = Field(
        8244, description="Sampling period in microseconds."
    )
    average: Annotated[Literal[1, 4, 16, 64, 128, 256, 512, 1024], WHOLE] = Field(
        4, description="Samples averaged into one."
    )


class MonitoringIotLab(Closed):
    """Consumption measured by IoT-LAB."""

    profiles: tuple[IotProfile, ...] = Field(min_length=1, description="Profiles that services may name.")


class Kwollect(Closed):
    """Grid'5000's own measurements of the hosts whose service has the role `k_monitor`."""

    metrics: tuple[Text, ...] = Field(
        min_length=1, description="Metrics to fetch; `all` for every one.", examples=[["all"]]
    )
    step: Literal["prepare", "launch", "finalize"] | None = Field(
        None, description="Stage whose time is fetched; `launch` unless `start` is given."
    )
    start: Literal["prepare", "launch", "finalize"] | None = Field(None, description="First stage of the time fetched.")
    end: Literal["prepare", "launch", "finalize"] | None = Field(None, description="Last stage of the time fetched.")

    model_config = ConfigDict(
        json_schema_extra={
            "not": {"anyOf": [{"required": ["step", "start"]}, {"required": ["step", "end"]}]},
            "dependentRequired": {"end": ["start"]},
        }
    )

    @model_validator(mode="after")
    def _check(self) -> Kwollect:
        if self.step and (self.start or self.end):
            raise PydanticCustomError(
                "kwollect-time", "step and start or end are both given", {"key": "step", "hint": "Keep one of them"}
            )
        if self.end and not self.start:
            raise PydanticCustomError(
                "kwollect-time", "end is given without start", {"key": "end", "hint": "Add start"}
            )
        stages = ("prepare", "launch", "finalize")
        if self.start and self.end and stages.index(self.end) < stages.index(self.start):
            raise PydanticCustomError(
                "kwollect-time", "end comes before start", {"key": "end", "hint": "Exchange them"}
            )
        return self
