"""Services that were deployed on hosts."""

from __future__ import annotations

from typing import Any

from e2c.model.frozen import Frozen


class ServiceRecord(Frozen):
    """A service of the experiment itself that runs on a host.

    Attributes:
        name: ``provenance`` ...
        host: service key of its host; of its first one where it runs on several.
        hosts: service keys of all its hosts, where it runs on several.
        endpoints: what clients connect to, by name.
        paths: where it lives on the host, by name.
    """

    name: str
    host: str
    hosts: tuple[str, ...] = ()
    endpoints: dict[str, str] = {}
    paths: dict[str, str] = {}


class Registration(Frozen):
    """What a service plugin says of one of its hosts.

    Attributes:
        key: name that selectors may use for the host: ``layer.service.id.machine``, the host's own service key, or
            ``layer.service.id.sub-service.number``.
        host: service key of the host.
        sub_service: part of the service that runs there (``master`` ...), if it has parts.
        port: what ``url`` of the host ends in.
        extra: more entries of ``_self``; JSON values.
    """

    key: str
    host: str
    sub_service: str | None = None
    port: int | str | None = None
    extra: dict[str, Any] = {}


class Served(Frozen):
    """A service of the scenario that a plugin deployed.

    Attributes:
        key: ``layer.service.id``.
        layer, name: as the scenario spells them.
        numbers: of its layer, and of the service within the layer, each from 1.
        hosts: service keys of its hosts.
        plugin: name of the plugin.
        source: the plugin's file, or the module and class of an installed one.
        registered: what the plugin said of the hosts, in that order.
        kept: what the plugin wants to know again when it saves or ends the service; JSON values.
        complete: it was deployed to its end.
    """

    key: str
    layer: str
    name: str
    numbers: tuple[int, int]
    hosts: tuple[str, ...]
    plugin: str
    source: str
    registered: tuple[Registration, ...] = ()
    kept: dict[str, Any] = {}
    complete: bool = False
