"""``python -m provlight.dataflow.run APPLICATION [ARGUMENTS]``: run an application written for DfAnalyzer, and capture.

Modules named ``dfa_lib_python.*`` resolve to this package, and the tasks that the application begins, ends and saves
are captured by ProvLight, with its settings. Sets that are saved again are captured once.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple
from weakref import WeakKeyDictionary

from provlight import Data, Task, Workflow

from . import declarations, recorded
from .kinds import SetType, TaskStatus
from .modules import install


class Capturing:
    """Captures the tasks that an application saves."""

    def __init__(self) -> None:
        self._workflows: Dict[str, Workflow] = {}
        self._tasks: "WeakKeyDictionary[recorded.Task, _Captured]" = WeakKeyDictionary()

    def save(self, task: recorded.Task) -> None:
        """Capture what of a task is new since it was saved before."""
        if task._status == TaskStatus.READY.value:
            return  # it has not begun: what it has so far is captured when it does
        captured = self._tasks.get(task)
        if captured is None:
            captured = self._tasks[task] = _Captured(task, self._workflow(task._dataflow))
        captured.save(task)

    def end(self, error: Optional[BaseException] = None) -> None:
        """The application ends, with an error if there is one."""
        for workflow in self._workflows.values():
            if error is None:
                workflow.end()
            else:
                workflow.fail(error)

    def _workflow(self, tag: str) -> Workflow:
        if tag not in self._workflows:
            self._workflows[tag] = Workflow(tag).begin()
        return self._workflows[tag]


class _Captured:
    """A task, and how much of it is captured."""

    def __init__(self, task: recorded.Task, workflow: Workflow) -> None:
        dependencies = [one["id"] for one in task._dependency.get("ids", ())]
        identity, parent = task._id, None
        if task._subid:
            identity, parent = "{}.{}".format(task._id, task._subid), task._id
        self._task = Task(identity, workflow, task._transformation, dependencies, parent)
        self._begun = self._ended = False
        self._sets = 0

    def save(self, task: recorded.Task) -> None:
        if self._ended:
            return
        used: List[Data] = []
        made: List[Data] = []
        for item in task._sets[self._sets :]:
            kind, attributes = _declared(task, item["tag"])
            if kind is None:  # what an application has before it begins it uses
                kind = SetType.OUTPUT.value if self._begun else SetType.INPUT.value
            chosen = made if kind == SetType.OUTPUT.value else used
            if item.get("elements"):
                chosen.append(Data(item["tag"], self._task.workflow, [], _rows(item["elements"], attributes)))
        self._sets = len(task._sets)
        if not self._begun:
            self._task.begin(used)
            self._begun = True
        elif used:
            self._task.used(*used)
        if made:
            self._task.generated(*made)
        if task._status == TaskStatus.FINISHED.value:
            self._ended = True
            if task._error:
                self._task.fail(task._error)
            else:
                self._task.end()


def _declared(task: recorded.Task, tag: str) -> Tuple[Optional[str], List[Dict[str, str]]]:
    """Type and attributes of a set, as the application declared them."""
    kind, attributes = None, []  # type: Optional[str], List[Dict[str, str]]
    for flow in declarations.saved():
        if flow.tag != task._dataflow:
            continue
        for step in flow.transformations:
            for item in step["sets"]:
                if item["tag"] == tag:
                    attributes = item["attributes"] or attributes
                    if step["tag"] == task._transformation:
                        kind = item["type"]
    return kind, attributes


def _rows(elements: List[List[str]], attributes: List[Dict[str, str]]) -> Any:
    """Elements with names and types, where the application declared them, else by position."""
    if any(len(values) != len(attributes) for values in elements):
        return elements
    return [
        {one["name"]: _number(value) if one["type"] == "NUMERIC" else value for one, value in zip(attributes, values)}
        for values in elements
    ]


def _number(value: str) -> Any:
    for kind in (int, float):  # type: Any
        try:
            return kind(value)
        except ValueError:
            continue
    return {"None": None, "True": True, "False": False}.get(value, value)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command. Returns its exit code; an exception of the application is left as it is."""
    parser = argparse.ArgumentParser(
        prog="python -m provlight.dataflow.run",
        description="Run an application that was written for dfa_lib_python of DfAnalyzer as it is, and capture its "
        "tasks with ProvLight, whose settings (PROVLIGHT_...) say where they go.",
    )
    parser.add_argument("application", metavar="APPLICATION", help="a Python file")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help="arguments of the application")
    options = parser.parse_args(arguments)
    install()
    capturing = Capturing()
    recorded.deliver_to(capturing.save)
    sys.argv = [options.application, *options.arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(options.application)))
    try:
        runpy.run_path(options.application, run_name="__main__")
    except BaseException as error:
        capturing.end(None if isinstance(error, SystemExit) and error.code in (None, 0) else error)
        raise
    capturing.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
