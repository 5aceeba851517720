"""What ``dfa_lib_python`` offers to applications: tasks with sets of elements, dependencies, files and times.

These objects carry what they are given, and give the JSON that DfAnalyzer's service reads. What saving a task means is
decided by :func:`deliver_to`: a specification only declares, so nothing is sent while one is evaluated;
``python -m provlight.dataflow.run`` captures.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from typing import Any, Callable, Dict, List, Optional, Sequence

from .attributes import Attribute, Specification
from .kinds import ExtractorCartridge, MethodType, TaskStatus

_said: List[str] = []


class ProvenanceObject:
    """Something with a tag and a JSON object."""

    def __init__(self, tag: str) -> None:
        self._tag = tag.lower()

    def get_specification(self) -> Specification:
        """Its JSON object: what begins with one underscore and is not empty."""
        return {key[1:]: value for key, value in vars(self).items() if key.startswith("_") and value}


class Element:
    """One element of a set.

    Args:
        values: its values, in the order of the attributes; they become texts.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    @property
    def values(self) -> List[str]:
        """The values, as texts."""
        return self._values

    @values.setter
    def values(self, values: Sequence[Any]) -> None:
        if not isinstance(values, (list, tuple)):
            raise TypeError("the values of an element must be a list, not {!r}".format(values))
        self._values = [str(value) for value in values]


class DataSet(ProvenanceObject):
    """Elements of a set that a task used or made.

    Args:
        tag: tag of the set.
        elements: a list of :class:`Element`.
    """

    def __init__(self, tag: str, elements: Sequence[Element]) -> None:
        super().__init__(tag)
        self.elements = elements

    @property
    def elements(self) -> List[List[str]]:
        """The values of each element."""
        return self._elements

    @elements.setter
    def elements(self, elements: Sequence[Element]) -> None:
        if not isinstance(elements, (list, tuple)) or not all(isinstance(one, Element) for one in elements):
            raise TypeError("the elements of set {!r} must be a list of Element objects".format(self._tag))
        self._elements = [one.values for one in elements]


class Dependency(ProvenanceObject):
    """Tasks whose results a task uses.

    Args:
        tags: tags of their transformations.
        ids: their identities.
    """

    def __init__(self, tags: Sequence[str], ids: Sequence[Any]) -> None:
        super().__init__("")
        self.tags = tags
        self.ids = ids

    @property
    def tags(self) -> List[Dict[str, Any]]:
        """JSON objects of the transformations."""
        return self._tags

    @tags.setter
    def tags(self, tags: Sequence[str]) -> None:
        self._tags = [{"tag": tag} for tag in _listed(tags, "the tags of a dependency")]

    @property
    def ids(self) -> List[Dict[str, Any]]:
        """JSON objects of the identities."""
        return self._ids

    @ids.setter
    def ids(self, ids: Sequence[Any]) -> None:
        self._ids = [{"id": one} for one in _listed(ids, "the ids of a dependency")]


class File(ProvenanceObject):
    """A file of a task.

    Args:
        path: where it is.
        name: its name.
    """

    def __init__(self, path: str, name: str) -> None:
        super().__init__("")
        self._path = path
        self._name = name


class Performance(ProvenanceObject):
    """A measured time of a task.

    Args:
        start_time: when it began, as text.
        end_time: when it ended.
        method: a :class:`MethodType`, what the time was spent on.
        description: what was measured.
    """

    def __init__(self, start_time: Any, end_time: Any, method: Any = "", description: str = "") -> None:
        super().__init__("")
        self._startTime = start_time
        self._endTime = end_time
        self._method = method.value if isinstance(method, MethodType) else method
        self._description = description

    startTime = property(lambda self: self._startTime, lambda self, value: setattr(self, "_startTime", value))
    """When it began."""
    endTime = property(lambda self: self._endTime, lambda self, value: setattr(self, "_endTime", value))
    """When it ended."""
    description = property(lambda self: self._description, lambda self, value: setattr(self, "_description", value))
    """What was measured."""

    @property
    def method(self) -> str:
        """What the time was spent on."""
        return str(self._method)

    @method.setter
    def method(self, method: MethodType) -> None:
        self._method = method.value


