"""From records to bodies."""

from __future__ import annotations

from itertools import chain

from .columns import encode_column
from .envelope import TOMBSTONE, ZLIB, BatchTooLargeError, seal, unseal
from .files import Files
from .packing import pack, unpack
from .shapes import MAX_CELLS, MAX_COLUMN, MAX_NAME, MAX_RECORDS, MAX_SHAPES, Shape, as_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

    AnyRecord = Tuple[Any, ...]
    """A :class:`~provlight.shapes.Record`, or a plain tuple of the same nine items."""


class Encoder:
    """Makes bodies for one client. Remembers which shapes were announced; not thread-safe.

    Args:
        client: identity of the client.
        compress: try zlib level 1 on each batch and keep the smaller form.
        next_shape: first number for new shapes (above all those this client used before).
        about: facts about the client (text to text or integer), carried by its first batch.
    """

    def __init__(
        self, client: str, compress: bool = True, next_shape: int = 1, about: Optional[Mapping[str, Any]] = None
    ) -> None:
        self.client = client
        self.compress = compress
        self._about = dict(about or {})
        self._numbers: Dict[Shape, int] = {}
        self._shapes: Dict[int, Shape] = {}
        self._next_shape = next_shape

    def encode(self, seq: int, records: Sequence[AnyRecord]) -> bytes:
        """The body of the batch ``seq``.

        Raises:
            BatchTooLargeError: too many records, values or bytes; nothing was announced: encode fewer.
        """
        members = _grouped(records)
        _check_bounds(members, len(records))
        new = [shape for shape in members if shape not in self._numbers]
        numbers = {shape: self._next_shape + index for index, shape in enumerate(new)}
        pool: List[bytes] = []
        groups = []
        for shape, positions in members.items():
            number = numbers[shape] if shape in numbers else self._numbers[shape]
            groups.append(_encode_group(number, shape, positions, [records[at] for at in positions], pool))
        announcements = [[number, shape.to_wire()] for shape, number in numbers.items()]
        content = [announcements, self._about, groups]
        body = seal(self.client, seq, 0, len(records), content, pool, self.compress)
        self._remember(numbers)
        return body

    def tombstone(self, seq: int, lost: int, reason: str) -> bytes:
        """A body that takes the place of ``lost`` records which were dropped before they were in a batch."""
        return seal(self.client, seq, TOMBSTONE, lost, [[], self._about, reason[:MAX_NAME]], [], False)

    def announcements(self, body: bytes) -> List[Any]:
        """Shapes that a body refers to without announcing them: for ``frame``, when the translator asks.

        Another thread than that of :meth:`encode` may call it.

        Raises:
            LookupError: one of them is so old that it was forgotten.
        """
        return [[number, self._shapes[number].to_wire()] for number in referred_shapes(body)[1]]

    def known(self) -> List[Any]:
        """The shapes that are announced and not forgotten, as in an announcement."""
        return [[number, shape.to_wire()] for number, shape in self._shapes.items()]

    def _remember(self, numbers: Mapping[Shape, int]) -> None:
        self._about = {}
        for shape, number in numbers.items():
            self._numbers[shape] = number
            self._shapes[number] = shape
            self._next_shape = number + 1
        while len(self._shapes) > MAX_SHAPES:
            lowest = next(iter(self._shapes))
            del self._numbers[self._shapes.pop(lowest)]


def referred_shapes(body: bytes) -> Tuple[Dict[int, Any], List[int]]:
    """The shapes that a body announces, by number, and the numbers of those it refers to without announcing them.

    Raises:
        WireError: malformed.
    """
    announcements, _, groups, _ = as_list(unpack(unseal(body).inflated()), 4, "content")
    announced = {item[0]: item[1] for item in announcements}
    used = {group[0] for group in groups} if type(groups) is list else set()  # a tombstone has a text there
    return announced, sorted(used - announced.keys())


def make_tombstone(body: bytes, reason: str) -> bytes:
    """Replace a batch that must be dropped: same sequence number and announced shapes, its records counted as lost."""
    envelope = unseal(body)
    announced, about, _, _ = as_list(unpack(envelope.inflated()), 4, "content")
    content = [announced, about, reason[:MAX_NAME]]
    flags = envelope.flags
    return seal(envelope.client, envelope.seq, TOMBSTONE, envelope.records, content, [], bool(flags & ZLIB))


def _grouped(records: Sequence[AnyRecord]) -> Dict[Shape, List[int]]:
    """Positions of the records of each shape."""
    # Hashing a shape costs as much as it has attributes, so records that share their set shapes are found first.
    alike: Dict[Tuple[Any, ...], List[int]] = {}
    for position, (kind, workflow, transformation, _, _, _, _, sets, extras) in enumerate(records):
        key = (kind, workflow, transformation, tuple([id(item[0]) for item in sets]), tuple(extras) if extras else ())
        found = alike.get(key)
        if found is None:
            alike[key] = [position]
        else:
            found.append(position)
    members: Dict[Shape, List[int]] = {}
    for key, positions in alike.items():
        sets = tuple([item[0] for item in records[positions[0]][7]])
        shape = Shape(key[0], key[1], key[2], sets, key[4])
        if shape in members:
            members[shape] = sorted(members[shape] + positions)
        else:
            members[shape] = positions
    return members


def _check_bounds(members: Mapping[Shape, List[int]], records: int) -> None:
    cells = 0
    for shape, positions in members.items():
        count = len(positions)
        for item in shape.sets:
            cells += count * item.rows * item.width
            if count * item.rows > MAX_COLUMN:
                raise BatchTooLargeError("a column would have more than {} values".format(MAX_COLUMN))
        cells += count * len(shape.extras)
    if records > MAX_RECORDS or cells > MAX_CELLS or len(members) > MAX_SHAPES:
        raise BatchTooLargeError(
            "{} records with {} values of {} shapes are more than {}, {} and {}".format(
                records, cells, len(members), MAX_RECORDS, MAX_CELLS, MAX_SHAPES
            )
        )


def _encode_group(
    number: int, shape: Shape, positions: List[int], records: List[AnyRecord], pool: List[bytes]
) -> List[Any]:
    tasks = [record[3] for record in records]
    times = [record[4] for record in records]
    counts = [len(record[5]) for record in records]
    dependencies: Optional[List[Any]] = None
    if any(counts):
        ids = list(chain.from_iterable([record[5] for record in records]))
        if len(ids) > MAX_COLUMN:
            raise BatchTooLargeError("{} dependencies are more than {}".format(len(ids), MAX_COLUMN))
        dependencies = [len(ids), encode_column(counts, pool), encode_column(ids, pool)]
    errors = [record[6] for record in records]
    columns: List[Any] = []
    for index, item in enumerate(shape.sets):
        flat = list(chain.from_iterable([record[7][index][1] for record in records]))
        if len(flat) != len(records) * item.rows * item.width:
            raise ValueError("set {!r}: the number of values does not match its shape".format(item.tag))
        if flat:
            columns.extend([encode_column(flat[at :: item.width], pool) for at in range(item.width)])
    return [
        number,
        len(records),
        encode_column(positions, pool),
        encode_column(tasks, pool),
        encode_column(times, pool),
        dependencies,
        encode_column(errors, pool) if any(errors) else None,
        columns,
        [encode_column([_settled(record[8][name]) for record in records], pool) for name in shape.extras],
    ]


def _settled(extra: Any) -> Any:
    """A scalar. Files are read for their digests now."""
    return pack(extra.to_wire()) if type(extra) is Files else extra
