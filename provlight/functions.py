"""Functions whose calls are tasks: arguments are what they use, results what they generate."""

from __future__ import annotations

import functools
from types import TracebackType

from . import capture, context
from .calls import Parameters, data_of, plan, result_of
from .context import innermost, leave
from .task import Task
from .workflow import Workflow, error_text, is_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, AsyncGenerator, Callable, Generator, Optional, Sequence, Type, TypeVar, Union, overload

    from .calls import Plan, Sets
    from .identity import Identity

    Function = TypeVar("Function", bound=Callable[..., Any])

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200  # flags of a code object


if TYPE_CHECKING:

    @overload
    def captured(transformation: Function) -> Function: ...

    @overload
    def captured(
        transformation: Optional[str] = None,
        *,
        workflow: Union[Workflow, Identity, None] = None,
        used: Sets = None,
        generated: Sets = None,
        dependencies: Optional[Sequence[Any]] = None,
    ) -> Callable[[Function], Function]: ...


def captured(
    transformation: Any = None,
    *,
    workflow: Union[Workflow, Identity, None] = None,
    used: Sets = None,
    generated: Sets = None,
    dependencies: Optional[Sequence[Any]] = None,
) -> Any:
    """Capture each call of a function as a task::

        @captured("training", workflow="model_training", used="training_input", generated="training_output")
        def train(kernel_size, num_kernels=16):
            ...
            return {"accuracy": accuracy, "training_time": seconds}

    A call within another captured call, or within the block of a task, becomes its sub-task. An exception marks the
    task failed and goes on to the caller. Whatever cannot be captured is said once; the function runs all the same.

    Args:
        transformation: tag of the transformation; the name of the function if not given.
        workflow: what the tasks belong to; if not given, the workflow of the enclosing task, else that begun last.
        used: the set that takes the arguments: its tag, or ``{tag: [parameter, ...]}``, or ``{tag: {parameter:
            attribute}}`` for one or several sets. ``<transformation>_input`` if not given, none with False.
        generated: the set that takes the result, in the same forms; ``<transformation>_output`` if not given. The names
            choose from a result that has names, and name the values of one that has none.
        dependencies: tasks, or their identities, whose results every call uses.

    Raises:
        TypeError: ``used`` or ``generated`` has another form, or this is no function.
    """

    def decorate(function: Any) -> Any:
        if isinstance(function, (staticmethod, classmethod)):
            return type(function)(decorate(function.__func__))
        name = transformation if isinstance(transformation, str) else function.__name__
        calls = _Calls(
            function,
            name,
            workflow,
            plan(used, name + "_input"),
            plan(generated, name + "_output"),
            dependencies,
        )
        return calls.wrapper()

    if callable(transformation) or isinstance(transformation, (staticmethod, classmethod)):
        return decorate(transformation)
    return decorate


class _Calls:
    """Everything that is known of a captured function before it is called."""

    def __init__(
        self,
        function: Callable[..., Any],
        transformation: str,
        workflow: Union[Workflow, Identity, None],
        used: Plan,
        generated: Plan,
        dependencies: Optional[Sequence[Any]],
    ) -> None:
        self.function = function
        self.transformation = transformation
        self.generated = generated
        self.where = getattr(function, "__qualname__", transformation)
        self._workflow = workflow
        if workflow is not None and not isinstance(workflow, Workflow):
            self._workflow = Workflow(workflow)
        self._used = used
        self._dependencies = dependencies
        self._parameters = Parameters(function)

    def begin(self, arguments: Sequence[Any], named: Any) -> "Optional[_Call]":
        """A task for a call, begun; None when there is none, which never is the application's problem."""
        try:
            outer = innermost.get()
            workflow = self._workflow or (outer.workflow if outer is not None else context.latest_workflow)
            if workflow is None:
                capture.current().report.misuse(
                    "no workflow", "{} is not captured: no workflow was begun or named".format(self.where)
                )
                return None
            values = self._parameters.values(arguments, named)
            if values is None:  # Python is going to refuse this call
                return None
            task = Task(None, workflow, self.transformation, self._dependencies, outer)
            task.begin(data_of(self._used, values, task.workflow, self.where))
            return _Call(task, self)
        except Exception as error:  # noqa: BLE001 an argument whose own code fails
            _unsaid(self.where, error)
            return None

    def wrapper(self) -> Any:
        """The function to put in the place of the captured one."""
        function = self.function
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        if flags & _ASYNC_GENERATOR:
            return functools.wraps(function)(_async_generator(self))
        if flags & _COROUTINE:
            return functools.wraps(function)(_coroutine(self))
        if flags & _GENERATOR:
            return functools.wraps(function)(_generator(self))
        return functools.wraps(function)(_plain(self))


