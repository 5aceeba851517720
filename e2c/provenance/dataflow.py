"""Declared dataflows: evaluated from a specification file, and checked.

The JSON is the one that ``dfa_lib_python`` sends to DfAnalyzer: transformations with input and output sets, sets with
typed attributes.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2c.errors import DataflowError
from e2c.provenance.names import checked

MAX_OUTPUT = 16 << 20
"""Longest evaluated dataflow, in bytes of JSON."""

MEMORY_LIMIT = 2 << 30
"""Address space of the evaluating process, in bytes."""

NUMERIC, TEXT = "NUMERIC", "TEXT"
TYPES = {"NUMERIC": NUMERIC, "TEXT": TEXT, "LONG_TEXT": TEXT, "FILE": TEXT, "RDFILE": TEXT}
"""How the values of each declared type are stored."""

MAX_ATTRIBUTES = 1000
"""Most attributes of a set."""


@dataclass(frozen=True)
class Attribute:
    """A typed column of a set."""

    name: str
    type: str  # as declared: a key of TYPES


@dataclass(frozen=True)
class DataSet:
    """A set as one transformation declares it."""

    tag: str
    output: bool
    attributes: tuple[Attribute, ...]
    dependency: str | None = None  # transformation that produces it


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
    document: str  # canonical JSON of the declaration

    @property
    def digest(self) -> str:
        """Same declaration, same digest."""
        return hashlib.sha256(self.document.encode()).hexdigest()


def evaluate(path: Path, timeout_s: float) -> list[dict[str, Any]]:
    """Run a specification file in a process of its own and collect the dataflows it saves.

    Args:
        path: a Python file that uses ``dfa_lib_python`` or ``provlight.dataflow``.
        timeout_s: limit in seconds; the process and all it started are killed afterwards.

    Returns:
        The dataflows in the JSON form of ``dfa_lib_python``, checked by :func:`parse`.

    Raises:
        DataflowError: the file is missing, fails, takes too long, saves nothing, or declares something impossible.
    """
    path = Path(path)
    if not path.is_file():
        raise DataflowError(
            "the dataflow specification does not exist", where=str(path), hint="Check `dataflow_spec` and its folder"
        )
    root = str(Path(__file__).resolve().parents[2])
    search = os.pathsep.join(item for item in (root, os.environ.get("PYTHONPATH", "")) if item)
    process = subprocess.Popen(
        [sys.executable, "-m", "provlight.dataflow.evaluate", str(path.resolve())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=path.resolve().parent,
        env={**os.environ, "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    )
    resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    try:
        output, errors = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise DataflowError(
            f"the dataflow specification did not end within {timeout_s:g} s",
            where=str(path),
            hint="A specification only declares; take long work out of it",
        ) from error
    finally:
        with suppress(ProcessLookupError):  # nothing of it is left: what we want
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise DataflowError(
            "the dataflow specification failed",
            where=str(path),
            why=lines[-1] if lines else f"exit code {process.returncode}",
        )
    return read(output, str(path))


def read(document: bytes, where: str) -> list[dict[str, Any]]:
    """Dataflows of a JSON document: ``{"dataflows": [...]}``, a list, or a single dataflow.

    Raises:
        DataflowError: not JSON, or wrong.
    """
    if len(document) > MAX_OUTPUT:
        raise DataflowError(f"the dataflow has more than {MAX_OUTPUT} bytes", where=where)
    try:
        value = json.loads(document)
    except ValueError as error:
        raise DataflowError("the dataflow is not JSON", where=where, why=str(error)) from error
    if isinstance(value, dict):
        value = value.get("dataflows", [value])
    try:
        parse(value)
    except DataflowError as error:
        raise DataflowError(error.what, where=where, why=error.why, hint=error.hint) from error
    found: list[dict[str, Any]] = value
    return found


def parse(documents: Sequence[Any]) -> list[Dataflow]:
    """Check dataflows and give them as objects.

    Raises:
        DataflowError: a name or type is wrong, something is declared twice, or refers to what does not exist.
    """
    flows = [_dataflow(item) for item in _items(documents, "dataflows")]
    _unique([flow.tag for flow in flows], "dataflow")
    return flows


def _dataflow(value: Any) -> Dataflow:
    fields = _mapping(value, "dataflow")
    tag = checked(fields.get("tag"), "dataflow").lower()
    transformations = tuple(_transformation(item) for item in _items(fields.get("transformations", []), tag))
    tags = [item.tag for item in transformations]
    _unique(tags, f"transformation of {tag!r}")
    producers = {item.tag: {one.tag for one in item.sets if one.output} for item in transformations}
    attributes: dict[str, tuple[Attribute, ...]] = {}
    for transformation in transformations:
        for item in transformation.sets:
            if item.dependency is not None and item.tag not in producers.get(item.dependency, ()):
                raise DataflowError(
                    f"set {item.tag!r} of {transformation.tag!r} depends on {item.dependency!r}, "
                    "which does not produce it",
                    hint="Name a transformation that has it as an output set",
                )
            own = item.attributes if item.dependency is None else ()
            if own and attributes.setdefault(item.tag, own) != own:
                raise DataflowError(f"set {item.tag!r} of dataflow {tag!r} is declared with different attributes")
    document = json.dumps({**fields, "tag": tag}, sort_keys=True, ensure_ascii=False)
    return Dataflow(tag, transformations, document)


def _transformation(value: Any) -> Transformation:
    fields = _mapping(value, "transformation")
    tag = checked(fields.get("tag"), "transformation").lower()
    sets = tuple(_set(item, tag) for item in _items(fields.get("sets", []), f"sets of {tag!r}"))
    _unique([f"{item.tag} as {'output' if item.output else 'input'}" for item in sets], f"set of {tag!r}")
    programs = tuple(
        Program(checked(item.get("name"), "program"), checked(item.get("path"), "program's path"))
        for item in (_mapping(one, "program") for one in _items(fields.get("programs", []), f"programs of {tag!r}"))
    )
    return Transformation(tag, sets, programs)


def _set(value: Any, transformation: str) -> DataSet:
    fields = _mapping(value, "set")
    tag = checked(fields.get("tag"), f"set of {transformation!r}").lower()
    kind = fields.get("type")
    if kind not in ("INPUT", "OUTPUT"):
        raise DataflowError(f"set {tag!r} must be of type INPUT or OUTPUT", why=f"it is {kind!r}")
    attributes = tuple(_attribute(item, tag) for item in _items(fields.get("attributes", []), f"attributes of {tag!r}"))
    if len(attributes) > MAX_ATTRIBUTES:
        raise DataflowError(f"set {tag!r} has more than {MAX_ATTRIBUTES} attributes")
    _unique([item.name for item in attributes], f"attribute of {tag!r}")
    dependency = fields.get("dependency") or None
    if dependency is not None:
        dependency = checked(dependency, "dependency").lower()
    return DataSet(tag, kind == "OUTPUT", attributes, dependency)


def _attribute(value: Any, tag: str) -> Attribute:
    fields = _mapping(value, f"attribute of {tag!r}")
    name = checked(fields.get("name"), f"attribute of {tag!r}")
    kind = fields.get("type")
    if kind not in TYPES:
        raise DataflowError(f"attribute {name!r} of {tag!r} must have one of the types {', '.join(TYPES)}")
    return Attribute(name, kind)


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataflowError(f"a {what} must be a JSON object", why=f"it is {value!r:.60}")
    return value


def _items(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataflowError(f"{what} must be a list", why=f"it is {value!r:.60}")
    return value


def _unique(names: Sequence[str], what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataflowError(f"a {what} is declared twice", why=", ".join(repeated))
