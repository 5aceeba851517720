"""What runs now: the innermost open task of this thread, or of this asyncio task, and the workflow begun last."""

from __future__ import annotations

from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from typing import Optional

    from .task import Task
    from .workflow import Workflow

innermost: "ContextVar[Optional[Task]]" = ContextVar("provlight_task", default=None)
"""The task whose block, or whose captured function, is being executed."""

latest_workflow: "Optional[Workflow]" = None
"""The workflow that this process began last."""


def leave(outer: "Token[Optional[Task]]") -> None:
    """Undo ``innermost.set``, as far as this thread or asyncio task is the one that called it."""
    try:
        innermost.reset(outer)
    except (ValueError, RuntimeError):  # left elsewhere than entered, as a coroutine that is closed; or entered twice
        innermost.set(None)


def current_task() -> "Optional[Task]":
    """The task whose ``with`` block or captured function is being executed, None outside of all.

    Each thread and each asyncio task has its own.
    """
    return innermost.get()
