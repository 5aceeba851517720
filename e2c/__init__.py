"""e2c: edge-to-cloud experiments, rehearsed locally, run on testbeds, with provenance that answers SQL."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``e2c.Optimizer``, loaded when it is asked for: the service on a host has this package without the lab."""
    if name == "Optimizer":
        return import_module("e2c.optimizer").Optimizer
    raise AttributeError(f"module 'e2c' has no attribute {name!r}")
