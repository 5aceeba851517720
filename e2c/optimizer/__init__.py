"""The optimizer: one deployment, many runs of its workflow, each with what a search library proposes."""

from e2c.optimizer.optimizer import Optimizer

__all__ = ["Optimizer"]
