"""Hosts and boards: machines, after acquisition."""

from __future__ import annotations

from e2c.model.frozen import Frozen


class Addresses(Frozen):
    """Addresses of a host in the experiment's network, without prefix length; ``None`` where it has none."""

    v4: str | None = None
    v6: str | None = None


class Interface(Frozen):
    """One network interface of a host: its name there and its addresses with prefix length (``10.1.0.2/24``)."""

    device: str
    addresses: tuple[str, ...] = ()


class Host(Frozen):
    """A machine that was acquired and answers to ssh.

    Attributes:
        key: service key ``layer.service.id.machine``, lower case, unique in the experiment.
        layer: name of its layer, or ``None`` for hosts that carry the experiment's own services.
        service: name of the service it was acquired for.
        roles: labels that selectors may name, without the key, in a stable order.
        testbed: the testbed the scenario declares for it (``g5k``, ``local`` ...).
        provider: the provider that acquired it (``local`` in a rehearsal).
        hostname: what ``hostname`` answers there.
        address: the address that the controller uses for ssh.
        addresses: addresses in the experiment's network, which other hosts use.
        interfaces: interfaces that carry the experiment's network; what emulation shapes.
        monitoring: interface in the monitoring network, apart from the experiment's and never shaped, with the address
            of the family that the scenario asks for first; ``None``: there is none.
        user, port, keyfile: how to log in.
        sudo: the user is not root but may become it without a password: commands and plays run as root all the same.
        jump: ``user@host[:port]`` of a machine to go through, if any.
        control_dir: folder on the controller for ssh control sockets (a short path: sockets allow
            108 bytes); ``None``: each ssh connects anew.
        interpreter: path of Python on the host.
    """

    key: str
    layer: str | None
    service: str
    roles: tuple[str, ...] = ()
    testbed: str
    provider: str
    hostname: str
    address: str
    addresses: Addresses = Addresses()
    interfaces: tuple[Interface, ...] = ()
    monitoring: Interface | None = None
    user: str = "root"
    port: int = 22
    keyfile: str | None = None
    sudo: bool = False
    jump: str | None = None
    control_dir: str | None = None
    interpreter: str = "/usr/bin/python3"


class Board(Frozen):
    """A node that was acquired and runs a firmware instead of a system: no ssh, no plays, no shaped links.

    Attributes:
        key, layer, service, roles, testbed, provider: as for a :class:`Host`.
        address: its name in the testbed (``m3-1.grenoble.iot-lab.info``).
        site: where it is.
        archi: its architecture (``m3:at86rf231``).
        image: the firmware that was flashed, if any.
    """

    key: str
    layer: str | None
    service: str
    roles: tuple[str, ...] = ()
    testbed: str
    provider: str
    address: str
    site: str
    archi: str
    image: str | None = None
