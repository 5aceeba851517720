"""Keys of each testbed under ``environment:``."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    ConfigDict,
    Field,
    Strict,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from e2c.config.names import Flag, JobType, LocalFile, Metrics, Reservation, Resource, Role, Text, Word
from e2c.config.reach import Address, JumpHost
from e2c.config.shape import Closed
from e2c.config.units import Walltime

Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
Protocol = Literal["tcp+udp", "all", "tcp", "udp"]


class Testbed(Closed):
    """What every testbed has.

    ``HOST_KEYS`` are the keys that say which machine to take; a service may overrule them.
    """

    __test__: ClassVar[bool] = False
    HOST_KEYS: ClassVar[tuple[str, ...]] = ("cluster",)

    job_name: Text | None = Field(
        None, description="Name of the reservation there; the common one unless given.", examples=["my-experiment"]
    )
    walltime: Walltime | None = Field(None, description="Length of the reservation there; the common one unless given.")


class FirewallRule(Closed):
    """Ports of Grid'5000 hosts that other testbeds may reach (over IPv6)."""

    services: tuple[Role, ...] = Field(
        min_length=1,
        description="Roles or services whose hosts are opened, `provenance_service` too.",
        examples=[["provenance_service"]],
    )
    ports: tuple[Port, ...] | None = Field(
        None, min_length=1, description="Ports to open; every port unless given.", examples=[[1883]]
    )
    proto: Protocol = Field("tcp+udp", description="Protocols to open.")


class Grid5000(Testbed):
    """Grid'5000."""

    HOST_KEYS = ("cluster", "env_name")

    cluster: Resource | None = Field(None, description="Cluster of the hosts.", examples=["gros"])
    queue: Literal["default", "production", "besteffort", "testing"] = Field("default", description="OAR queue.")
    reservation: Reservation | None = Field(
        None, description="Start of an advance reservation, `YYYY-mm-dd HH:MM:SS`.", examples=["2027-01-30 19:00:00"]
    )
    job_type: tuple[JobType, ...] = Field((), description="OAR job types.", examples=[["deploy"]])
    env_name: Word | None = Field(
        None, description="System image to deploy; needs the job type `deploy`.", examples=["debian11-big"]
    )
    key_name: LocalFile | None = Field(
        None,
        description="Public ssh key file; unless given, ssh chooses, and all of `~/.ssh/*.pub` are deployed.",
        examples=["~/.ssh/id_ed25519.pub"],
    )
    ssh_key: LocalFile | None = Field(None, description="The same as `key_name`.")
    firewall_rules: tuple[FirewallRule, ...] = Field((), description="Ports opened to other testbeds.")
    monitor: Metrics | None = Field(None, description="Metrics that Kwollect keeps.", examples=["prom_.*"])
    ipv6: Flag = Field(False, description="Give the hosts global IPv6 addresses.")

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"required": ["env_name"]},
            "then": {"required": ["job_type"], "properties": {"job_type": {"contains": {"const": "deploy"}}}},
        }
    )

    @model_validator(mode="after")
    def _check(self) -> Grid5000:
        if self.env_name is not None and "deploy" not in self.job_type:
            raise PydanticCustomError(
                "env-name-without-deploy",
                "env_name needs the job type deploy",
                {"key": "env_name", "hint": 'Write job_type: ["deploy"]'},
            )
        if self.key_name and self.ssh_key and self.key_name != self.ssh_key:
            raise PydanticCustomError(
                "two-keys", "key_name and ssh_key name different files", {"key": "ssh_key", "hint": "Keep one"}
            )
        return self


class IotLab(Testbed):
    """FIT IoT-LAB."""

    cluster: Resource = Field("saclay", description="Site of the nodes.", examples=["grenoble"])
    ssh_key: LocalFile | None = Field(
        None,
        description="Key file, private or public, that the account knows; those of ssh itself unless given.",
        examples=["~/.ssh/id_ed25519"],
    )


class ChameleonCloud(Testbed):
    """Chameleon, bare-metal hosts."""

    HOST_KEYS = ("cluster", "image")

    rc_file: LocalFile | None = Field(None, description="OpenStack RC file.", examples=["~/CHI-openrc.sh"])
    key_name: Word | None = Field(None, description="Name of the key pair.", examples=["laptop"])
    image: Word = Field("CC-Ubuntu20.04", description="System image.")
    cluster: Resource = Field("gpu_rtx_6000", description="Flavour of the hosts.")


