"""From layers and services to the hosts that a deployment takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from e2c.config.layers import Layer, LayersServices, Service
from e2c.config.monitoring import AGENT_ROLE
from e2c.config.monitoring_checks import WITH_NETWORK
from e2c.config.names import key_part
from e2c.config.provenance import Provenance
from e2c.config.testbeds import Testbed, model_of
from e2c.config.units import parse_walltime
from e2c.model.plan import PlannedHost

PROVENANCE_SERVICE = "provenance_service"
PROVENANCE_KEY = f"{PROVENANCE_SERVICE}.1"
PLACING = {"cluster", "servers", "archi", "image", "profile", "containers", "commercial_type"}
"""Keys of a service that say which machine to take."""
Keys = dict[str, dict[str, Any]]
"""Validated keys per testbed."""


def allocate(layers: LayersServices, *, rehearse: bool) -> tuple[PlannedHost, ...]:
    """The hosts of a scenario: layer after layer, service after service, machine after machine; provenance last.

    Args:
        layers: layers_services.yaml.
        rehearse: local hosts play every testbed.
    """
    known = testbeds(layers)
    found: list[PlannedHost] = []
    for number, layer in enumerate(layers.layers, 1):
        found += _hosts(layers, layer, number, known, rehearse=rehearse)
    if layers.provenance:
        found.append(_provenance_host(layers.provenance, known, rehearse=rehearse))
    return tuple(found)


def count(layers: LayersServices) -> int:
    """Number of hosts that :func:`allocate` gives, without making them."""
    machines = sum(service.quantity * (service.repeat + 1) for layer in layers.layers for service in layer.services)
    return machines + (layers.provenance is not None)


def testbeds(layers: LayersServices) -> Keys:
    """Validated keys of every testbed that is declared or used, in that order, with the common keys filled in."""
    used = [host_testbed(layers, service) for layer in layers.layers for service in layer.services]
    used += [layers.provenance.provider] if layers.provenance else []
    names = dict.fromkeys([*layers.environment.testbeds, *used])
    known = {name: _testbed_keys(layers, name) for name in names}
    if "iotlab" in known and layers.monitoring_iotlab:
        known["iotlab"] |= layers.monitoring_iotlab.model_dump(exclude_none=True, mode="json")
    if "g5k" in known and layers.provenance and layers.provenance.ipv == 6:
        known["g5k"]["ipv6"] = True  # its nodes have no IPv6 address unless that is asked for
    return known


def walltime_s(layers: LayersServices) -> int:
    """Length of the reservations in seconds."""
    return parse_walltime(layers.environment.walltime)


def host_testbed(layers: LayersServices, service: Service) -> str:
    """The testbed that a service's machines come from."""
    return service.environment or layers.environment.default


def services(layer: Layer) -> Iterator[tuple[int, Service]]:
    """Services of a layer with their position in the file, copies by ``repeat`` at the end."""
    yield from enumerate(layer.services)
    for place, service in enumerate(layer.services):
        for _ in range(service.repeat):
            yield place, service


def monitoring_network(layers: LayersServices, service: Service) -> int | None:
    """Address family of the monitoring network that a service's hosts are put into; ``None``: into none."""
    monitoring = layers.monitoring
    if monitoring is None or monitoring.network != "private" or host_testbed(layers, service) != WITH_NETWORK:
        return None
    return monitoring.ipv if AGENT_ROLE in (role.lower() for role in service.roles) else None


def _hosts(
    layers: LayersServices, layer: Layer, layer_number: int, known: Keys, *, rehearse: bool
) -> Iterator[PlannedHost]:
    for number, (place, service) in enumerate(services(layer), 1):
        testbed = host_testbed(layers, service)
        placing = service.model_dump(include=PLACING, exclude_unset=True, exclude_none=True, mode="json")
        request = _request(known, testbed, placing)
        family = monitoring_network(layers, service)
        request |= {"monitoring_network": family} if family else {}
        metadata = {**service.metadata(), **({"env": service.env} if service.env else {})}
        roles = tuple(dict.fromkeys((layer.name, service.name, f"{layer_number}_{number}", testbed, *service.roles)))
        copy = "" if number <= len(layer.services) else f", a copy of service {place + 1}"
        for machine in range(1, service.quantity + 1):
            yield PlannedHost(
                key=f"{key_part(layer.name)}.{key_part(service.name)}.{number}.{machine}",
                layer=layer.name,
                service=service.name,
                roles=roles,
                testbed=testbed,
                provider="local" if rehearse else testbed,
                request=request,
                numbers=(layer_number, number, machine),
                metadata=metadata,
                reason=f"machine {machine} of {service.quantity} of service {service.name} in layer {layer.name}{copy}",
            )


def _provenance_host(provenance: Provenance, known: Keys, *, rehearse: bool) -> PlannedHost:
    placing = provenance.model_dump(include={"cluster", "servers"}, exclude_none=True, mode="json")
    return PlannedHost(
        key=PROVENANCE_KEY,
        layer=None,
        service=PROVENANCE_SERVICE,
        roles=(PROVENANCE_SERVICE,),
        testbed=provenance.provider,
        provider="local" if rehearse else provenance.provider,
        request=_request(known, provenance.provider, placing),
        reason="carries the provenance service",
    )


def _settings(layers: LayersServices, name: str) -> Testbed:
    return layers.environment.testbeds.get(name) or model_of(name)()


def _testbed_keys(layers: LayersServices, name: str) -> dict[str, Any]:
    common = {"job_name": layers.environment.job_name, "walltime": layers.environment.walltime}
    if layers.environment.cluster and "cluster" in model_of(name).model_fields:
        common["cluster"] = layers.environment.cluster
    model = _settings(layers, name)
    own = model.model_dump(exclude_none=True, mode="json")
    given = model.model_fields_set
    keys = {**own, **common, **{key: value for key, value in own.items() if key in given}}
    if "ssh_key" in keys:
        keys["key_name"] = keys.pop("ssh_key")
    return keys


def _request(known: Keys, testbed: str, placing: dict[str, Any]) -> dict[str, Any]:
    keys = known[testbed]
    base = {key: keys[key] for key in model_of(testbed).HOST_KEYS if key in keys}
    request = {**base, **placing}
    if "servers" in placing:
        request.pop("cluster", None)
        request["servers"] = list(placing["servers"])
    return request
