"""The local testbed as an EnOSlib provider, so that whatever works on EnOSlib's hosts works on these.

Import it inside functions: it imports EnOSlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import enoslib
from enoslib.infra.provider import Provider
from enoslib.objects import DefaultNetwork, Host, IPAddress, NetDevice, Networks, Roles

from e2c.environments.local import registry, requirements, teardown
from e2c.environments.local.construction import Construction
from e2c.environments.local.layout import DEVICE, HostLayout, short_id
from e2c.environments.local.registry import Record
from e2c.model.plan import PlannedHost

__all__ = ["Configuration", "Local"]


@dataclass
class Configuration:
    """What EnOSlib's provider is made from.

    Attributes:
        construction: the testbed, which may be under way already.
        hosts: the planned hosts, whose roles become EnOSlib's.
    """

    construction: Construction
    hosts: tuple[PlannedHost, ...]

    def finalize(self) -> Configuration:
        """EnOSlib asks for it; there is nothing to complete."""
        return self


class Local(Provider):  # type: ignore[misc]  # EnOSlib publishes no types
    """Hosts in namespaces of this machine; needs no reservation, so any slot is free."""

    provider_conf: Configuration

    def init(
        self,
        force_deploy: bool = False,  # noqa: ARG002 - EnOSlib's signature, here and below
        start_time: int | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> tuple[Roles, Networks]:
        """Finish the construction; one EnOSlib host per node, shared by all its roles, with its devices filled in."""
        construction = self.provider_conf.construction
        if construction.record is None:
            construction.start()
        record = construction.finish()
        networks = _networks(record)
        roles = Roles()
        for planned, layout in zip(self.provider_conf.hosts, record.layout.hosts, strict=True):
            host = _host(record, layout, networks)
            for role in _roles(planned):
                roles[role] += [host]
        return roles, networks

    def is_created(self) -> bool:
        """Whether this testbed stands, with all hosts."""
        record = registry.read(short_id(self.provider_conf.construction.claim.experiment))
        return record is not None and record.phase == "ready"

    def destroy(self, wait: bool = False, **kwargs: Any) -> None:  # noqa: ARG002
        """Release everything."""
        teardown.release(short_id(self.provider_conf.construction.claim.experiment))

    def test_slot(self, start_time: int, end_time: int) -> bool:  # noqa: ARG002
        """Always free."""
        return True

    def offset_walltime(self, offset: int) -> None:
        """A local testbed lasts until it is destroyed."""


def _roles(planned: PlannedHost) -> list[str]:
    return list(
        dict.fromkeys([planned.key, *([planned.layer] if planned.layer else []), planned.service, *planned.roles])
    )


def _networks(record: Record) -> Networks:
    layout = record.layout
    networks = Networks()
    networks["local"] += [DefaultNetwork(address=net) for net in (layout.net4, layout.net6) if net]
    return networks


def _host(record: Record, layout: HostLayout, networks: Networks) -> Host:
    addresses = set()
    for network in networks["local"]:
        own = layout.v4 if network.network.version == 4 else layout.v6
        addresses.add(IPAddress(f"{own}/{network.network.prefixlen}", network))
    return enoslib.Host(
        layout.v4,
        alias=layout.key,
        user="root",
        keyfile=str(registry.folder(record.layout.testbed) / "key"),
        port=22,
        extra={"ansible_python_interpreter": requirements.host_interpreter()},
        net_devices={NetDevice(DEVICE, addresses)},
    )
