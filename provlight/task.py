"""Task: one execution of a transformation, with what it used and what it generated."""

from __future__ import annotations

from time import monotonic_ns, time_ns
from types import TracebackType

from . import capture
from .context import innermost, leave
from .data import Data
from .files import EXTRA as FILES
from .files import Files
from .identity import checked, fresh
from .shapes import MAX_COLUMN, MAX_NAME, PARENT, PARENT_TRANSFORMATION, TASK_BEGIN, TASK_END, TASK_FAILED, TASK_USED
from .workflow import Workflow, error_text, is_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextvars import Token
    from typing import Any, Dict, List, Optional, Sequence, Tuple, Type, Union, overload

    from .identity import Identity

    Given = Union[Data, Sequence[Data]]

_WEIGHT = 240
_NEW, _BEGUN, _ENDED, _ELSEWHERE = range(4)
_INT64 = 1 << 63


class Task:
    """One execution of a transformation.

    Args:
        task_id: its identity, an integer or a text, unique within the workflow; None makes one that no other task has.
        workflow: the :class:`~provlight.workflow.Workflow` it belongs to, or that one's identity.
        transformation_id: tag of the transformation.
        dependencies: tasks (or their identities) whose results this one uses.
        parent: the task (or its identity) of which this one is a part.

    As a context manager it begins (unless it was) and ends itself::

        with Task(7, workflow, "training") as task:
            task.used("training_input", {"kernel_size": 3})
            ...
            task.generated("training_output", {"accuracy": 0.97})

    An exception that leaves the block marks the task failed. Calls in the wrong order are counted and said once.

    Raises:
        TypeError: an identity that is neither an integer nor a text.
        ValueError: an identity that is empty or too long.
    """

    __slots__ = (
        "_began_ns",
        "_begun_at",
        "_generated",
        "_outer",
        "_state",
        "_used",
        "dependencies",
        "id",
        "parent",
        "transformation",
        "workflow",
    )

    def __init__(
        self,
        task_id: Optional[Identity],
        workflow: Union[Workflow, Identity],
        transformation_id: str,
        dependencies: Optional[Sequence[Any]] = None,
        parent: "Union[Task, Identity, None]" = None,
    ) -> None:
        if type(task_id) is int and -_INT64 <= task_id < _INT64:
            self.id: Identity = task_id
        else:
            self.id = fresh() if task_id is None else checked(task_id)
        self.workflow = workflow.id if isinstance(workflow, Workflow) else Workflow(workflow).id
        self.transformation = transformation_id if type(transformation_id) is str else str(transformation_id)
        if not 0 < len(self.transformation) <= MAX_NAME:
            raise ValueError("the tag of a transformation must have 1 to {} characters".format(MAX_NAME))
        self.dependencies = _identities(dependencies) if dependencies else ()
        self.parent: Optional[Tuple[str, Identity]] = None  # its transformation, empty when unknown, and its identity
        if parent is not None:
            self.parent = (parent.transformation, parent.id) if isinstance(parent, Task) else ("", checked(parent))
        self._used: Tuple[Data, ...] = ()
        self._generated: Tuple[Data, ...] = ()
        self._state = _NEW

    def begin(self, data: Given = ()) -> "Task":
        """Record the beginning, with what the task uses."""
        if self._state != _NEW:
            self._misuse("begin", "was begun twice")
            return self
        self._began_ns = monotonic_ns()
        self._begun_at = now = time_ns() // 1000
        if self.parent is None and not self._used:
            self._record(TASK_BEGIN, now, "", self.dependencies, data)
        else:
            extras: Dict[str, Any] = {}
            if self.parent is not None:
                extras = {PARENT: self.parent[1], PARENT_TRANSFORMATION: self.parent[0]}
            self._record_all(TASK_BEGIN, now, "", self.dependencies, self._used + _as_data(data), extras)
        self._state = _BEGUN
        return self

    def end(self, data: Given = ()) -> None:
        """Record the end, with what the task generated."""
        self._finish(TASK_END, "", data)

    def fail(self, error: Union[BaseException, str], data: Given = ()) -> None:
        """Record the end, as failed, with what the task generated nevertheless."""
        self._finish(TASK_FAILED, error_text(error), data)

    if TYPE_CHECKING:

        @overload
        def used(self, __data: Data, *more: Data) -> None: ...

        @overload
        def used(self, __tag: str, __attributes: Any) -> None: ...

    def used(self, __given: Union[Data, str], *more: Any) -> None:
        """Add what the task uses: ``Data``, or the tag of a set and its attributes.

        Before the beginning it is recorded with it; after it at once, by a record of its own.
        """
        given = self._given(__given, more)
        if self._state == _NEW:
            self._used += given
        elif self._state == _BEGUN:
            if given:
                self._record_all(TASK_USED, self._now(), "", (), given, {})
        else:
            self._misuse("used", "had ended when data were added")

    if TYPE_CHECKING:

        @overload
        def generated(self, __data: Data, *more: Data) -> None: ...

        @overload
        def generated(self, __tag: str, __attributes: Any) -> None: ...

    def generated(self, __given: Union[Data, str], *more: Any) -> None:
        """Add to what the end will record: ``Data``, or the tag of a set and its attributes."""
        given = self._given(__given, more)
        if self._state in (_NEW, _BEGUN):
            self._generated += given
        else:
            self._misuse("generated", "had ended when data were added")

    def subtask(
        self, task_id: Optional[Identity], transformation_id: str, dependencies: Optional[Sequence[Any]] = None
    ) -> "Task":
        """A new task that is a part of this one. It is not begun yet."""
        return Task(task_id, self.workflow, transformation_id, dependencies, self)

    def _given(self, first: Union[Data, str], more: Tuple[Any, ...]) -> Tuple[Data, ...]:
        if isinstance(first, str):
            if len(more) != 1:
                raise TypeError("give the tag of a set and its attributes, or Data")
            return (Data(first, self.workflow, (), more[0]),)
        return _as_data((first, *more))

    def _now(self) -> int:
        # The duration is right even when the wall clock was set in between.
        return self._begun_at + (monotonic_ns() - self._began_ns) // 1000

    def _finish(self, kind: int, error: str, data: Given) -> None:
        if self._state == _BEGUN:
            now = self._begun_at + (monotonic_ns() - self._began_ns) // 1000
        elif self._state == _NEW:
            data = _as_data(data)  # whatever is wrong with them comes first
            self._misuse("end before begin", "was ended, not begun")
            now = time_ns() // 1000
        else:
            self._misuse("end", "was ended twice" if self._state == _ENDED else "was begun by another process")
            return
        if self._generated:
            self._record_all(kind, now, error, (), self._generated + _as_data(data), {})
        else:
            self._record(kind, now, error, (), data)
        self._state = _ENDED

    def _record(self, kind: int, time_us: int, error: str, dependencies: Tuple[Identity, ...], given: Given) -> None:
        if type(given) is list and len(given) == 1:  # what nearly every call does
            (only,) = given
            if type(only) is Data and not only.files:
                capture.record(
                    (
                        kind,
                        self.workflow,
                        self.transformation,
                        self.id,
                        time_us,
                        dependencies,
                        error,
                        only.shape,
                        only.values,
                    ),
                    _WEIGHT + only.weight,
                )
                return
        self._record_all(kind, time_us, error, dependencies, _as_data(given), {})

    def _record_all(
        self,
        kind: int,
        time_us: int,
        error: str,
        dependencies: Tuple[Identity, ...],
        data: Tuple[Data, ...],
        extras: Dict[str, Any],
    ) -> None:
        weight = _WEIGHT
        sets = []
        for item in data:
            weight += item.weight
            sets.append((item.shape, item.values))
            if item.files:
                extras[FILES] = Files([one for each in data for one in each.files])
        capture.record(
            (
                kind,
                self.workflow,
                self.transformation,
                self.id,
                time_us,
                dependencies,
                error,
                sets,
                extras or None,
            ),
            weight,
        )

    def _misuse(self, kind: str, what: str) -> None:
        capture.current().report.misuse(kind, "task {!r} {}".format(self.id, what))

    def __enter__(self) -> "Task":
        if self._state == _NEW:
            self.begin()
        self._outer: Token[Optional[Task]] = innermost.set(self)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        leave(self._outer)
        if self._state == _ENDED:
            return
        if error is not None and is_failure(error):
            self.fail(error)
        else:
            self.end()

    def __reduce__(self) -> Tuple[Any, ...]:
        state = _ELSEWHERE if self._state == _BEGUN else self._state
        own = (self.id, self.workflow, self.transformation, self.dependencies, self.parent)
        return _copied, (*own, state, self._used, self._generated)

    def __repr__(self) -> str:
        return "Task({!r}, {!r}, {!r})".format(self.id, self.workflow, self.transformation)