class Task(ProvenanceObject):
    """One execution of a transformation.

    Args:
        id: its identity.
        dataflow_tag: tag of its dataflow.
        transformation_tag: tag of its transformation.
        sub_id: identity of the part that it is of the task ``id``.
        dependency: the task whose results it uses.
        workspace, resource, output, error: where it ran, what it said, and why it failed.
    """

    def __init__(
        self,
        id: Any,
        dataflow_tag: str,
        transformation_tag: str,
        sub_id: Any = "",
        dependency: Optional["Task"] = None,
        workspace: str = "",
        resource: str = "",
        output: str = "",
        error: str = "",
    ) -> None:
        super().__init__(transformation_tag)
        self._workspace = workspace
        self._resource = resource
        self._dependency: Specification = {}
        self._output = output
        self._error = error
        self._sets: List[Specification] = []
        self._status = str(TaskStatus.READY.value)
        self._dataflow = dataflow_tag.lower()
        self._transformation = transformation_tag.lower()
        self._id = str(id)
        self._subid = str(sub_id)
        self._performances: List[Specification] = []
        self.start_time: Optional[str] = None
        self.end_time: Optional[str] = None
        if isinstance(dependency, Task):
            self.add_dependency(Dependency([dependency._tag], [dependency._id]))

    def add_dependency(self, dependency: Dependency) -> None:
        """Say whose results it uses; what was said before no longer counts."""
        self._dependency = dependency.get_specification()

    def set_datasets(self, datasets: Sequence[DataSet]) -> None:
        """Add sets."""
        for dataset in _listed(datasets, "the sets of a task"):
            self.add_dataset(dataset)

    def add_dataset(self, dataset: DataSet) -> None:
        """Add a set."""
        if not isinstance(dataset, DataSet):
            raise TypeError("a set of a task must be a DataSet, not {!r}".format(dataset))
        self._sets.append(dataset.get_specification())

    def set_status(self, status: TaskStatus) -> None:
        """Say how far it is."""
        self._status = str(status.value)

    def begin(self) -> None:
        """It begins."""
        self.set_status(TaskStatus.RUNNING)
        self.start_time = _now()
        self.save()

    def end(self) -> None:
        """It ends."""
        self.set_status(TaskStatus.FINISHED)
        self.end_time = _now()
        self._performances.append(Performance(self.start_time, self.end_time).get_specification())
        self.save()

    def save(self) -> None:
        """Hand it over as it is now."""
        _deliver[-1](self)


class RawDataExtractor:
    """Runs DfAnalyzer's extractor of raw data, ``$DFANALYZER_DIR/bin/RDE``.

    Args:
        cartridge: an :class:`ExtractorCartridge`.
        command_line: the program that extracts.
        attributes: a list of :class:`Attribute`.
    """

    def __init__(self, cartridge: ExtractorCartridge, command_line: str, attributes: Sequence[Attribute]) -> None:
        self._cartridge = ExtractorCartridge(cartridge).value
        self._command_line = command_line
        self._attributes = _listed(attributes, "the attributes of an extractor")

    def get_attributes(self) -> str:
        """Names and types, as the program wants them."""
        return "[{}]".format(",".join(map(str, self._attributes)))

    def get_arguments(self) -> List[str]:
        """The command."""
        program = os.path.join(os.environ.get("DFANALYZER_DIR", ""), "bin", "RDE")
        method = "{}:EXTRACT".format(self._cartridge)
        return [program, method, "extractor", ".", self._command_line, self.get_attributes()]

    def get_command_line(self) -> str:
        """The command as one line."""
        return " ".join(self.get_arguments())

    def run(self) -> None:
        """Execute it."""
        subprocess.call(self.get_arguments())


class RawDataIndexer(RawDataExtractor):
    """Runs DfAnalyzer's indexer of raw data, ``$DFANALYZER_DIR/bin/RDI``.

    Args:
        cartridge: an :class:`ExtractorCartridge`.
        extractor_tag: tag of the extractor.
        path: folder of the index.
        file_name_with_extracted_data: what is indexed.
        attributes: a list of :class:`Attribute`.
        extra_arguments: more arguments of the program.
    """

    def __init__(
        self,
        cartridge: ExtractorCartridge,
        extractor_tag: str,
        path: str,
        file_name_with_extracted_data: str,
        attributes: Sequence[Attribute],
        extra_arguments: str = "",
    ) -> None:
        super().__init__(cartridge, file_name_with_extracted_data, attributes)
        self._tag = extractor_tag
        self._path = path
        self._extra_arguments = extra_arguments

    def get_arguments(self) -> List[str]:
        """The command."""
        program = os.path.join(os.environ.get("DFANALYZER_DIR", ""), "bin", "RDI")
        command = [program, "{}:INDEX".format(self._cartridge), self._tag, self._path]
        return [*command, self._command_line, self.get_attributes(), *self._extra_arguments.split()]


def start_task(task_id: Any, dataflow_tag: str, label: str, in_elements: Sequence[Any]) -> Any:
    """Begin a task whose input set is named ``i`` and its label. Returns the task and the set."""
    task = Task(task_id, dataflow_tag, label)
    used = DataSet("i{}".format(label), [Element([one]) for one in in_elements])
    task.add_dataset(used)
    task.begin()
    return task, used


def end_task(task: Task, label: str, out_elements: Sequence[Any]) -> DataSet:
    """End a task whose output set is named ``o`` and its label. Returns the set."""
    made = DataSet("o{}".format(label), [Element([one]) for one in out_elements])
    task.add_dataset(made)
    task.end()
    return made


def deliver_to(receiver: Callable[[Task], None]) -> None:
    """Say what saving a task does."""
    _deliver.append(receiver)


def _leave(task: Task) -> None:
    if not _said:
        _said.append(task._id)
        sys.stderr.write(
            "tasks are not captured here, a specification only declares: run the application itself with "
            "python -m provlight.dataflow.run\n"
        )


_deliver: List[Callable[[Task], None]] = [_leave]


def _listed(values: Sequence[Any], what: str) -> List[Any]:
    if not isinstance(values, (list, tuple)):
        raise TypeError("{} must be a list, not {!r}".format(what, values))
    return list(values)


def _now() -> str:
    return datetime.now().strftime("%Y-%m-%d %H:%M:%S")
