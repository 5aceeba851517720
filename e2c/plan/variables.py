"""``_self``: what a play knows of the host it runs on. Pure: from acquired hosts to plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from e2c.model.host import Host

Extras = Mapping[str, Mapping[str, Any]]
"""What service plugins registered, per service key: more entries of ``_self``; ``service_port`` among them."""

_IDENTITY = re.compile(r"([0-9]+)_([0-9]+)")
_G5K = re.compile(r"([a-z]+-[0-9]+)((?:-kavlan-[0-9]+)?\.[a-z]+\.grid5000\.fr)")


def self_variables(host: Host, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The entries of ``_self`` of one host; a new dictionary, which shares nothing with ``extra``.

    ``_id``, ``layer_id``, ``service_id`` and ``machine_id`` are text, as in E2Clab. ``__address__`` is the address that
    other hosts use; ``url`` adds the service's port where its plugin registered one. Entries of an address
    family or of a monitoring network that the host lacks are empty text.
    """
    own = dict(deepcopy(dict(extra or {})))
    port = own.pop("service_port", None)
    v4, v6 = host.addresses.v4 or "", host.addresses.v6 or ""
    address = v4 or v6 or host.address
    layer, service, machine = numbers(host)
    return {
        "_id": "_".join(part for part in (layer, service, machine) if part),
        "layer_id": layer,
        "service_id": service,
        "machine_id": machine,
        "__address__": address,
        "url": _url(address, port),
        "__address4__": v4,
        "url4": _url(v4, port),
        "__address6__": v6,
        "url6": _url(v6, port),
        "__g5k_ipv6_address__": g5k_ipv6_name(host),
        "__monitoring_address__": monitoring_address(host),
        "__monitoring_device__": host.monitoring.device if host.monitoring else "",
        "gateway": host.jump or "",
        **own,
    }


def numbers(host: Host) -> tuple[str, str, str]:
    """Numbers of layer, service and machine as text; empty where the host has none."""
    parts = host.key.split(".")
    if host.layer is None or len(parts) < 4:
        return "", "", parts[-1]
    service, machine = parts[-2:]
    pairs = (match.groups() for match in map(_IDENTITY.fullmatch, host.roles) if match)
    layer = next((first for first, second in pairs if second == service), "")
    return layer, service, machine


def g5k_ipv6_name(host: Host) -> str:
    """Name that resolves to a Grid'5000 host's IPv6 address; elsewhere, a rehearsal included, its IPv6 address."""
    for name in (host.hostname, host.address):
        match = _G5K.fullmatch(name)
        if match:
            return f"{match[1]}-ipv6{match[2]}"
    return host.addresses.v6 or ""


def monitoring_address(host: Host) -> str:
    """Address in the monitoring network, without prefix length; empty where the host is not in one."""
    addresses = host.monitoring.addresses if host.monitoring else ()
    return addresses[0].partition("/")[0] if addresses else ""


def _url(address: str, port: Any) -> str:
    if not address:
        return ""
    shown = f"[{address}]" if ":" in address else address
    return f"{shown}:{port}" if port else shown
