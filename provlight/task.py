"""Task: one execution of a transformation, with what it used and what it generated."""

from __future__ import annotations

from time import monotonic_ns, time_ns
from types import TracebackType
from typing import Any, List, Optional, Sequence, Tuple, Type, Union

from . import capture
from .data import Data
from .shapes import MAX_COLUMN, MAX_NAME, TASK_BEGIN, TASK_END, TASK_FAILED
from .values import MAX_INT_BITS, plain
from .workflow import Workflow, error_text

Identity = Union[int, str]
Given = Union[Data, Sequence[Data]]

_WEIGHT = 240
_NEW, _BEGUN, _ENDED = range(3)


class Task:
    """One execution of a transformation.

    Args:
        task_id: its identity, an integer or a text, unique within the workflow.
        workflow: the :class:`~provlight.workflow.Workflow` it belongs to, or that one's identity.
        transformation_id: tag of the transformation.
        dependencies: tasks (or their identities) whose results this one uses.

    As a context manager it begins (unless it was) and ends itself::

        with Task(7, workflow, "training").begin(inputs) as task:
            ...
            task.generated(Data("training_output", workflow, [], {"accuracy": 0.97}))

    An exception that leaves the block marks the task failed. Calls in the wrong order are counted and said once.

    Raises:
        TypeError: an identity that is neither an integer nor a text.
        ValueError: an identity that is empty or too long.
    """

    __slots__ = ("_began_ns", "_begun_at", "_generated", "_state", "dependencies", "id", "transformation", "workflow")

    def __init__(
        self,
        task_id: Identity,
        workflow: Union[Workflow, Identity],
        transformation_id: str,
        dependencies: Optional[Sequence[Any]] = None,
    ) -> None:
        self.id = task_id if type(task_id) is int and -_INT64 <= task_id < _INT64 else _identity(task_id)
        self.workflow = workflow.id if isinstance(workflow, Workflow) else Workflow(workflow).id
        self.transformation = transformation_id if type(transformation_id) is str else str(transformation_id)
        if not 0 < len(self.transformation) <= MAX_NAME:
            raise ValueError("the tag of a transformation must have 1 to {} characters".format(MAX_NAME))
        self.dependencies = _identities(dependencies) if dependencies else ()
        self._generated: Tuple[Data, ...] = ()
        self._state = _NEW
        self._begun_at = 0
        self._began_ns = 0

    def begin(self, data: Given = ()) -> "Task":
        """Record the beginning, with what the task uses."""
        if self._state != _NEW:
            capture.current().report.misuse("begin", "task {!r} was begun twice".format(self.id))
            return self
        used = _as_data(data)
        self._state = _BEGUN
        self._began_ns = monotonic_ns()
        self._begun_at = time_ns() // 1000
        self._record(TASK_BEGIN, self._begun_at, "", self.dependencies, used)
        return self

    def end(self, data: Given = ()) -> None:
        """Record the end, with what the task generated."""
        self._finish(TASK_END, "", _as_data(data))

    def fail(self, error: Union[BaseException, str], data: Given = ()) -> None:
        """Record the end, as failed, with what the task generated nevertheless."""
        self._finish(TASK_FAILED, error_text(error), _as_data(data))

    def generated(self, *data: Data) -> None:
        """Add to what the end will record."""
        if self._state == _ENDED:
            capture.current().report.misuse("generated", "task {!r} had ended when data were added".format(self.id))
            return
        self._generated += _as_data(data)

    def _finish(self, kind: int, error: str, data: Tuple[Data, ...]) -> None:
        if self._state == _BEGUN:
            # The duration is right even when the wall clock was set in between.
            now = self._begun_at + (monotonic_ns() - self._began_ns) // 1000
        elif self._state == _NEW:
            capture.current().report.misuse("end before begin", "task {!r} was ended, not begun".format(self.id))
            now = time_ns() // 1000
        else:
            capture.current().report.misuse("end", "task {!r} was ended twice".format(self.id))
            return
        self._state = _ENDED
        self._record(kind, now, error, (), self._generated + data if self._generated else data)

    def _record(
        self, kind: int, time_us: int, error: str, dependencies: Tuple[Identity, ...], data: Tuple[Data, ...]
    ) -> None:
        weight = _WEIGHT
        for item in data:
            weight += item.weight
        sets = [item.content for item in data]
        record = (kind, self.workflow, self.transformation, self.id, time_us, dependencies, error, sets, None)
        capture.record(record, weight)

    def __enter__(self) -> "Task":
        if self._state == _NEW:
            self.begin()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if self._state == _ENDED:
            return
        if error is None:
            self.end()
        else:
            self.fail(error)

    def __repr__(self) -> str:
        return "Task({!r}, {!r}, {!r})".format(self.id, self.workflow, self.transformation)


_INT64 = 1 << 63


def _as_data(given: Given) -> Tuple[Data, ...]:
    if type(given) is Data:
        return (given,)
    data: Tuple[Any, ...] = (given,) if isinstance(given, (Data, dict, str, bytes)) else tuple(given or ())
    for item in data:
        if not isinstance(item, Data):
            raise TypeError("a task takes Data, not {}".format(type(item).__name__))
    return data


def _identity(value: Any) -> Identity:
    identity = plain(value)
    if type(identity) is int:
        if identity.bit_length() > MAX_INT_BITS:
            raise ValueError("the identity of a task is too large")
        return int(identity)
    if type(identity) is not str:
        raise TypeError("the identity of a task must be an integer or a text, not {}".format(type(value).__name__))
    if not 0 < len(identity) <= MAX_NAME:
        raise ValueError("the identity of a task must have 1 to {} characters".format(MAX_NAME))
    return identity


def _identities(dependencies: Any) -> Tuple[Identity, ...]:
    if isinstance(dependencies, (str, int, Task)):
        dependencies = [dependencies]
    found: List[Identity] = [_identity(item.id if isinstance(item, Task) else item) for item in dependencies]
    if len(found) > MAX_COLUMN:
        raise ValueError("{} dependencies are more than {}".format(len(found), MAX_COLUMN))
    return tuple(found)
