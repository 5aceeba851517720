"""What an export is made of: tasks with all that belongs to them, and what they refer to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


class AttributeInfo(NamedTuple):
    """An attribute of a set; one that is no longer declared is named like its column where the name is in use."""

    id: int
    name: str
    type: str  # as declared
    column: str
    numeric: bool


@dataclass
class SetInfo:
    """A set and its table."""

    id: int
    flow: int
    tag: str
    table: str
    attributes: list[AttributeInfo] = field(default_factory=list)
    links: list[tuple[int, str, bool]] = field(default_factory=list)  # transformation, column, whether it makes the set


class Element(NamedTuple):
    """One row of a set. Attributes that are NULL are left out; numbers that a double cannot hold are exact."""

    set: SetInfo
    id: int
    values: list[tuple[AttributeInfo, Any]]


class File(NamedTuple):
    """A row of ``file``."""

    id: int
    name: str
    path: str
    size: int | None
    digest: str | None
    problem: str | None
    set: SetInfo | None
    attribute: str | None
    made: bool  # as part of an output


@dataclass
class Task:
    """A row of ``task``."""

    id: int
    version: int
    step: int
    status: str | None
    host: str | None
    error: str | None
    client: int | None
    key: str
    workflow: str | None
    parent: int | None
    started: datetime | None
    ended: datetime | None
    run_name: str | None  # of the experiment's run that it is part of
    run: int | None = None  # row of ``workflow``
    used: list[Element] = field(default_factory=list)
    made: list[Element] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    dependencies: list[tuple[str, int | None]] = field(default_factory=list)
    derivations: list[tuple[int, str]] = field(default_factory=list)  # set, what it was derived from
    extras: list[tuple[str, str]] = field(default_factory=list)
    parent_step: int | None = None  # transformation of the parent


class Run(NamedTuple):
    """A row of ``workflow``."""

    id: int
    version: int
    client: int | None
    tag: str
    status: str | None
    error: str | None
    started: datetime | None
    ended: datetime | None


class Flow(NamedTuple):
    """A dataflow."""

    id: int
    tag: str
    declared: bool


class Version(NamedTuple):
    """A declaration of a dataflow."""

    number: int
    flow: int
    digest: str | None
    definition: str | None
    created: datetime


class Client(NamedTuple):
    """A process that sent records."""

    id: int
    user: str
    name: str
    host: str | None
