"""Duplicates of packets: an interface of its own, beside the one that a host sends by, lets copies through or not.

Pure. The interface is one end of a veth pair, and shaped as any other: per destination a netem that loses what is not
to be duplicated. What it lets through arrives at the other end, is marked there, and is put before the first interface
again, so that copies are delayed, lost and limited as all other packets are::

    eth0 htb ── filter: mirror ──> dup-eth0 htb ── netem: loss 95% ──> dup-eth0r: mark, redirect ──> eth0 htb
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from e2c.emulation.commands import COPIER, MARK, copier
from e2c.emulation.constraint import Constraint
from e2c.emulation.readback import Layout, Shape
from e2c.model.link import LinkValues


def copies(asked: Iterable[Constraint]) -> list[Constraint]:
    """What the interfaces for copies must do so that constraints which duplicate packets hold."""
    return [
        one.model_copy(
            update={
                **LinkValues(loss_percent=round(100 - share, 6)).named,
                "device": copier(one.device),
                "exempt": (),
            }
        )
        for one in asked
        if (share := one.duplicate_percent)
    ]


def making(device: str) -> str:
    """Shell command after which the interface for the copies of another is there, and leads back to it."""
    name = copier(device)
    end = f"{name}r"
    wire = (
        f"qdisc add dev {end} ingress\\nfilter add dev {end} parent ffff: protocol all pref 1 matchall"
        f" action skbedit mark {MARK:#x}/{MARK:#x} pipe action mirred egress redirect dev {device}\\n"
    )
    silent = "; ".join(
        f"echo 1 >/proc/sys/net/ipv6/conf/{one}/disable_ipv6; ip link set {one} up" for one in (name, end)
    )
    return (
        f"wire() {{ printf '{wire}' | tc -batch -; }}; "
        f"tc filter show dev {end} parent ffff: 2>/dev/null | grep -q mirred || wire 2>/dev/null || "
        f"{{ ip link add {name} type veth peer name {end} && {{ {silent}; }} 2>/dev/null; wire; }}"
    )


def removing(device: str) -> str:
    """Shell command that removes the interface for the copies of another; does nothing where there is none."""
    return f"ip link del {copier(device)} 2>/dev/null"


def with_copies(layouts: Mapping[tuple[str, str], Layout]) -> dict[tuple[str, str, str], Shape]:
    """What happens to packets by host, interface that sends and destination, duplicates among it.

    Args:
        layouts: by host and interface, those for copies too.
    """
    found = {}
    for (key, device), there in layouts.items():
        if device.startswith(COPIER):
            continue
        copier_there = layouts.get((key, copier(device)))
        copies_of = copier_there.by_address if copier_there else {}
        for address, shape in there.by_address.items():
            copied = there.copied.get(address) == copier(device) and address in copies_of
            share = 100 - copies_of[address].loss_percent if copied else 0.0
            found[key, device, address] = shape.duplicating(share) if share else shape
    return found
