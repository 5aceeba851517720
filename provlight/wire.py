"""The wire format between a device and the translator: topics, messages, batches, acknowledgements.

A *message* is a small frame made anew at each sending, followed by an immutable *body*. A body is one *batch*: records
grouped by *shape*, each group in columns. ``docs/explanation/wire-format.md`` describes every byte.

The encoding side::

    encoder = Encoder(client)
    body = encoder.encode(seq, records)
    payload = frame(body, base=lowest_unacknowledged_seq)

The decoding side keeps, for each client, ``last`` (the sequence number stored last) and a table of shapes::

    message = open_message(payload)                    # cheap: nothing is decompressed
    if message.seq <= last: acknowledge again
    elif message.seq == last + 1 or message.seq == message.base > last: batch = message.decode(table)
    ... store batch, batch.announced and message.seq in one transaction, then:
    remember(table, batch.announced)
    publish(ack_topic(user, client), encode_ack(message.seq))
"""

from __future__ import annotations

from array import array
from itertools import chain

from .columns import Pool, decode_column
from .encoding import Encoder, make_tombstone
from .envelope import MAX_SEQ, SHUFFLED, TOMBSTONE, VERSION, BatchTooLargeError, Envelope, frame, unframe, unseal
from .files import EXTRA as FILES
from .files import FileFact
from .files import from_wire as files_from_wire
from .packing import pack, unpack
from .shapes import (
    MAX_CELLS,
    MAX_COLUMN,
    MAX_CONTENT,
    MAX_NAME,
    MAX_PAYLOAD,
    MAX_RECORDS,
    MAX_SHAPES,
    PARENT,
    PARENT_TRANSFORMATION,
    RUN,
    STATUSES,
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    TASK_USED,
    WORKFLOW_BEGIN,
    WORKFLOW_END,
    WORKFLOW_FAILED,
    Record,
    SetShape,
    Shape,
    WireError,
    as_int,
    as_list,
    as_text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

    from .columns import Column
else:
    from .namedtuples import NamedTuple

__all__ = [
    "FILES",
    "MAX_CELLS",
    "MAX_CONTENT",
    "MAX_NAME",
    "MAX_PAYLOAD",
    "MAX_RECORDS",
    "MAX_SHAPES",
    "PARENT",
    "PARENT_TRANSFORMATION",
    "RUN",
    "STATUSES",
    "TASK_BEGIN",
    "TASK_END",
    "TASK_FAILED",
    "TASK_USED",
    "VERSION",
    "WORKFLOW_BEGIN",
    "WORKFLOW_END",
    "WORKFLOW_FAILED",
    "Ack",
    "Batch",
    "BatchTooLargeError",
    "Encoder",
    "FileFact",
    "Group",
    "Message",
    "Record",
    "SetColumns",
    "SetShape",
    "Shape",
    "UnknownShapeError",
    "WireError",
    "ack_topic",
    "decode_ack",
    "encode_ack",
    "file_facts",
    "frame",
    "make_tombstone",
    "open_message",
    "parse_records_topic",
    "records_filter",
    "records_topic",
    "remember",
]

_RECORDS, _ACKS = "provlight", "provlight-ack"


class UnknownShapeError(WireError):
    """A batch refers to a shape that this end does not know: acknowledge with ``announce=True``."""


def records_topic(partition: Union[int, str], user: str, client: str) -> str:
    """Topic to which a client publishes its batches."""
    return "{}/{}/{}/{}".format(_RECORDS, partition, user, client)


def records_filter(partition: Union[int, str]) -> str:
    """Subscription for the batches of all clients of one partition."""
    return "{}/{}/+/+".format(_RECORDS, partition)


def parse_records_topic(topic: str) -> Tuple[str, str, str]:
    """``(partition, user, client)`` of a topic made by :func:`records_topic`."""
    levels = topic.split("/")
    if len(levels) != 4 or levels[0] != _RECORDS or not all(levels):
        raise WireError("topic {!r} is not {}/<partition>/<user>/<client>".format(topic, _RECORDS))
    return levels[1], levels[2], levels[3]


def ack_topic(user: str, client: str) -> str:
    """Topic on which a client is told what is stored."""
    return "{}/{}/{}".format(_ACKS, user, client)


class SetColumns(NamedTuple):
    """Decoded values of one set of a group: a column for each attribute.

    A column has ``records * shape.rows`` values: all rows of the first record, then those of the second.
    """

    shape: SetShape
    columns: List[Column]


class Group(NamedTuple):
    """Decoded records of one shape; item ``i`` of every sequence belongs to the same record."""

    shape: Shape
    records: int
    positions: Sequence[int]  # place of each record within the batch, in the order of capture
    tasks: Column  # int, str; None for a workflow's own records
    times_us: "array[Any]"
    dependency_counts: Optional["array[Any]"]  # None: no record of the group has dependencies
    dependency_ids: Column  # all dependencies of the first record, then those of the second
    errors: Optional[List[Any]]  # None: no record of the group failed
    sets: List[SetColumns]
    extras: Dict[str, Column]

    def dependencies(self) -> List[Tuple[Any, ...]]:
        """The dependencies of each record."""
        if self.dependency_counts is None:
            return [()] * self.records
        ids = iter(self.dependency_ids)
        return [tuple(next(ids) for _ in range(count)) for count in self.dependency_counts]


class Batch(NamedTuple):
    """A decoded body."""

    client: str
    seq: int
    announced: Dict[int, Shape]  # shapes to remember once this batch is stored
    about: Dict[str, Any]  # what a client tells of itself, in its first batch and with shapes it was asked for
    groups: List[Group]
    records: int
    lost: int  # records that the client had to drop (a tombstone), else 0
    reason: str  # why

    def in_order(self) -> List[Record]:
        """The records as they were captured. For tests and consoles: a store uses the columns."""
        placed: List[Tuple[int, Record]] = []
        for group in self.groups:
            dependencies = group.dependencies()
            for index in range(group.records):
                sets = []
                for item in group.sets:
                    rows = range(index * item.shape.rows, (index + 1) * item.shape.rows)
                    sets.append((item.shape, [column[row] for row in rows for column in item.columns]))
                placed.append(
                    (
                        group.positions[index],
                        Record(
                            group.shape.kind,
                            group.shape.workflow,
                            group.shape.transformation,
                            group.tasks[index],
                            group.times_us[index],
                            dependencies[index],
                            group.errors[index] if group.errors else "",
                            sets,
                            {name: _extra(name, column[index]) for name, column in group.extras.items()} or None,
                        ),
                    )
                )
        placed.sort(key=_first)
        return [record for _, record in placed]


def _first(pair: Tuple[int, Record]) -> int:
    return pair[0]


def _extra(name: str, value: Any) -> Any:
    return file_facts(value) if name == FILES and type(value) is bytes else value


def file_facts(packed: bytes) -> List[FileFact]:
    """What the additional column ``files`` says of the files of one record.

    Raises:
        WireError: malformed.
    """
    return files_from_wire(unpack(packed))


class Message(NamedTuple):
    """An opened message whose batch is not decoded yet."""

    base: int  # lowest sequence number that the client still holds
    client: str
    seq: int
    records: int  # records in the batch, or lost ones when it is a tombstone
    announcements: Any
    about: Any
    envelope: Envelope

    def decode(self, shapes: Mapping[int, Shape]) -> Batch:
        """Decode the batch with the client's known shapes (not changed: see :func:`remember`).

        Raises:
            UnknownShapeError: it refers to a shape that is neither known nor announced.
            WireError: it is malformed or out of bounds.
        """
        try:
            return _decode(self, shapes)
        except WireError:
            raise
        except (ValueError, TypeError, OverflowError, IndexError, KeyError, RecursionError, MemoryError) as error:
            raise WireError("malformed batch: {}".format(error)) from error


def open_message(payload: Union[bytes, memoryview]) -> Message:
    """Read frame and envelope of a message.

    Raises:
        WireError: malformed, of another version, or too large.
    """
    base, announcements, about, body = unframe(bytes(payload))
    envelope = unseal(body)
    if base > envelope.seq:
        raise WireError("base {} is above the sequence number {}".format(base, envelope.seq))
    return Message(base, envelope.client, envelope.seq, envelope.records, announcements, about, envelope)


def remember(shapes: Dict[int, Shape], announced: Mapping[int, Shape]) -> List[int]:
    """Add announced shapes to a client's table. Returns the numbers that were forgotten to keep its bound."""
    shapes.update(announced)
    forgotten = sorted(shapes)[: max(0, len(shapes) - MAX_SHAPES)]
    for number in forgotten:
        del shapes[number]
    return forgotten


def _decode(message: Message, shapes: Mapping[int, Shape]) -> Batch:
    client, seq, flags, records = message.envelope[:4]
    announcements, about, groups, head = as_list(unpack(message.envelope.inflated()), 4, "content")
    announced = _announced_shapes(message.announcements)
    announced.update(_announced_shapes(announcements))
    if type(head) is not bytes:
        raise WireError("the pool of doubles must be bytes")
    about = _facts(about) or _facts(message.about)
    if flags & TOMBSTONE:
        return Batch(client, seq, announced, about, [], 0, records, as_text(groups, "reason"))
    pool = Pool(head, message.envelope.tail, bool(flags & SHUFFLED))
    decoded = []
    cells = total = 0
    for item in as_list(groups, None, "groups"):
        fields = as_list(item, 9, "a group")
        count = as_int(fields[1], 1, MAX_RECORDS, "records in a group")
        number = as_int(fields[0], 1, MAX_SEQ, "shape number")
        shape = announced.get(number) or shapes.get(number)
        if shape is None:
            raise UnknownShapeError("shape {} was not announced".format(number))
        total += count
        cells += sum(count * item.width * item.rows for item in shape.sets) + count * len(shape.extras)
        if total > records or cells > MAX_CELLS:
            raise WireError("more records or values than allowed")
        decoded.append(_decode_group(shape, count, records, fields, pool))
    pool.close()
    if total != records:
        raise WireError("{} records instead of the {} announced".format(total, records))
    if len(set(chain.from_iterable(group.positions for group in decoded))) != records:
        raise WireError("two records have the same position")
    return Batch(client, seq, announced, about, decoded, records, 0, "")


def _decode_group(shape: Shape, count: int, records: int, fields: List[Any], pool: Pool) -> Group:
    positions = _integers(decode_column(fields[2], count, pool), "positions")
    if min(positions) < 0 or max(positions) >= records:
        raise WireError("a position is outside the batch")
    tasks = _identities(decode_column(fields[3], count, pool), "task")
    times = _integers(decode_column(fields[4], count, pool), "times")
    counts: Optional["array[Any]"] = None
    ids: Column = []
    if fields[5] is not None:
        size, packed_counts, packed_ids = as_list(fields[5], 3, "dependencies")
        counts = _integers(decode_column(packed_counts, count, pool), "dependency counts")
        if min(counts) < 0 or sum(counts) != as_int(size, 1, MAX_COLUMN, "number of dependencies"):
            raise WireError("the numbers of dependencies do not add up")
        ids = _identities(decode_column(packed_ids, size, pool), "dependency")
    errors: Optional[List[Any]] = None
    if fields[6] is not None:
        errors = [as_text(error, "error") for error in decode_column(fields[6], count, pool)]
    columns = iter(as_list(fields[7], None, "columns"))
    sets = []
    for item in shape.sets:
        size = count * item.rows
        if size > MAX_COLUMN:
            raise WireError("a column of {} values is too long".format(size))
        width = item.width if item.rows else 0
        sets.append(SetColumns(item, [decode_column(next(columns, None), size, pool) for _ in range(width)]))
    if next(columns, columns) is not columns:
        raise WireError("more columns than attributes")
    extras = as_list(fields[8], len(shape.extras), "extra columns")
    named = {name: decode_column(column, count, pool) for name, column in zip(shape.extras, extras)}
    return Group(shape, count, positions, tasks, times, counts, ids, errors, sets, named)


def _facts(about: Any) -> Dict[str, Any]:
    if type(about) is not dict or not all(type(v) in (str, int) for v in chain(about, about.values())):
        raise WireError("what a client tells of itself must be a map of texts")
    return about


def _announced_shapes(value: Any) -> Dict[int, Shape]:
    found = {}
    for item in as_list(value, None, "announcements"):
        number, shape = as_list(item, 2, "an announcement")
        found[as_int(number, 1, MAX_SEQ, "shape number")] = Shape.from_wire(shape)
    if len(found) > MAX_SHAPES:
        raise WireError("{} announced shapes are more than {}".format(len(found), MAX_SHAPES))
    return found


class Ack(NamedTuple):
    """What the translator tells a client."""

    last: int  # every batch up to this sequence number is stored
    announce: bool = False  # send shapes along with what is not stored yet


def encode_ack(last: int, announce: bool = False) -> bytes:
    """The payload of an acknowledgement."""
    return pack([last, 1] if announce else [last])


def decode_ack(payload: bytes) -> Ack:
    """Inverse of :func:`encode_ack`. Later versions may add items; they are ignored.

    Raises:
        WireError: not an acknowledgement.
    """
    if len(payload) > 256:
        raise WireError("an acknowledgement of {} bytes is too long".format(len(payload)))
    items = unpack(payload)
    if type(items) is not list or not items:
        raise WireError("an acknowledgement must be a list that begins with the last sequence number")
    return Ack(as_int(items[0], 0, MAX_SEQ, "sequence number"), len(items) > 1 and items[1] == 1)


def _integers(column: Column, what: str) -> "array[Any]":
    if type(column) is not array:
        raise WireError("{} must be integers".format(what))
    return column


def _identities(column: Column, what: str) -> Column:
    if type(column) is array:
        return column
    if isinstance(column, memoryview) or not all(type(value) in (int, str, type(None)) for value in column):
        raise WireError("the identity of a {} must be an integer or a text".format(what))
    return column