class ChameleonEdge(Testbed):
    """Chameleon, CHI@Edge devices."""

    HOST_KEYS = ("cluster", "image")

    rc_file: LocalFile | None = Field(None, description="OpenStack RC file.", examples=["~/CHI-openrc.sh"])
    key_name: Word | None = Field(None, description="Name of the key pair.", examples=["laptop"])
    image: Word = Field("ubuntu", description="Container image.")
    cluster: Resource = Field("jetson-nano", description="Kind of device.")


class Scaleway(Testbed):
    """Scaleway instances."""

    HOST_KEYS = ("image", "commercial_type", "zone")

    profile: Resource | None = Field(None, description="Profile of the configuration file.", examples=["default"])
    config_file: LocalFile | None = Field(
        None, description="Configuration file of Scaleway's own tools.", examples=["~/.config/scw/config.yaml"]
    )
    region: Resource | None = Field(None, description="Region of the instances.", examples=["fr-par"])
    zone: Resource | None = Field(None, description="Zone of the instances.", examples=["fr-par-1"])
    ipv6: Flag = Field(False, description="Give the instances IPv6 addresses.")
    architecture: Literal["standalone", "private_network"] = Field(
        "standalone", description="How the instances are connected."
    )
    gateway_type: Resource | None = Field(None, description="Type of the gateway of a private network.")
    image: Word | None = Field(None, description="System image.")
    commercial_type: Resource | None = Field(None, description="Type of the instances.", examples=["DEV1-M"])
    ports_to_open: tuple[tuple[Port, Port, Text, Literal["tcp", "udp", "both"]], ...] = Field(
        (), description="Ports opened by the gateway: public, private, role, protocol."
    )


class StaticHost(Closed):
    """A machine that exists already and answers to ssh."""

    address: Address = Field(description="Name or address for ssh.", examples=["192.0.2.10"])
    user: Role | None = Field(None, description="User to log in as; the common one unless given.", examples=["root"])
    port: Port | None = Field(None, description="Port of its ssh server; the common one unless given.", examples=[2222])
    keyfile: LocalFile | None = Field(
        None, description="Private key file; the common one unless given.", examples=["~/.ssh/id_ed25519"]
    )
    jump: JumpHost | None = Field(
        None,
        description="Machine to go through, with the same key, or `none`; the common one unless given.",
        examples=["me@gateway.example.org"],
    )


class Static(Testbed):
    """Any machines that answer to ssh. Users other than `root` need `sudo` without a password."""

    HOST_KEYS = ()

    hosts: tuple[StaticHost, ...] = Field((), description="Machines that services may take, in this order.")
    user: Role = Field("root", description="User to log in as, unless a host has its own.")
    port: Port = Field(22, description="Port of the ssh servers, unless a host has its own.")
    keyfile: LocalFile | None = Field(
        None,
        description="Private key file, unless a host has its own; what ssh itself would take where none is given.",
        examples=["~/.ssh/id_ed25519"],
    )
    jump: JumpHost | None = Field(
        None,
        description="Machine to go through, unless a host has its own.",
        examples=["me@gateway.example.org:2222"],
    )


class Local(Testbed):
    """This machine: hosts in network namespaces."""

    HOST_KEYS = ()

    netem: Literal["auto", "kernel", "switch"] = Field(
        "auto",
        description="Who shapes links: the kernel, a User-Mode Linux switch, or the first of them that works.",
    )


class Own(Testbed):
    """A testbed that others wrote; its keys are for its own code to judge."""

    HOST_KEYS = ()

    model_config = ConfigDict(extra="allow")


TESTBEDS: dict[str, type[Testbed]] = {
    "g5k": Grid5000,
    "iotlab": IotLab,
    "chameleoncloud": ChameleonCloud,
    "chameleonedge": ChameleonEdge,
    "scalewayinstances": Scaleway,
    "static": Static,
    "local": Local,
}
"""Model per key of ``environment:``."""
OWN = "own_testbeds"
"""Key of the validation context: names of testbeds that others wrote and that the scenario may use."""


def _name(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    return value if isinstance(value, str) and value in (info.context or {}).get(OWN, ()) else handler(value)


OrOwn = WrapValidator(_name)
"""Admits the names of testbeds that others wrote beside those of a closed choice."""


def model_of(name: str) -> type[Testbed]:
    """Model of a testbed's keys."""
    return TESTBEDS.get(name, Own)


TestbedName = Literal["g5k", "iotlab", "chameleoncloud", "chameleonedge", "scalewayinstances", "static", "local"]
