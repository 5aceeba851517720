"""Shapes and records: what both ends of the wire talk about, the bounds they keep, and the checks of received items."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union
else:
    from .namedtuples import NamedTuple


class WireError(ValueError):
    """Bytes that are not a message of this protocol, or one that exceeds its bounds."""


WORKFLOW_BEGIN, WORKFLOW_END, WORKFLOW_FAILED, TASK_BEGIN, TASK_END, TASK_FAILED, TASK_USED = range(1, 8)
STATUSES = frozenset(range(1, 8))
"""Kinds of records."""

PARENT, PARENT_TRANSFORMATION = "parent", "parent_transformation"
"""Names of the additional columns that say of which task a task is a part."""

HOST, RUN = "host", "run"
"""What a client may tell of itself that becomes part of each of its tasks."""

MAX_PAYLOAD = 8 << 20
"""Largest message, in bytes."""
MAX_CONTENT = 32 << 20
"""Largest decompressed content of a batch, in bytes."""
MAX_RECORDS = 1 << 14
"""Most records in a batch."""
MAX_CELLS = 1 << 21
"""Most attribute values in a batch."""
MAX_COLUMN = 1 << 16
"""Longest column: values of one attribute in one group."""
MAX_SHAPES = 4096
"""Shapes of one client that both ends remember; announcing one more forgets the one with the lowest number."""
MAX_NAME = 256
"""Longest client, user, tag or attribute name, in characters."""


class SetShape(NamedTuple):
    """One set within a shape: ``rows`` rows of ``width`` values for each record."""

    tag: str
    names: Optional[Tuple[str, ...]]  # None: the values are positional
    width: int
    rows: int = 1
    derivations: Tuple[str, ...] = ()  # identities of the data that this one was derived from


class Shape(NamedTuple):
    """What records of one group have in common."""

    kind: int  # one of STATUSES
    workflow: str
    transformation: str  # empty for a workflow's own records
    sets: Tuple[SetShape, ...] = ()
    extras: Tuple[str, ...] = ()  # names of additional columns

    def to_wire(self) -> List[Any]:
        """Lists and scalars for MessagePack; also what a translator persists (see :meth:`from_wire`)."""
        return [
            self.kind,
            self.workflow,
            self.transformation,
            [[s.tag, s.width if s.names is None else list(s.names), s.rows, list(s.derivations)] for s in self.sets],
            list(self.extras),
        ]

    @classmethod
    def from_wire(cls, value: Any) -> "Shape":
        """Inverse of :meth:`to_wire`; checks everything."""
        kind, workflow, transformation, sets, extras = as_list(value, 5, "a shape")
        if type(kind) is not int or kind not in STATUSES:
            raise WireError("unknown kind of record {!r}".format(kind))
        parsed = []
        for item in as_list(sets, None, "sets"):
            tag, names, rows, derivations = as_list(item, 4, "a set")
            if type(names) is list:
                attributes: Optional[Tuple[str, ...]] = as_names(names, "attribute")
                width = len(names)
            else:
                attributes, width = None, as_int(names, 0, MAX_COLUMN, "number of values")
            rows = as_int(rows, 0, MAX_COLUMN, "number of rows")
            parsed.append(SetShape(as_name(tag, "set"), attributes, width, rows, as_names(derivations, "derivation")))
        return cls(
            kind,
            as_name(workflow, "workflow"),
            as_name(transformation, "transformation"),
            tuple(parsed),
            as_names(extras, "extra column"),
        )


class Record(NamedTuple):
    """One thing that happened, as the encoding side takes it.

    ``sets`` holds ``(set shape, values)``, values row by row in one flat sequence of plain values.
    """

    kind: int
    workflow: str
    transformation: str
    task: Union[int, str, None]
    time_us: int  # microseconds since the epoch, UTC
    dependencies: Sequence[Union[int, str]] = ()
    error: str = ""
    sets: Sequence[Tuple[SetShape, Sequence[Any]]] = ()
    extras: Optional[Mapping[str, Any]] = None


def as_list(value: Any, length: Optional[int], what: str) -> List[Any]:
    if type(value) is not list or (length is not None and len(value) != length):
        raise WireError("{} must be a list{}".format(what, "" if length is None else " of {}".format(length)))
    return value


def as_int(value: Any, low: int, high: int, what: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise WireError("{} must be an integer from {} to {}".format(what, low, high))
    return value


def as_text(value: Any, what: str) -> str:
    if type(value) is not str:
        raise WireError("{} must be a text".format(what))
    return value


def as_name(value: Any, what: str) -> str:
    if type(value) is not str or len(value) > MAX_NAME:
        raise WireError("the name of a {} must be a text of at most {} characters".format(what, MAX_NAME))
    return value


def as_names(values: Any, what: str) -> Tuple[str, ...]:
    return tuple([as_name(value, what) for value in as_list(values, None, what)])
