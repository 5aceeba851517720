"""``monitoring:``, ``monitoring_iotlab:`` and ``kwollect:`` of layers_services.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from e2c.config.names import WHOLE, ArtifactPath, Flag, HostName, Resource, Role, Text
from e2c.config.shape import Closed

Options = Annotated[str, Strict(), Field(max_length=255, pattern=r"^[A-Za-z0-9 ,._=/-]*$")]


AGENT_ROLE = "monitoring"
"""The role of services whose hosts are monitored."""


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
    network: Literal["shared", "private"] = Field(
        "shared",
        description="`private`: monitored hosts of Grid'5000 are in a network of their own, too (KaVLAN).",
    )
    agent_conf: ArtifactPath | None = Field(
        None, description="Telegraf configuration in the artifacts folder (`tig`).", examples=["telegraf.conf"]
    )
    options: Options = Field(
        "-m -c -n", description="Options of dstat; CPU, memory, disk and network are always sampled."
    )
    period: Annotated[int, Strict()] | None = Field(
        None,
        ge=1,
        le=3600,
        description="Seconds between two samples (`dstat`); 1 unless given here or as last word of `options`.",
        examples=[5],
    )
    ipv: Annotated[Literal[4, 6], WHOLE] = Field(4, description="Address family of the private network.")

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
            read_options(self.options, self.period)
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


_WITH_VALUE = "CDINS"
"""Options of one letter that take a value: which processors, disks, interrupts, interfaces, swap."""
_TOTALLED = "CDN"
"""Those whose value leaves the total out unless it names it."""
_ALWAYS = "cdmnT"
_ALWAYS_LONG = frozenset({"--cpu", "--disk", "--epoch", "--mem", "--net"})
_OURS = "ohV"
_OURS_LONG = ("--debug", "--devel", "--display", "--help", "--list", "--output", "--pidfile", "--profile", "--version")


def read_options(options: str, period: int | None) -> tuple[tuple[str, ...], int]:
    """Options of dstat beyond those that are always given, and the seconds between two samples.

    Raises:
        PydanticCustomError: an option that would change where samples go or when sampling ends, or no option at all.
    """
    words = iter(options.split())
    kept: list[str] = []
    numbers: list[int] = []
    for word in words:
        if word.isdecimal():
            numbers.append(int(word))
        elif word.startswith("--"):
            name = word.partition("=")[0]
            if any(ours.startswith(name) for ours in _OURS_LONG):
                raise _option(f"{name} cannot be given", "Remove it; this program sees to where the samples go")
            kept += [] if word in _ALWAYS_LONG else [word]
        elif word.startswith("-") and word != "-":
            kept += _letters(word, words)
        else:
            raise _option(f"{word!r} is not an option of dstat", "Write options as -m -c -n")
    if len(numbers) > 1:
        raise _option("a number of samples is given, after which sampling would end", f"Remove {numbers[1]}")
    if numbers and period not in (None, numbers[0]):
        raise _option(f"the period is {numbers[0]} here and {period} under period", "Keep one of them")
    seconds = period or (numbers[0] if numbers else 1)
    if not 1 <= seconds <= 3600:
        raise _option(f"the period is {seconds} s", "Write 1 to 3600 seconds")
    return tuple(kept), seconds


def _letters(word: str, words: Iterator[str]) -> list[str]:
    """What is kept of a word of options of one letter; the value of the last may be the next word."""
    kept: list[str] = []
    for place, letter in enumerate(word[1:], 2):
        if letter in _OURS:
            raise _option(f"-{letter} cannot be given", "Remove it; this program sees to where the samples go")
        if letter in _WITH_VALUE:
            value = word[place:] or next(words, "")
            if not value:
                raise _option(f"-{letter} has no value", f"Write, for example, -{letter} total")
            if letter in _TOTALLED and not {"total", "all"} & set(value.split(",")):
                value += ",total"
            return [*kept, f"-{letter}", value]
        kept += [] if letter in _ALWAYS else [f"-{letter}"]
    return kept


def _option(message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("monitoring-options", "{why}", {"why": message, "key": "options", "hint": hint})


Channel = Annotated[int, Strict(), Field(ge=11, le=26)]


class IotRadio(Closed):
    """What IoT-LAB's control nodes hear of the radio."""

    mode: Literal["rssi", "sniffer"] = Field(
        description="Measure the strength of signals on the channels in turn, or record the packets of one channel."
    )
    channels: tuple[Channel, ...] = Field(
        min_length=1, max_length=16, description="Channels of IEEE 802.15.4.", examples=[[11, 26]]
    )
    period: Annotated[int, Strict()] | None = Field(
        None, ge=1, le=65535, description="Milliseconds between two measurements; `rssi` needs it.", examples=[10]
    )
    num_per_channel: Annotated[int, Strict()] | None = Field(
        None, ge=0, le=255, description="Measurements before the next channel; several channels need it.", examples=[1]
    )

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"mode": {"const": "rssi"}}},
            "then": {
                "required": ["period"],
                "if": {"properties": {"channels": {"minItems": 2}}},
                "then": {"required": ["num_per_channel"], "properties": {"num_per_channel": {"minimum": 1}}},
            },
            "else": {
                "properties": {"channels": {"maxItems": 1}},
                "not": {"anyOf": [{"required": ["period"]}, {"required": ["num_per_channel"]}]},
            },
        }
    )

    @model_validator(mode="after")
    def _check(self) -> IotRadio:
        several = len(self.channels) > 1
        if self.mode == "sniffer":
            if several:
                raise _radio("channels", "sniffer takes one channel", "Write one, as channels: [26]")
            unused = next((key for key in ("period", "num_per_channel") if key in self.model_fields_set), None)
            if unused:
                raise _radio(unused, f"sniffer has no {unused}", "Remove it; it is for rssi")
        elif self.period is None:
            raise _radio("period", "rssi needs a period", "Add period: 10")
        elif several and not self.num_per_channel:
            raise _radio("num_per_channel", "several channels need num_per_channel", "Add num_per_channel: 1")
        return self


def _radio(key: str, message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("radio", "{why}", {"why": message, "key": key, "hint": hint})


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
    radio: IotRadio | None = Field(None, description="What to hear of the radio.")


class MonitoringIotLab(Closed):
    """Consumption and radio measured by IoT-LAB."""

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
