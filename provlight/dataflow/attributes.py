"""Attributes, and what sets and transformations have beside them: extractors and programs."""

from __future__ import annotations

from enum import Enum
from typing import Any, Dict, List, Type, TypeVar, Union

from .kinds import AttributeType, ExtractorCartridge, ExtractorExtension

Specification = Dict[str, Any]

_E = TypeVar("_E", bound=Enum)
_T = TypeVar("_T")


class Attribute:
    """One column of a set.

    Args:
        name: name of the column; ``tag`` is another name of this argument.
        type: an :class:`AttributeType` or its name.
        extractor: the :class:`Extractor` of its set (or that one's tag) that draws its values from files.
    """

    def __init__(
        self, name: str = "", type: Any = None, extractor: "Union[Extractor, str]" = "", *, tag: str = ""
    ) -> None:
        name = name or tag
        if not isinstance(name, str) or not name.strip():
            raise TypeError("the name of an attribute must be a text that is not empty, not {!r}".format(name))
        self.name = name.strip()
        self._type = chosen(type, AttributeType, "the type of attribute {!r}".format(name))
        self._extractor = ""
        if extractor:
            self._extractor = checked_tag(getattr(extractor, "tag", extractor), "the extractor of {!r}".format(name))

    @property
    def type(self) -> str:
        """Name of the type."""
        return str(self._type.value)

    @type.setter
    def type(self, value: AttributeType) -> None:
        self._type = chosen(value, AttributeType, "the type of attribute {!r}".format(self.name))

    def get_specification(self) -> Specification:
        """The JSON object of the attribute."""
        specification = {"name": self.name, "type": self.type}
        if self._extractor:
            specification["extractor"] = self._extractor
        return specification

    def __repr__(self) -> str:
        return "{}:{}".format(self.name, self.type)


class Extractor:
    """How the attributes of a set are drawn from raw data files.

    Args:
        tag: name of the extractor.
        cartridge: extraction or indexing.
        extension: what it reads or builds.
    """

    def __init__(self, tag: str, cartridge: ExtractorCartridge, extension: ExtractorExtension) -> None:
        self._tag = checked_tag(tag, "an extractor")
        self.add_cartridge(cartridge)
        self.add_extension(extension)
        self.setTag = self.transformationTag = self.dataflowTag = ""
        """Tags of what it belongs to, which DfAnalyzer's library carries along."""

    @property
    def tag(self) -> str:
        """Name of the extractor, in lower case."""
        return self._tag

    @property
    def cartridge(self) -> str:
        """Name of the cartridge."""
        return str(self._cartridge.value)

    @cartridge.setter
    def cartridge(self, value: ExtractorCartridge) -> None:
        self.add_cartridge(value)

    @property
    def extension(self) -> str:
        """Name of the extension."""
        return str(self._extension.value)

    @extension.setter
    def extension(self, value: ExtractorExtension) -> None:
        self.add_extension(value)

    def add_cartridge(self, cartridge: ExtractorCartridge) -> None:
        """Set what it does."""
        self._cartridge = chosen(cartridge, ExtractorCartridge, "the cartridge of extractor {!r}".format(self._tag))

    def add_extension(self, extension: ExtractorExtension) -> None:
        """Set what it reads or builds."""
        self._extension = chosen(extension, ExtractorExtension, "the extension of extractor {!r}".format(self._tag))

    def get_specification(self) -> Specification:
        """The JSON object of the extractor."""
        specification = {"tag": self.tag, "cartridge": self.cartridge, "extension": self.extension}
        for key in ("setTag", "transformationTag", "dataflowTag"):
            if getattr(self, key):
                specification[key] = getattr(self, key)
        return specification


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


def checked_tag(value: Any, what: str) -> str:
    """A tag, in lower case.

    Raises:
        TypeError: not a text, or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise TypeError("the tag of {} must be a text that is not empty, not {!r}".format(what, value))
    return value.strip().lower()


def chosen(value: Any, kind: Type[_E], what: str) -> _E:
    """A member of a closed list, given as it is or by its name.

    Raises:
        TypeError: something else.
    """
    if isinstance(value, kind):
        return value
    for member in kind:
        if isinstance(value, str) and value.upper() == member.value:
            return member
    names = ", ".join(member.name for member in kind)
    raise TypeError("{} must be a {} ({}), not {!r}".format(what, kind.__name__, names, value))


def listed(values: Any, kind: Type[_T], what: str) -> List[_T]:
    """A new list of objects of one kind.

    Raises:
        TypeError: not a list, or it holds something else.
    """
    if not isinstance(values, (list, tuple)):
        raise TypeError("{} must be a list, not {!r}".format(what, values))
    for value in values:
        if not isinstance(value, kind):
            raise TypeError("{} must hold {} objects, not {!r}".format(what, kind.__name__, value))
    return list(values)


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("{} must be a text that is not empty, not {!r}".format(what, value))
    return value
