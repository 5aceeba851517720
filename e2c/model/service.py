"""Services that were deployed on hosts."""

from __future__ import annotations

from e2c.model.frozen import Frozen


class ServiceRecord(Frozen):
    """A service that runs on a host.

    Attributes:
        name: ``provenance`` ...
        host: service key of its host.
        endpoints: what clients connect to, by name.
        paths: where it lives on the host, by name.
    """

    name: str
    host: str
    endpoints: dict[str, str] = {}
    paths: dict[str, str] = {}
