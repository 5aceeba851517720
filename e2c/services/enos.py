"""Our hosts as EnOSlib's, so that whatever works on those works on ours.

Import it inside functions: it imports EnOSlib.
"""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

import enoslib
from enoslib.objects import DefaultNetwork, IPAddress, NetDevice

from e2c.model.host import Host
from e2c.remote import playbook


def made(host: Host) -> Any:
    """An EnOSlib host whose ``alias`` is the service key; it is reached as ours is, by jump hosts too."""
    connection = playbook.inventory([host], {})["all"]["hosts"][host.key]
    # EnOSlib itself says the first three; what it says of the key and of jump hosts, these replace
    own = ("ansible_host", "ansible_port", "ansible_user")
    extra = {name: value for name, value in connection.items() if name not in own}
    if host.jump:
        extra["gateway"] = host.jump
    return enoslib.Host(
        host.address,
        alias=host.key,
        user=host.user,
        keyfile=host.keyfile,
        port=host.port,
        extra=extra,
        net_devices={_device(interface.device, interface.addresses) for interface in host.interfaces},
    )


def _device(name: str, addresses: tuple[str, ...]) -> Any:
    known = {IPAddress(address, DefaultNetwork(address=str(ip_interface(address).network))) for address in addresses}
    return NetDevice(name, known)
