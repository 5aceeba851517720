"""Declared dataflows: their parts, and the checks of a declaration.

The JSON is the one that ``dfa_lib_python`` sends to DfAnalyzer: transformations with input and output sets, sets with
typed attributes and extractors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from e2c.errors import DataflowError
from e2c.provenance.names import checked

NUMERIC, TEXT = "NUMERIC", "TEXT"
TYPES = {"NUMERIC": NUMERIC, "TEXT": TEXT, "LONG_TEXT": TEXT, "FILE": TEXT, "RDFILE": TEXT}
"""How the values of each declared type are stored."""

CARTRIDGES = ("EXTRACTION", "INDEXING")
EXTENSIONS = ("PROGRAM", "CSV", "FITS", "FASTBIT", "OPTIMIZED_FASTBIT", "POSTGRES_RAW")
"""What extractors do, and what they read or build."""

MAX_ATTRIBUTES = 1000
"""Most attributes of a set."""

MAX_SAID = 10
"""Most problems of a declaration that one message names."""


@dataclass(frozen=True)
class Attribute:
    """A typed column of a set."""

    name: str
    type: str  # as declared: a key of TYPES
    extractor: str | None = None  # the one that draws its values from a file


@dataclass(frozen=True)
class Extractor:
    """How attributes of a set are drawn from raw data files."""

    tag: str
    cartridge: str
    extension: str


@dataclass(frozen=True)
class Combination:
    """Two extractors of a set whose rows belong together where the keys are equal."""

    outer: str
    inner: str
    keys: str
    key_types: str


@dataclass(frozen=True)
class DataSet:
    """A set as one transformation declares it."""

    tag: str
    output: bool
    attributes: tuple[Attribute, ...]
    dependency: str | None = None  # transformation that produces it
    extractors: tuple[Extractor, ...] = ()
    combinations: tuple[Combination, ...] = ()


@dataclass(frozen=True)
class Program:
    """A program that performs a transformation."""

    name: str
    path: str


@dataclass(frozen=True)
class Transformation:
    """A kind of step in a dataflow."""

    tag: str
    sets: tuple[DataSet, ...]
    programs: tuple[Program, ...] = ()


@dataclass(frozen=True)
class Dataflow:
    """A declared dataflow; tags are in lower case."""

    tag: str
    transformations: tuple[Transformation, ...]

    @cached_property
    def document(self) -> str:
        """JSON of the declaration, in its order."""
        return json.dumps(_document(self), sort_keys=True, ensure_ascii=False)

    @cached_property
    def digest(self) -> str:
        """Same declaration, same digest: the order of transformations, of their sets and programs does not count."""
        ordered = [
            replace(
                step,
                sets=tuple(sorted(step.sets, key=lambda item: (item.tag, item.output))),
                programs=tuple(sorted(step.programs, key=lambda program: (program.name, program.path))),
            )
            for step in sorted(self.transformations, key=lambda step: step.tag)
        ]
        document = _document(Dataflow(self.tag, tuple(ordered)))
        return hashlib.sha256(json.dumps(document, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def attributes(self) -> dict[str, tuple[Attribute, ...]]:
        """The attributes of each set: those of the declaration that has some and does not take the producer's."""
        found: dict[str, tuple[Attribute, ...]] = {}
        for step in self.transformations:
            for item in step.sets:
                own = item.attributes if item.dependency is None else ()
                found[item.tag] = found.get(item.tag) or own
        return found


def parse(documents: Any) -> list[Dataflow]:
    """Check dataflows and give them as objects.

    Raises:
        DataflowError: a name or type is wrong, something is declared twice, or refers to what does not exist. Several
            problems are named together.
    """
    reader = _Reader()
    flows = [reader.dataflow(item) for item in reader.items(documents, "dataflows")]
    reader.unique([flow.tag for flow in flows], "dataflow")
    problems = reader.problems
    if len(problems) == 1:
        raise problems[0]
    if problems:
        said = "; ".join(problem.what + (f" ({problem.why})" if problem.why else "") for problem in problems[:MAX_SAID])
        more = f"; and {len(problems) - MAX_SAID} more" if len(problems) > MAX_SAID else ""
        raise DataflowError(f"the dataflow has {len(problems)} problems: {said}{more}")
    return flows


def same(flow: Dataflow, digest: str | None, definition: str | None) -> bool:
    """Whether a stored version is this declaration.

    Args:
        digest, definition: of the stored version. The definition counts too: other versions of this program made other
            digests.
    """
    if digest == flow.digest:
        return True
    if definition is None:
        return False
    try:
        return parse([json.loads(definition)])[0].digest == flow.digest
    except ValueError:
        return False