def _copied(
    task_id: Identity,
    workflow: str,
    transformation: str,
    dependencies: Tuple[Identity, ...],
    parent: Optional[Tuple[str, Identity]],
    state: int,
    used: Tuple[Data, ...],
    generated: Tuple[Data, ...],
) -> Task:
    """A task that was sent to another process: whoever began it must end it, others may refer to it."""
    task = Task(task_id, workflow, transformation, dependencies)
    task.parent, task._state, task._used, task._generated = parent, state, used, generated
    return task


def _as_data(given: Given) -> Tuple[Data, ...]:
    if type(given) is list and len(given) == 1 and type(given[0]) is Data:
        return (given[0],)
    if type(given) is Data:
        return (given,)
    data: Tuple[Any, ...] = (given,) if isinstance(given, (Data, dict, str, bytes)) else tuple(given or ())
    for item in data:
        if not isinstance(item, Data):
            raise TypeError("a task takes Data, not {}".format(type(item).__name__))
    return data


def _identities(dependencies: Any) -> Tuple[Identity, ...]:
    if isinstance(dependencies, (str, int, Task)):
        dependencies = [dependencies]
    found: List[Identity] = [checked(item.id if isinstance(item, Task) else item) for item in dependencies]
    if len(found) > MAX_COLUMN:
        raise ValueError("{} dependencies are more than {}".format(len(found), MAX_COLUMN))
    return tuple(found)
