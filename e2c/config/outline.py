"""What selectors are compared with when layers_services.yaml is wrong elsewhere, so that all problems come at once."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from e2c.config.layers import LayersServices

PLENTY = 1000
"""Machines of a service whose number is wrong: as many as a selector may ask for."""


def outline(data: Any) -> LayersServices | None:
    """Layers and services alone, from the content of the file; ``None`` when their names or roles are in doubt."""
    layers = data.get("layers") if isinstance(data, dict) else None
    if not isinstance(layers, list):
        return None
    try:
        content = {"environment": {"local": {}}, "layers": [_layer(layer) for layer in layers]}
        if "provenance" in data:
            content["provenance"] = {"provider": "local", "dataflow_spec": "any.py"}
        return LayersServices.model_validate(content)
    except (ValidationError, TypeError, KeyError, AttributeError):
        return None


def _layer(layer: Any) -> dict[str, Any]:
    return {"name": layer["name"], "services": [_service(service) for service in layer["services"]]}


def _service(service: Any) -> dict[str, Any]:
    counts = {key: service.get(key, default) for key, default in (("quantity", 1), ("repeat", 0))}
    if any(type(count) is not int or not 0 <= count <= PLENTY for count in counts.values()) or not counts["quantity"]:
        counts = {"quantity": PLENTY, "repeat": 0}
    return {"name": service["name"], "roles": service.get("roles", []), **counts}