@dataclass
class _Reader:
    """Reads a declaration to its end and keeps what is wrong in it."""

    problems: list[DataflowError] = field(default_factory=list)

    def dataflow(self, value: Any) -> Dataflow:
        fields = self._mapping(value, "dataflow")
        tag = self._tag(fields.get("tag"), "dataflow")
        items = self.items(fields.get("transformations", []), f"transformations of {tag!r}")
        flow = Dataflow(tag, tuple(self._transformation(item) for item in items))
        self.unique([step.tag for step in flow.transformations], f"transformation of {tag!r}")
        producers = {step.tag: {one.tag for one in step.sets if one.output} for step in flow.transformations}
        for step in flow.transformations:
            for item in step.sets:
                if item.dependency is not None and item.tag not in producers.get(item.dependency, ()):
                    self._wrong(
                        f"set {item.tag!r} of {step.tag!r} depends on {item.dependency!r}, which does not produce it",
                        hint="Name a transformation that has it as an output set",
                    )
        self._compare_sets(flow)
        return flow

    def _compare_sets(self, flow: Dataflow) -> None:
        """A set has the same attributes and extractors wherever they are given."""
        attributes = flow.attributes()
        known: dict[tuple[str, str], Extractor] = {}
        different = set()
        for item in (item for step in flow.transformations for item in step.sets):
            if item.dependency is None and item.attributes not in ((), attributes[item.tag]):
                different.add(f"set {item.tag!r} of dataflow {flow.tag!r} is declared with different attributes")
            for extractor in item.extractors:
                if known.setdefault((item.tag, extractor.tag), extractor) != extractor:
                    different.add(f"extractor {extractor.tag!r} of set {item.tag!r} is declared in different ways")
        for tag, found in attributes.items():
            for attribute in found:
                if attribute.extractor is not None and (tag, attribute.extractor) not in known:
                    different.add(
                        f"attribute {attribute.name!r} of set {tag!r} names the extractor {attribute.extractor!r}, "
                        "which the set does not have"
                    )
        for problem in sorted(different):
            self._wrong(problem)

    def _transformation(self, value: Any) -> Transformation:
        fields = self._mapping(value, "transformation")
        tag = self._tag(fields.get("tag"), "transformation")
        sets = tuple(self._set(item, tag) for item in self.items(fields.get("sets", []), f"sets of {tag!r}"))
        self.unique([f"{item.tag} as {'output' if item.output else 'input'}" for item in sets], f"set of {tag!r}")
        programs = []
        for one in self.items(fields.get("programs", []), f"programs of {tag!r}"):
            item = self._mapping(one, "program")
            name = self._name(item.get("name"), f"program of {tag!r}")
            path = self._text(item.get("path"), f"the path of program {name!r} of {tag!r}")
            programs.append(Program(name, path))
        return Transformation(tag, sets, tuple(dict.fromkeys(programs)))

    def _set(self, value: Any, transformation: str) -> DataSet:
        fields = self._mapping(value, "set")
        tag = self._tag(fields.get("tag"), f"set of {transformation!r}")
        kind = fields.get("type")
        if kind not in ("INPUT", "OUTPUT"):
            self._wrong(f"set {tag!r} of {transformation!r} must be of type INPUT or OUTPUT", f"it is {kind!r:.60}")
        listed = self.items(fields.get("attributes", []), f"attributes of {tag!r}")
        attributes = tuple(self._attribute(item, tag) for item in listed)
        if len(attributes) > MAX_ATTRIBUTES:
            self._wrong(f"set {tag!r} has more than {MAX_ATTRIBUTES} attributes")
        self.unique([item.name for item in attributes], f"attribute of {tag!r}")
        dependency = fields.get("dependency") or None
        if dependency is not None:
            dependency = self._tag(dependency, f"transformation on which set {tag!r} depends", "the")
        listed = self.items(fields.get("extractors", []), f"extractors of {tag!r}")
        extractors = tuple(self._extractor(item, tag) for item in listed)
        self.unique([item.tag for item in extractors], f"extractor of {tag!r}")
        combinations = fields.get("extractor.combinations", fields.get("extractor_combinations", []))
        tags = {item.tag for item in extractors}
        combined = tuple(
            self._combination(item, tag, tags) for item in self.items(combinations, f"combinations of {tag!r}")
        )
        return DataSet(tag, kind == "OUTPUT", attributes, dependency, extractors, combined)

    def _attribute(self, value: Any, tag: str) -> Attribute:
        fields = self._mapping(value, f"attribute of {tag!r}")
        name = self._name(fields.get("name"), f"attribute of {tag!r}", "an")
        kind = fields.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            self._wrong(
                f"attribute {name!r} of {tag!r} must have one of the types {', '.join(TYPES)}", f"it has {kind!r:.60}"
            )
            kind = TEXT
        extractor = fields.get("extractor") or None
        if isinstance(extractor, dict):
            extractor = extractor.get("tag")
        if extractor is not None:
            extractor = self._tag(extractor, f"extractor of attribute {name!r}", "the")
        return Attribute(name, kind, extractor)

    def _extractor(self, value: Any, tag: str) -> Extractor:
        fields = self._mapping(value, f"extractor of {tag!r}")
        name = self._tag(fields.get("tag"), f"extractor of {tag!r}", "an")
        choices = []
        for key, known in (("cartridge", CARTRIDGES), ("extension", EXTENSIONS)):
            given = fields.get(key)
            if isinstance(given, list) and len(given) == 1:
                given = given[0]  # dfa_lib_python 1.0.0 sends FASTBIT and OPTIMIZED_FASTBIT like this
            if given not in known:
                self._wrong(
                    f"extractor {name!r} of {tag!r} must have one of the {key}s {', '.join(known)}",
                    f"it has {given!r:.60}",
                )
            choices.append(str(given))
        return Extractor(name, *choices)

    def _combination(self, value: Any, tag: str, extractors: set[str]) -> Combination:
        fields = self._mapping(value, f"combination of extractors of {tag!r}")
        outer, inner = (self._tag(fields.get(key), f"{key} extractor of {tag!r}", "the") for key in ("outer", "inner"))
        for end in (outer, inner):
            if end not in extractors:
                self._wrong(f"set {tag!r} combines the extractor {end!r}, which it does not have")
        keys, types = (_joined(fields.get(key, "")) for key in ("keys", "key_types"))
        return Combination(outer, inner, keys, types)

    # ---------------------------------------------------------------------------------------------------- pieces

    def _wrong(self, what: str, why: str | None = None, hint: str | None = None) -> None:
        self.problems.append(DataflowError(what, why=why, hint=hint))

    def _name(self, value: Any, what: str, article: str = "a") -> str:
        return self._text(value, f"the name of {article} {what}")

    def _text(self, value: Any, what: str) -> str:
        try:
            return checked(value, what)
        except DataflowError as error:
            self.problems.append(error)
            return "?"

    def _tag(self, value: Any, what: str, article: str = "a") -> str:
        return self._name(value, what, article).lower()

    def _mapping(self, value: Any, what: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self._wrong(f"a {what} must be a JSON object", f"it is {value!r:.60}")
        return {}

    def items(self, value: Any, what: str) -> list[Any]:
        """The items of a JSON list; a wrong one has none."""
        if isinstance(value, (list, tuple)):
            return list(value)
        self._wrong(f"the {what} must be a list", f"it is {value!r:.60}")
        return []

    def unique(self, names: Sequence[str], what: str) -> None:
        """Complain when a name occurs twice."""
        repeated = sorted({name for name in names if names.count(name) > 1} - {"?"})
        if repeated:
            self._wrong(f"a {what} is declared twice", ", ".join(repeated))


def _joined(value: Any) -> str:
    return ";".join(map(str, value)) if isinstance(value, list) else str(value)


def _document(flow: Dataflow) -> dict[str, Any]:
    return {"tag": flow.tag, "transformations": [_step(step) for step in flow.transformations]}


def _step(step: Transformation) -> dict[str, Any]:
    sets = []
    for item in step.sets:
        made: dict[str, Any] = {"tag": item.tag, "type": "OUTPUT" if item.output else "INPUT"}
        made["attributes"] = [{key: value for key, value in vars(one).items() if value} for one in item.attributes]
        if item.dependency:
            made["dependency"] = item.dependency
        if item.extractors:
            made["extractors"] = [vars(one) for one in item.extractors]
        if item.combinations:
            made["extractor.combinations"] = [vars(one) for one in item.combinations]
        sets.append(made)
    document: dict[str, Any] = {"tag": step.tag, "sets": sets}
    if step.programs:
        document["programs"] = [vars(one) for one in step.programs]
    return document