class _Call:
    """One call, as long as it lasts. Its block is what the function executes between two interruptions."""

    __slots__ = ("_calls", "_outer", "_task")

    def __init__(self, task: Task, calls: _Calls) -> None:
        self._task = task
        self._calls = calls

    def __enter__(self) -> None:
        self._outer = innermost.set(self._task)

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        leave(self._outer)

    def end(self, result: Any) -> None:
        calls, task = self._calls, self._task
        try:
            task.end(result_of(calls.generated, result, task.workflow, calls.where))
        except Exception as error:  # noqa: BLE001 a result whose own code fails
            _unsaid(calls.where, error)
            task.end()

    def fail(self, error: BaseException) -> None:
        if is_failure(error):
            self._task.fail(error)
        else:
            self._task.end()


def _plain(calls: _Calls) -> Callable[..., Any]:
    def captured_call(*arguments: Any, **named: Any) -> Any:
        call = calls.begin(arguments, named)
        if call is None:
            return calls.function(*arguments, **named)
        try:
            with call:
                result = calls.function(*arguments, **named)
        except BaseException as error:
            call.fail(error)
            raise
        call.end(result)
        return result

    return captured_call


def _coroutine(calls: _Calls) -> Callable[..., Any]:
    async def captured_call(*arguments: Any, **named: Any) -> Any:
        call = calls.begin(arguments, named)
        if call is None:
            return await calls.function(*arguments, **named)
        try:
            with call:
                result = await calls.function(*arguments, **named)
        except BaseException as error:
            call.fail(error)
            raise
        call.end(result)
        return result

    return captured_call


def _generator(calls: _Calls) -> Callable[..., Any]:
    def captured_call(*arguments: Any, **named: Any) -> Generator[Any, Any, Any]:
        call = calls.begin(arguments, named)
        inner = calls.function(*arguments, **named)
        if call is None:
            return (yield from inner)
        sent: Any = None
        step: Callable[[Any], Any] = inner.send
        try:
            while True:
                with call:
                    item = step(sent)
                try:
                    sent = yield item
                    step = inner.send
                except GeneratorExit:
                    with call:
                        inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001 it is the inner generator's to handle
                    sent, step = error, inner.throw
        except StopIteration as stop:
            call.end(stop.value)
            return stop.value
        except BaseException as error:
            call.fail(error)
            raise

    return captured_call


def _async_generator(calls: _Calls) -> Callable[..., Any]:
    async def captured_call(*arguments: Any, **named: Any) -> AsyncGenerator[Any, Any]:
        call = calls.begin(arguments, named)
        inner = calls.function(*arguments, **named)
        if call is None:
            async for item in inner:
                yield item
            return
        sent: Any = None
        step: Callable[[Any], Any] = inner.asend
        try:
            while True:
                with call:
                    item = await step(sent)
                try:
                    sent = yield item
                    step = inner.asend
                except GeneratorExit:
                    with call:
                        await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 it is the inner generator's to handle
                    sent, step = error, inner.athrow
        except StopAsyncIteration:
            call.end(None)
        except BaseException as error:
            call.fail(error)
            raise

    return captured_call


def _unsaid(where: str, error: Exception) -> None:
    capture.current().report.misuse("not captured", "{} is not captured: {}".format(where, error_text(error)))
