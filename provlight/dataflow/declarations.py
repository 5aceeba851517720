"""Dataflow, transformations, sets, attributes, extractors and programs.

A set is copied when it is given to a transformation, and a transformation when it is given to a dataflow: published
specifications turn one transformation's output set into the next one's input by changing the same object.
The JSON is the one DfAnalyzer's service reads at ``/pde/dataflow/json``.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, List, Sequence, Type, TypeVar

from .kinds import AttributeType, ExtractorCartridge, ExtractorExtension, SetType

Specification = Dict[str, Any]

_E = TypeVar("_E", bound=Enum)
_T = TypeVar("_T")

_saved: List["Dataflow"] = []


def saved() -> List["Dataflow"]:
    """The dataflows that were saved in this process, in order."""
    return list(_saved)


def _tag(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError("the tag of {} must be a text that is not empty, not {!r}".format(what, value))
    return value.strip().lower()


def _choice(value: Any, kind: Type[_E], what: str) -> _E:
    if isinstance(value, kind):
        return value
    for member in kind:
        if isinstance(value, str) and value.upper() == member.value:
            return member
    names = ", ".join(member.name for member in kind)
    raise TypeError("{} must be a {} ({}), not {!r}".format(what, kind.__name__, names, value))


def _items(values: Any, kind: Type[_T], what: str) -> List[_T]:
    if not isinstance(values, (list, tuple)):
        raise TypeError("{} must be a list, not {!r}".format(what, values))
    for value in values:
        if not isinstance(value, kind):
            raise TypeError("{} must hold {} objects, not {!r}".format(what, kind.__name__, value))
    return list(values)


class Attribute:
    """One column of a set.

    Args:
        name: name of the column.
        type: an :class:`AttributeType` or its name.
    """

    def __init__(self, name: str, type: AttributeType) -> None:
        if not isinstance(name, str) or not name.strip():
            raise TypeError("the name of an attribute must be a text that is not empty, not {!r}".format(name))
        self.name = name.strip()
        self._type = _choice(type, AttributeType, "the type of attribute {!r}".format(name))

    @property
    def type(self) -> str:
        """Name of the type."""
        return str(self._type.value)

    @type.setter
    def type(self, value: AttributeType) -> None:
        self._type = _choice(value, AttributeType, "the type of attribute {!r}".format(self.name))

    def get_specification(self) -> Specification:
        """The JSON object of the attribute."""
        return {"name": self.name, "type": self.type}


class Extractor:
    """How the attributes of a set are drawn from raw data files.

    Args:
        tag: name of the extractor.
        cartridge: extraction or indexing.
        extension: what it reads or builds.
    """

    def __init__(self, tag: str, cartridge: ExtractorCartridge, extension: ExtractorExtension) -> None:
        self._tag = _tag(tag, "an extractor")
        self._cartridge = _choice(cartridge, ExtractorCartridge, "the cartridge of an extractor")
        self._extension = _choice(extension, ExtractorExtension, "the extension of an extractor")

    @property
    def tag(self) -> str:
        """Name of the extractor, in lower case."""
        return self._tag

    @property
    def cartridge(self) -> str:
        """Name of the cartridge."""
        return str(self._cartridge.value)

    @property
    def extension(self) -> str:
        """Name of the extension."""
        return str(self._extension.value)

    def get_specification(self) -> Specification:
        """The JSON object of the extractor."""
        return {"tag": self.tag, "cartridge": self.cartridge, "extension": self.extension}


class Program:
    """A program that a transformation runs.

    Args:
        name: its name.
        path: where it is.
    """

    def __init__(self, name: str, path: str) -> None:
        self.name = _text(name, "the name of a program")
        self.path = _text(path, "the path of a program")

    def get_specification(self) -> Specification:
        """The JSON object of the program."""
        return {"name": self.name, "path": self.path}


class DataSet:
    """A set that a transformation reads or writes. Also known as ``Set``.

    Args:
        tag: name of the set; in lower case from then on.
        set_type: whether it is read or written.
        attributes: its columns, in order.
        extractors: how they are drawn from raw data files.
        dependency: tag of the transformation that wrote it, for a set that is read.
    """

    def __init__(
        self,
        tag: str,
        set_type: SetType,
        attributes: Sequence[Attribute] = (),
        extractors: Sequence[Extractor] = (),
        dependency: str = "",
    ) -> None:
        self._tag = _tag(tag, "a set")
        self._attributes = _items(attributes, Attribute, "the attributes of set {!r}".format(tag))
        self._extractors = _items(extractors, Extractor, "the extractors of set {!r}".format(tag))
        self._dependency = ""
        self.set_type(set_type)
        self.dependency = dependency

    @property
    def tag(self) -> str:
        """Name of the set, in lower case."""
        return self._tag

    @property
    def type(self) -> str:
        """``INPUT`` or ``OUTPUT``."""
        return str(self._type.value)

    def set_type(self, set_type: SetType) -> None:
        """Make it a set that is read or written."""
        self._type = _choice(set_type, SetType, "the type of set {!r}".format(self._tag))

    @property
    def dependency(self) -> str:
        """Tag of the transformation that wrote it, empty if there is none."""
        return self._dependency

    @dependency.setter
    def dependency(self, transformation: Any) -> None:
        tag = getattr(transformation, "tag", transformation)
        self._dependency = _tag(tag, "the dependency of set {!r}".format(self._tag)) if tag else ""

    @property
    def attributes(self) -> List[Specification]:
        """JSON objects of the attributes."""
        return [attribute.get_specification() for attribute in self._attributes]

    def add_attribute(self, attribute: Attribute) -> None:
        """Add a column."""
        self._attributes += _items([attribute], Attribute, "the attributes of set {!r}".format(self._tag))

    def add_extractor(self, extractor: Extractor) -> None:
        """Add an extractor."""
        self._extractors += _items([extractor], Extractor, "the extractors of set {!r}".format(self._tag))

    def get_specification(self) -> Specification:
        """The JSON object of the set.

        Raises:
            ValueError: two attributes have the same name.
        """
        specification: Specification = {"tag": self.tag, "type": self.type, "attributes": self.attributes}
        names = [attribute["name"].lower() for attribute in specification["attributes"]]
        for name in names:
            if names.count(name) > 1:
                raise ValueError("set {!r} has two attributes named {!r}".format(self.tag, name))
        if self._extractors:
            specification["extractors"] = [extractor.get_specification() for extractor in self._extractors]
        if self._dependency:
            specification["dependency"] = self._dependency
        return specification


Set = DataSet


class Transformation:
    """A step of a dataflow.

    Args:
        tag: its name; in lower case from then on.
        sets: what it reads and writes.
        programs: what it runs.
    """

    def __init__(self, tag: str, sets: Sequence[DataSet] = (), programs: Sequence[Program] = ()) -> None:
        self._tag = _tag(tag, "a transformation")
        self._sets: List[Specification] = []
        self._programs = _items(programs, Program, "the programs of transformation {!r}".format(tag))
        self.set_sets(sets)

    @property
    def tag(self) -> str:
        """Name of the transformation, in lower case."""
        return self._tag

    @property
    def sets(self) -> List[Specification]:
        """JSON objects of its sets."""
        return list(self._sets)

    @sets.setter
    def sets(self, sets: Sequence[DataSet]) -> None:
        self.set_sets(sets)

    def set_sets(self, sets: Sequence[DataSet]) -> None:
        """Replace its sets."""
        given = _items(sets, DataSet, "the sets of transformation {!r}".format(self._tag))
        self._sets = [item.get_specification() for item in given]

    def add_set(self, dataset: DataSet) -> None:
        """Add a set."""
        for item in _items([dataset], DataSet, "the sets of transformation {!r}".format(self._tag)):
            self._sets.append(item.get_specification())

    def add_program(self, program: Program) -> None:
        """Add a program."""
        self._programs += _items([program], Program, "the programs of transformation {!r}".format(self._tag))

    @property
    def input(self) -> List[Specification]:
        """JSON objects of the sets it reads."""
        return self._of_type(SetType.INPUT)

    @input.setter
    def input(self, sets: Sequence[DataSet]) -> None:
        self._replace(SetType.INPUT, sets)

    @property
    def output(self) -> List[Specification]:
        """JSON objects of the sets it writes."""
        return self._of_type(SetType.OUTPUT)

    @output.setter
    def output(self, sets: Sequence[DataSet]) -> None:
        self._replace(SetType.OUTPUT, sets)

    def get_specification(self) -> Specification:
        """The JSON object of the transformation."""
        specification: Specification = {"tag": self.tag, "sets": self.sets}
        if self._programs:
            specification["programs"] = [program.get_specification() for program in self._programs]
        return specification

    def _of_type(self, set_type: SetType) -> List[Specification]:
        return [item for item in self._sets if item["type"] == set_type.value]

    def _replace(self, set_type: SetType, sets: Sequence[DataSet]) -> None:
        kept = [item for item in self._sets if item["type"] != set_type.value]
        self.set_sets(sets)
        self._sets = kept + self._sets


class Dataflow:
    """The declared shape of an application's provenance.

    Args:
        tag: its name; in lower case from then on.
        transformations: its steps.
    """

    def __init__(self, tag: str, transformations: Sequence[Transformation] = ()) -> None:
        self._tag = _tag(tag, "a dataflow")
        self._transformations: List[Specification] = []
        self.transformations = transformations

    @property
    def tag(self) -> str:
        """Name of the dataflow, in lower case."""
        return self._tag

    @property
    def transformations(self) -> List[Specification]:
        """JSON objects of its transformations."""
        return list(self._transformations)

    @transformations.setter
    def transformations(self, transformations: Sequence[Transformation]) -> None:
        given = _items(transformations, Transformation, "the transformations of dataflow {!r}".format(self._tag))
        self._transformations = [item.get_specification() for item in given]

    def add_transformation(self, transformation: Transformation) -> None:
        """Add a step."""
        what = "the transformations of dataflow {!r}".format(self._tag)
        for item in _items([transformation], Transformation, what):
            self._transformations.append(item.get_specification())

    def get_specification(self) -> Specification:
        """The JSON object of the dataflow.

        Raises:
            ValueError: two transformations have the same tag, or a set depends on one that does not exist.
        """
        tags = [item["tag"] for item in self._transformations]
        for item in self._transformations:
            if tags.count(item["tag"]) > 1:
                raise ValueError("dataflow {!r} has two transformations {!r}".format(self.tag, item["tag"]))
            for used in item["sets"]:
                if used.get("dependency", item["tag"]) not in tags:
                    raise ValueError(
                        "set {!r} of transformation {!r} depends on {!r}, which is no transformation of dataflow "
                        "{!r}".format(used["tag"], item["tag"], used["dependency"], self.tag)
                    )
        return {"tag": self.tag, "transformations": self.transformations}

    def to_json(self) -> Specification:
        """Another name of :meth:`get_specification`."""
        return self.get_specification()

    def save(self) -> None:
        """Check the dataflow and give it to whoever evaluates the specification. Nothing leaves the process."""
        self.get_specification()
        if not any(known is self for known in _saved):
            _saved.append(self)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("{} must be a text that is not empty, not {!r}".format(what, value))
    return value
