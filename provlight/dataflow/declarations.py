"""Dataflow, transformations and sets.

A set is copied when it is given to a transformation, and a transformation when it is given to a dataflow: published
specifications turn one transformation's output set into the next one's input by changing the same object.
The JSON is the one DfAnalyzer's service reads at ``/pde/dataflow/json``.
"""

from __future__ import annotations

from typing import Any, List, Sequence, Union

from .attributes import Attribute, Extractor, Program, Specification, checked_tag, chosen, listed
from .kinds import AttributeType, SetType

_saved: List["Dataflow"] = []


def saved() -> List["Dataflow"]:
    """The dataflows that were saved in this process, in order."""
    return list(_saved)


class DataSet:
    """A set that a transformation reads or writes. Also known as ``Set``.

    Args:
        tag: name of the set; in lower case from then on.
        type: whether it is read or written: a :class:`SetType`.
        attributes: its columns, in order.
        extractors: how they are drawn from raw data files.
        dependency: tag of the transformation that wrote it, for a set that is read.
    """

    def __init__(
        self,
        tag: str,
        type: Any,
        attributes: Sequence[Attribute] = (),
        extractors: Sequence[Extractor] = (),
        dependency: str = "",
    ) -> None:
        self._tag = checked_tag(tag, "a set")
        self._attributes = listed(attributes, Attribute, "the attributes of set {!r}".format(tag))
        self._extractors = listed(extractors, Extractor, "the extractors of set {!r}".format(tag))
        self._combinations: List[Specification] = []
        self._dependency = ""
        self.set_type(type)
        self.dependency = dependency

    @property
    def tag(self) -> str:
        """Name of the set, in lower case."""
        return self._tag

    @property
    def type(self) -> str:
        """``INPUT`` or ``OUTPUT``."""
        return str(self._type.value)

    @type.setter
    def type(self, value: SetType) -> None:
        self.set_type(value)

    def set_type(self, type: SetType) -> None:
        """Make it a set that is read or written."""
        self._type = chosen(type, SetType, "the type of set {!r}".format(self._tag))

    @property
    def dependency(self) -> str:
        """Tag of the transformation that wrote it, empty if there is none."""
        return self._dependency

    @dependency.setter
    def dependency(self, transformation: Any) -> None:
        tag = getattr(transformation, "tag", transformation)
        self._dependency = checked_tag(tag, "the dependency of set {!r}".format(self._tag)) if tag else ""

    @property
    def attributes(self) -> List[Specification]:
        """JSON objects of the attributes."""
        return [attribute.get_specification() for attribute in self._attributes]

    @attributes.setter
    def attributes(self, attributes: Sequence[Attribute]) -> None:
        self._attributes = listed(attributes, Attribute, "the attributes of set {!r}".format(self._tag))

    @property
    def extractors(self) -> List[Specification]:
        """JSON objects of the extractors."""
        return [extractor.get_specification() for extractor in self._extractors]

    @extractors.setter
    def extractors(self, extractors: Sequence[Extractor]) -> None:
        self._extractors = listed(extractors, Extractor, "the extractors of set {!r}".format(self._tag))

    def add_attribute(self, attribute: Attribute) -> None:
        """Add a column."""
        self._attributes += listed([attribute], Attribute, "the attributes of set {!r}".format(self._tag))

    def add_extractor(self, extractor: Extractor) -> None:
        """Add an extractor."""
        self._extractors += listed([extractor], Extractor, "the extractors of set {!r}".format(self._tag))

    def combine(
        self,
        outer: Union[Extractor, str],
        inner: Union[Extractor, str],
        keys: Sequence[str],
        key_types: Sequence[Union[AttributeType, str]],
    ) -> None:
        """Say that the rows of two extractors belong together where the keys are equal."""
        ends = [checked_tag(getattr(one, "tag", one), "a combined extractor") for one in (outer, inner)]
        types = [chosen(kind, AttributeType, "the type of a key").value for kind in key_types]
        self._combinations.append(
            {"outer": ends[0], "inner": ends[1], "keys": ";".join(keys), "key_types": ";".join(types)}
        )

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
            specification["extractors"] = self.extractors
        if self._combinations:
            specification["extractor.combinations"] = list(self._combinations)
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
        self._tag = checked_tag(tag, "a transformation")
        self._sets: List[Specification] = []
        self._programs = listed(programs, Program, "the programs of transformation {!r}".format(tag))
        self.sets = sets

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
        given = listed(sets, DataSet, "the sets of transformation {!r}".format(self._tag))
        self._sets = [item.get_specification() for item in given]

    def set_sets(self, sets: Sequence[DataSet]) -> None:
        """Add sets."""
        for item in listed(sets, DataSet, "the sets of transformation {!r}".format(self._tag)):
            self.add_set(item)

    def add_set(self, dataset: DataSet) -> None:
        """Add a set."""
        for item in listed([dataset], DataSet, "the sets of transformation {!r}".format(self._tag)):
            self._sets.append(item.get_specification())

    def add_program(self, program: Program) -> None:
        """Add a program."""
        self._programs += listed([program], Program, "the programs of transformation {!r}".format(self._tag))

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
        self.sets = sets
        self._sets = kept + self._sets


class Dataflow:
    """The declared shape of an application's provenance.

    Args:
        tag: its name; in lower case from then on.
        transformations: its steps.
    """

    def __init__(self, tag: str, transformations: Sequence[Transformation] = ()) -> None:
        self._tag = checked_tag(tag, "a dataflow")
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
        given = listed(transformations, Transformation, "the transformations of dataflow {!r}".format(self._tag))
        self._transformations = [item.get_specification() for item in given]

    def add_transformation(self, transformation: Transformation) -> None:
        """Add a step."""
        what = "the transformations of dataflow {!r}".format(self._tag)
        for item in listed([transformation], Transformation, what):
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
