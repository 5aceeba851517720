"""Workflow: one execution of an application."""

from __future__ import annotations

import time
from types import TracebackType

from . import capture, context
from .shapes import MAX_NAME, WORKFLOW_BEGIN, WORKFLOW_END, WORKFLOW_FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional, Type, Union

_WEIGHT = 160
_NEW, _BEGUN, _ENDED = range(3)
_MAX_ERROR = 4096


def error_text(error: Union[BaseException, str]) -> str:
    """One text of an error: ``Type: message``, at most 4096 characters."""
    if not isinstance(error, BaseException):
        return str(error)[:_MAX_ERROR]
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 an exception of the application that cannot even be shown
        message = ""
    return "{}{}{}".format(type(error).__name__, ": " if message else "", message)[:_MAX_ERROR]


def is_failure(error: BaseException) -> bool:
    """Whether an exception that leaves a block means failure.

    All do, but for ``sys.exit()`` without an error, and for a generator that its consumer closes.
    """
    return not (isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and error.code in (None, 0)))


class Workflow:
    """One execution of an application, to which tasks belong.

    Args:
        workflow_id: its identity, usually the tag of the dataflow.

    As a context manager it begins and ends itself; an exception that leaves the block marks it failed.
    """

    __slots__ = ("_began_ns", "_begun_at", "_state", "id")

    def __init__(self, workflow_id: Union[int, str]) -> None:
        self.id = str(workflow_id)
        if not 0 < len(self.id) <= MAX_NAME:
            raise ValueError("the identity of a workflow must have 1 to {} characters".format(MAX_NAME))
        self._state = _NEW
        self._begun_at = 0
        self._began_ns = 0

    def begin(self) -> "Workflow":
        """Record the beginning."""
        if self._state != _NEW:
            capture.current().report.misuse("begin", "workflow {} was begun twice".format(self.id))
            return self
        self._state = _BEGUN
        self._began_ns = time.monotonic_ns()
        self._begun_at = time.time_ns() // 1000
        context.latest_workflow = self
        self._record(WORKFLOW_BEGIN, self._begun_at, "")
        return self

    def end(self) -> None:
        """Record the end."""
        self._finish(WORKFLOW_END, "")

    def fail(self, error: Union[BaseException, str]) -> None:
        """Record the end, as failed."""
        self._finish(WORKFLOW_FAILED, error_text(error))

    def _finish(self, kind: int, error: str) -> None:
        if self._state == _ENDED:
            capture.current().report.misuse("end", "workflow {} was ended twice".format(self.id))
            return
        if self._state == _NEW:
            capture.current().report.misuse("end before begin", "workflow {} was ended, not begun".format(self.id))
            now = time.time_ns() // 1000
        else:
            now = self._begun_at + (time.monotonic_ns() - self._began_ns) // 1000
        self._state = _ENDED
        self._record(kind, now, error)

    def _record(self, kind: int, time_us: int, error: str) -> None:
        capture.record((kind, self.id, "", None, time_us, (), error, (), None), _WEIGHT)

    def __enter__(self) -> "Workflow":
        if self._state == _NEW:
            self.begin()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._state == _ENDED:
            return
        if error is not None and is_failure(error):
            self.fail(error)
        else:
            self.end()

    def __repr__(self) -> str:
        return "Workflow({!r})".format(self.id)
