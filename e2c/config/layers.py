"""Models of layers_services.yaml: testbeds, layers and their services."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    Strict,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from e2c.config.monitoring import Kwollect, Monitoring, MonitoringIotLab
from e2c.config.names import Flag, HostName, Metadata, Name, Resource, Role, Text, Word
from e2c.config.provenance import Provenance
from e2c.config.shape import Closed, Open
from e2c.config.testbeds import (
    OWN,
    TESTBEDS,
    ChameleonCloud,
    ChameleonEdge,
    Grid5000,
    IotLab,
    Local,
    OrOwn,
    Own,
    Scaleway,
    Static,
    Testbed,
    TestbedName,
)
from e2c.config.units import Walltime

MAX_REPEAT = 1000
MAX_ROLES = 100

Count = Annotated[int, Strict()]


class Environment(Closed):
    """Testbeds. The first one in the file is the environment of services that name none."""

    job_name: Text = Field("E2Clab", description="Name of the reservations.")
    walltime: Walltime = Field("01:00:00", description="Length of the reservations, `HH:MM:SS`, any number of hours.")
    cluster: Resource | None = Field(
        None, description="Cluster or site, where neither the testbed nor the service names one.", examples=["gros"]
    )
    g5k: Grid5000 | None = Field(None, description="Grid'5000.")
    iotlab: IotLab | None = Field(None, description="FIT IoT-LAB.")
    chameleoncloud: ChameleonCloud | None = Field(None, description="Chameleon, bare-metal hosts.")
    chameleonedge: ChameleonEdge | None = Field(None, description="Chameleon, CHI@Edge devices.")
    scalewayinstances: Scaleway | None = Field(None, description="Scaleway instances.")
    static: Static | None = Field(None, description="Any hosts that answer to ssh.")
    local: Local | None = Field(None, description="This machine: hosts in network namespaces.")

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [name]} for name in TESTBEDS]})

    _order: tuple[str, ...] = PrivateAttr(())
    _own: dict[str, Own] = PrivateAttr({})

    @model_validator(mode="wrap")
    @classmethod
    def _remember_order(
        cls, data: Any, handler: ModelWrapValidatorHandler[Environment], info: ValidationInfo
    ) -> Environment:
        given = data if isinstance(data, dict) else {}
        own = [name for name in given if name in (info.context or {}).get(OWN, ())]
        made = handler({key: value for key, value in given.items() if key not in own} if own else data)
        made._own = {name: _own(name, given[name]) for name in own}
        made._order = tuple(name for name in given if name in TESTBEDS or name in own)
        if not made._order:
            raise PydanticCustomError(
                "environment-empty",
                "no testbed is declared",
                {"hint": f"Add one of {', '.join(TESTBEDS)}, as local: {{}}"},
            )
        return made

    @property
    def testbeds(self) -> dict[str, Testbed]:
        """The declared testbeds, in the order of the file."""
        return {name: self._own.get(name) or getattr(self, name) for name in self._order}

    @property
    def default(self) -> str:
        """The environment of services that name none."""
        return self._order[0]


def _own(name: str, keys: Any) -> Own:
    try:
        return Own.model_validate(keys)
    except ValidationError as error:
        lines = [
            InitErrorDetails(
                type=PydanticCustomError("own-testbed", "{why}", {"why": detail["msg"]}),
                loc=(name, *detail["loc"]),
                input=detail["input"],
            )
            for detail in error.errors(include_url=False)
        ]
        raise ValidationError.from_exception_data("Own", lines) from error


def _port(value: Any) -> Any:
    text = str(value) if not isinstance(value, bool) else ""
    match = _PORT.fullmatch(text)
    if not match or not 1 <= int(match[1]) <= 65535:
        raise PydanticCustomError("port", "must be a port 1 to 65535, or one with its protocol, as 80/tcp")
    return value


_PORT = re.compile(r"([0-9]{1,5})(/(tcp|udp))?", re.ASCII)
ExposedPort = Annotated[
    Any,
    AfterValidator(_port),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "pattern": "^[0-9]{1,5}(/(tcp|udp))?$"},
            ]
        }
    ),
]


class Container(Open):
    """A container of a CHI@Edge device. Keys that are not listed go to the testbed as they are."""

    name: Role = Field("mycontainer", description="Name of the container.")
    image: Word | None = Field(
        None, description="Container image; that of the service or testbed unless given.", examples=["ubuntu"]
    )
    exposed_ports: tuple[ExposedPort, ...] = Field((), description="Ports to open.", examples=[["80", "53/udp"]])
    start: Flag = Field(True, description="Start it at once.")
    start_timeout: Count | None = Field(None, ge=1, description="Seconds in which it must have started.", examples=[60])
    device_profiles: tuple[Word, ...] = Field((), description="Devices that it may use.")


class Service(Open):
    """A service and the machines it takes. Keys that are not listed are metadata for its plugin."""

    name: Name = Field(description="Name; a plugin of that name deploys it, if there is one.", examples=["Master"])
    environment: Annotated[TestbedName | None, OrOwn] = Field(
        None, description="Testbed of its machines; the first declared one unless given."
    )
    quantity: Count = Field(1, ge=1, description="Number of machines.")
    repeat: Count = Field(
        0, ge=0, le=MAX_REPEAT, description="Number of further copies of this service, put at the end of the layer."
    )
    roles: tuple[Role, ...] = Field(
        (),
        max_length=MAX_ROLES,
        description="More names for its hosts; `provenance` captures, `monitoring` is monitored.",
        examples=[["provenance"]],
    )
    cluster: Resource | None = Field(None, description="Cluster or site of its machines.", examples=["gros"])
    servers: tuple[HostName, ...] | None = Field(
        None,
        min_length=1,
        description="The very machines to take; overrules `cluster`.",
        examples=[["gros-1.nancy.grid5000.fr"]],
    )
    archi: Word | None = Field(None, description="Architecture of IoT-LAB nodes.", examples=["a8:at86rf231"])
    image: Word | None = Field(None, description="System image, container image or firmware.", examples=["ubuntu"])
    profile: Word | None = Field(None, description="Profile of `monitoring_iotlab`.", examples=["power"])
    containers: tuple[Container, ...] | None = Field(None, min_length=1, description="Containers of a CHI@Edge device.")
    commercial_type: Resource | None = Field(None, description="Type of Scaleway instance.", examples=["DEV1-M"])
    env: Metadata = Field({}, description="Values for the plugin of the service.", examples=[{"PORT": 8080}])


class Layer(Open):
    """A tier of the experiment."""

    name: Name = Field(description="Name; `hosts: NAME` chooses the whole layer.", examples=["cloud"])
    services: tuple[Service, ...] = Field(description="Services of the layer.")


class LayersServices(Closed):
    """layers_services.yaml: which machines the experiment takes, and what for."""

    environment: Environment = Field(description="Testbeds and reservations.")
    provenance: Provenance | None = Field(None, description="Provenance capture.")
    monitoring: Monitoring | None = Field(None, description="Resource monitoring.")
    monitoring_iotlab: MonitoringIotLab | None = Field(None, description="Consumption and radio measured by IoT-LAB.")
    kwollect: Kwollect | None = Field(None, description="Grid'5000's own measurements.")
    layers: tuple[Layer, ...] = Field(min_length=1, description="Tiers, in order.")
