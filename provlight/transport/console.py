"""Records as lines of JSON on the standard error, to see what an application captures."""

from __future__ import annotations

import json
import sys
from typing import Any

from provlight.wire import (
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    TASK_USED,
    WORKFLOW_BEGIN,
    WORKFLOW_END,
    WORKFLOW_FAILED,
    Batch,
    Record,
)

from . import Link, Transport
from .local import LocalLink

_KINDS = {
    WORKFLOW_BEGIN: "workflow begin",
    WORKFLOW_END: "workflow end",
    WORKFLOW_FAILED: "workflow failed",
    TASK_BEGIN: "task begin",
    TASK_END: "task end",
    TASK_FAILED: "task failed",
    TASK_USED: "task used",
}


class ConsoleTransport(Transport):
    """Links to the standard error."""

    def connect(self, client: str) -> Link:  # noqa: ARG002 there is one process
        """Open a link. Never fails."""
        return _ConsoleLink()


class _ConsoleLink(LocalLink):
    def take(self, batch: Batch) -> None:
        if batch.lost:
            sys.stderr.write(json.dumps({"lost": batch.lost, "reason": batch.reason}) + "\n")
        for record in batch.in_order():
            sys.stderr.write(json.dumps(_described(record), default=str) + "\n")
        sys.stderr.flush()


def _described(record: Record) -> Any:
    described = {
        "kind": _KINDS[record.kind],
        "workflow": record.workflow,
        "transformation": record.transformation,
        "task": record.task,
        "time_us": record.time_us,
        "dependencies": list(record.dependencies),
        "error": record.error,
        "sets": [
            {"set": shape.tag, "names": shape.names, "rows": shape.rows, "values": list(values)}
            for shape, values in record.sets
        ],
        **(record.extras or {}),
    }
    return {key: value for key, value in described.items() if value not in ("", None, [])}
