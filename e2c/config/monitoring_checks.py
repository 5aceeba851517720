"""Checks of ``monitoring:``: keys without effect, and the private network."""

from __future__ import annotations

from collections.abc import Iterator

from e2c.config.document import Document
from e2c.config.layers import LayersServices
from e2c.config.monitoring import AGENT_ROLE, Monitoring
from e2c.config.problems import Problem, shown

HEEDED_BY = {
    **dict.fromkeys(("options", "period"), ("dstat",)),
    **dict.fromkeys(("provider", "cluster", "servers"), ("tig", "tpg")),
    **dict.fromkeys(("network", "ipv"), ("dstat", "tig", "tpg")),
    "agent_conf": ("tig",),
}
"""Types of monitoring that heed a key."""
WITH_NETWORK = "g5k"
"""The testbed that has networks for monitoring."""


def check_monitoring(layers: LayersServices, monitoring: Monitoring, document: Document) -> Iterator[Problem]:
    """All problems that the mapping alone does not show."""
    for key, kinds in HEEDED_BY.items():
        if key in monitoring.model_fields_set and monitoring.type not in kinds:
            hint = (
                "samples stay on each host until they are fetched" if monitoring.type == "dstat" else "it is for dstat"
            )
            yield _unused(document, key, f"{key} has no effect on {monitoring.type}", f"Remove it; {hint}")
    if monitoring.network == "private":
        yield from _private(layers, document)
    elif "ipv" in monitoring.model_fields_set and monitoring.type == "dstat":
        message = "ipv has no effect without a private network"
        yield _unused(document, "ipv", message, "Remove it, or write network: private")


def _private(layers: LayersServices, document: Document) -> Iterator[Problem]:
    """What a private network takes, and who gets none."""
    monitored = [
        service.environment or layers.environment.default
        for layer in layers.layers
        for service in layer.services
        if AGENT_ROLE in (role.lower() for role in service.roles)
    ]
    others = sorted({name for name in monitored if name != WITH_NETWORK})
    if WITH_NETWORK in monitored:
        g5k = layers.environment.g5k
        if g5k is None or g5k.env_name is None:
            message = "a private network makes Grid'5000 deploy an image on its hosts, and no env_name says which"
            hint = 'Write env_name: debian12-big and job_type: ["deploy"] under environment.g5k, or network: shared'
            yield document.problem(("monitoring", "network"), "monitoring-network", message, hint)
    if others:
        message = f"monitored hosts of {', '.join(map(shown, others))} get no private network"
        hint = "Only Grid'5000 has them" + ("" if WITH_NETWORK in monitored else "; write network: shared")
        yield _unused(document, "network", message, hint)


def _unused(document: Document, key: str, message: str, hint: str) -> Problem:
    return document.problem(("monitoring", key), "key-unused", message, hint, severity="warning", key=True)
