"""The wire format: what goes in comes out, and nothing but WireError comes out of anything else."""

from __future__ import annotations

import datetime
import math
import random
import struct
import zlib
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from provlight import wire
from provlight.wire import (
    MAX_CELLS,
    MAX_SHAPES,
    TASK_BEGIN,
    TASK_END,
    TASK_FAILED,
    BatchTooLargeError,
    Encoder,
    Record,
    SetShape,
    UnknownShapeError,
    WireError,
    frame,
    open_message,
    remember,
)

CLIENT = "0123456789abcdef"
NAMES = st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable())
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 300), 1 << 300),
    st.floats(),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
    st.binary(max_size=20),
    st.datetimes(timezones=st.one_of(st.none(), st.just(datetime.timezone.utc))),
)
HOMOGENEOUS = [st.floats(), st.integers(-5, 300), st.integers(-(1 << 63), (1 << 63) - 1), st.just("constant"), VALUES]
IDENTITIES = st.one_of(st.integers(), st.text(max_size=8, alphabet="abcé"))


@st.composite
def set_shapes(draw: st.DrawFn) -> SetShape:
    names = draw(st.one_of(st.none(), st.lists(NAMES, max_size=4, unique=True).map(tuple)))
    width = len(names) if names is not None else draw(st.integers(0, 4))
    rows = draw(st.integers(0, 3))
    return SetShape(draw(NAMES), names, width, rows, tuple(draw(st.lists(NAMES, max_size=2))))


@st.composite
def batches(draw: st.DrawFn) -> list[Record]:
    shapes = draw(st.lists(st.lists(set_shapes(), max_size=2), min_size=1, max_size=3))
    kinds = draw(st.lists(st.sampled_from(sorted(wire.STATUSES)), min_size=1, max_size=2))
    values = draw(st.sampled_from(HOMOGENEOUS))
    records = []
    for _ in range(draw(st.integers(0, 12))):
        sets = [
            (shape, draw(st.lists(values, min_size=shape.width * shape.rows, max_size=shape.width * shape.rows)))
            for shape in draw(st.sampled_from(shapes))
        ]
        kind = draw(st.sampled_from(kinds))
        records.append(
            Record(
                kind,
                draw(st.sampled_from(["w", "Ω"])),
                "t",
                draw(IDENTITIES),
                draw(st.integers(-(1 << 62), 1 << 62)),
                tuple(draw(st.lists(IDENTITIES, max_size=3))),
                draw(st.text(max_size=5, alphabet="aé\n")) if kind == TASK_FAILED else "",
                sets,
                draw(st.sampled_from([None, {"parent": 7}])),
            )
        )
    return records


def exact(value: Any) -> Any:
    """Something that is equal only for the same value of the same type, NaN and signed zero included."""
    return (type(value), struct.pack("<d", value)) if type(value) is float else (type(value), value)


def comparable(record: Record) -> Any:
    sets = [(shape, [exact(value) for value in values]) for shape, values in record.sets]
    return record._replace(dependencies=tuple(record.dependencies), sets=sets)


def tripped(encoder: Encoder, records: list[Record], table: dict[int, wire.Shape], seq: int) -> list[Record]:
    batch = open_message(frame(encoder.encode(seq, records), base=seq)).decode(table)
    assert (batch.client, batch.seq, batch.records, batch.lost) == (CLIENT, seq, len(records), 0)
    remember(table, batch.announced)
    return batch.in_order()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(batches(), min_size=1, max_size=3), st.booleans())
def test_any_records_come_out_as_they_went_in(sequence: list[list[Record]], compress: bool) -> None:
    encoder = Encoder(CLIENT, compress)
    table: dict[int, wire.Shape] = {}
    for seq, records in enumerate(sequence, 1):
        found = tripped(encoder, records, table, seq)
        assert [comparable(record) for record in found] == [comparable(record) for record in records]


def rows(count: int, width: int, make: Any) -> list[Record]:
    shape = SetShape("training_output", None, width)
    return [
        Record(TASK_END, "w", "training", number, 10**15 + number, (), "", [(shape, [make() for _ in range(width)])])
        for number in range(count)
    ]


@pytest.mark.parametrize(("width", "limit"), [(10, 90), (100, 700)])
def test_grouped_records_of_random_doubles_are_small(width: int, limit: int) -> None:
    random.seed(1)
    encoder = Encoder(CLIENT)
    encoder.encode(1, rows(64, width, random.random))
    size = len(frame(encoder.encode(2, rows(64, width, random.random)), base=1)) / 64
    assert size < limit


def test_columns_of_numbers_are_typed() -> None:
    numbers = iter(range(10**6))
    batch = open_message(frame(Encoder(CLIENT).encode(1, rows(9, 2, random.random)), 1)).decode({})
    assert [column.format for column in batch.groups[0].sets[0].columns] == ["d", "d"]
    batch = open_message(frame(Encoder(CLIENT).encode(1, rows(9, 2, lambda: next(numbers))), 1)).decode({})
    assert [column.typecode for column in batch.groups[0].sets[0].columns] == ["q", "q"]
    assert list(batch.groups[0].sets[0].columns[1]) == list(range(1, 18, 2))
    assert batch.groups[0].times_us.typecode == "q"


def test_rows_of_a_record_follow_each_other_in_a_column() -> None:
    shape = SetShape("s", ("a", "b"), 2, rows=2)
    records = [Record(TASK_BEGIN, "w", "t", n, n, (), "", [(shape, [n, "x", n + 0.5, "y"])]) for n in range(3)]
    group = open_message(frame(Encoder(CLIENT).encode(1, records), 1)).decode({}).groups[0]
    assert list(group.sets[0].columns[0]) == [0, 0.5, 1, 1.5, 2, 2.5]
    assert group.sets[0].columns[1] == ["x", "y"] * 3


def test_nan_infinity_and_negative_zero_survive_as_constants() -> None:
    for value in (math.nan, math.inf, -0.0):
        found = tripped(Encoder(CLIENT), rows(5, 1, lambda value=value: value), {}, 1)
        assert [exact(record.sets[0][1][0]) for record in found] == [exact(value)] * 5


def test_a_lone_surrogate_becomes_an_escape() -> None:
    found = tripped(Encoder(CLIENT), rows(1, 1, lambda: "a\udc80"), {}, 1)
    assert found[0].sets[0][1] == ["a\\udc80"]


def test_shapes_are_announced_once_and_on_request() -> None:
    encoder = Encoder(CLIENT)
    first, second = encoder.encode(1, rows(1, 2, random.random)), encoder.encode(2, rows(1, 2, random.random))
    announced = open_message(frame(first, 1)).decode({}).announced
    assert len(announced) == 1
    assert open_message(frame(second, 1)).decode(announced).announced == {}
    with pytest.raises(UnknownShapeError):
        open_message(frame(second, 1)).decode({})
    assert open_message(frame(second, 1, encoder.announcements(second))).decode({}).announced == announced
    assert encoder.announcements(first) == []
    with pytest.raises(LookupError):
        Encoder(CLIENT).announcements(second)
    assert encoder.announcements(wire.make_tombstone(second, "gone")) == []


def test_both_ends_forget_the_same_shapes() -> None:
    encoder, table = Encoder(CLIENT), {}
    for start in range(0, MAX_SHAPES * 2 + 500, 500):
        records = [Record(TASK_BEGIN, "w", f"t{start + n}", n, n, (), "", []) for n in range(500)]
        tripped(encoder, records, table, start + 1)
    assert len(table) == MAX_SHAPES
    assert tripped(encoder, [Record(TASK_BEGIN, "w", "t0", 1, 1, (), "", [])], table, 99999)[0].transformation == "t0"


def test_shapes_survive_being_persisted() -> None:
    shape = wire.Shape(TASK_END, "w", "t", (SetShape("s", ("a",), 1, 2, ("d",)), SetShape("p", None, 3)), ("parent",))
    assert wire.Shape.from_wire(shape.to_wire()) == shape


def test_a_tombstone_keeps_number_and_shapes_and_counts_the_loss() -> None:
    encoder = Encoder(CLIENT, about={"host": "edge"})
    body = encoder.encode(7, rows(5, 2, random.random))
    batch = open_message(frame(wire.make_tombstone(body, "no room"), 3)).decode({})
    assert (batch.seq, batch.lost, batch.reason, batch.records, batch.groups) == (7, 5, "no room", 0, [])
    assert len(batch.announced) == 1
    assert batch.about == {"host": "edge"}
    made = open_message(frame(Encoder(CLIENT).tombstone(8, 12, "buffer full"), 3)).decode({})
    assert (made.seq, made.lost, made.reason) == (8, 12, "buffer full")


def test_too_much_for_one_batch_is_refused_and_changes_nothing() -> None:
    encoder = Encoder(CLIENT)
    with pytest.raises(BatchTooLargeError):
        encoder.encode(1, rows(60, 60000, lambda: 1.0)[: MAX_CELLS // 60000 + 1])
    with pytest.raises(BatchTooLargeError):
        encoder.encode(1, rows(40, 1, lambda: random.randbytes(1 << 18)))
    batch = open_message(frame(encoder.encode(1, rows(2, 1, random.random)), 1)).decode({})
    assert list(batch.announced) == [1]


def test_topics() -> None:
    topic = wire.records_topic(2, "edge-1", CLIENT)
    assert topic == "provlight/2/edge-1/" + CLIENT
    assert wire.parse_records_topic(topic) == ("2", "edge-1", CLIENT)
    assert wire.ack_topic("edge-1", CLIENT) == "provlight-ack/edge-1/" + CLIENT
    for wrong in ("", "provlight/1/u", "provlight/1/u/", "other/1/u/c", "provlight/1/u/c/d"):
        with pytest.raises(WireError):
            wire.parse_records_topic(wrong)


def test_acknowledgements() -> None:
    assert wire.decode_ack(wire.encode_ack(17)) == (17, False)
    assert wire.decode_ack(wire.encode_ack(0, announce=True)) == (0, True)
    assert wire.decode_ack(msgpack.packb([5, 0, "later version"])) == (5, False)
    for wrong in (b"", b"\xc1", msgpack.packb([]), msgpack.packb(5), msgpack.packb([-1]), msgpack.packb(["x"])):
        with pytest.raises(WireError):
            wire.decode_ack(wrong)


# --------------------------------------------------------------------------------------------------- hostile input


def decoded(payload: bytes) -> None:
    """Decode whatever this is; anything but a batch or WireError fails the test."""
    try:
        batch = open_message(payload).decode({})
        batch.in_order()
    except WireError:
        return
    assert batch.records <= wire.MAX_RECORDS


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    decoded(data)
    decoded(b"\xc4\x03\x92\x01\x01" + data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches(), st.data(), st.booleans())
def test_mutated_and_truncated_messages(records: list[Record], data: st.DataObject, compress: bool) -> None:
    payload = bytearray(frame(Encoder(CLIENT, compress).encode(5, records), 2))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    decoded(bytes(payload))
    decoded(bytes(payload[: data.draw(st.integers(0, len(payload)))]))


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 20),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(),
    st.text(max_size=3),
)
NESTED = st.recursive(
    st.one_of(SCALARS, st.binary(max_size=16)),
    lambda inner: st.one_of(st.lists(inner, max_size=9), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=20,
)
SHAPE = [4, "w", "t", [["s", 1, 1, []]], []]
GROUP = [1, 1, [3, 0], [3, 1], [3, 1], None, None, [[3, 1.0]], []]


def sealed(content: Any, flags: int = 0, records: Any = 1, tail: Any = b"", size: Any = None) -> bytes:
    packed = content if isinstance(content, bytes) else msgpack.packb(content, use_bin_type=True)
    size = len(packed) if size is None else size
    if flags & 1:
        packed = zlib.compress(packed)
    return frame(msgpack.packb([CLIENT, 1, flags, records, size, packed, tail], use_bin_type=True), 1)


@settings(max_examples=600, deadline=None)
@given(st.data())
@example(None)
def test_well_formed_but_wrong_items(data: st.DataObject | None) -> None:
    if data is None:
        decoded(sealed([[[1, SHAPE]], {}, [GROUP], b""]))
        return
    shape, group = list(SHAPE), list(GROUP)
    where = data.draw(st.sampled_from(["shape", "group", "both", "content"]))
    if where in ("shape", "both"):
        shape[data.draw(st.integers(0, len(shape) - 1))] = data.draw(NESTED)
    if where in ("group", "both"):
        group[data.draw(st.integers(0, len(group) - 1))] = data.draw(NESTED)
    content: list[Any] = [[[1, shape]], {}, [group], b""]
    if where == "content":
        content[data.draw(st.integers(0, 3))] = data.draw(NESTED)
    decoded(sealed(content, data.draw(st.integers(0, 7)), data.draw(st.one_of(st.just(1), SCALARS))))


def test_the_shape_of_a_correct_message_is_what_the_fuzz_starts_from() -> None:
    batch = open_message(sealed([[[1, SHAPE]], {}, [GROUP], b""])).decode({})
    assert batch.in_order()[0].sets == [(SetShape("s", None, 1), [1.0])]


def refused(payload: bytes) -> str:
    with pytest.raises(WireError) as caught:
        open_message(payload).decode({})
    return str(caught.value)


def test_bombs() -> None:
    """A few bytes never make gigabytes."""
    assert "does not end" in refused(sealed(b"\0" * 1000, flags=1, size=10))
    assert "must be an integer" in refused(sealed(b"", size=1 << 40))
    shape = [4, "w", "t", [["s", 65536, 1, []]], []]
    constants = [[3, 1.0]] * 65535
    many = [1, 16384, [5, 0, [3, 1]], [3, 1], [3, 1], None, None, constants, []]
    assert "more records or values" in refused(sealed([[[1, shape]], {}, [many], b""], flags=1, records=16384))
    assert "too long" in refused(sealed([[[1, SHAPE]], {}, [[*GROUP[:7], [[3, "x" * 70000]], []]], b""]))
    nested = b"\xdd\x00\x00\xff\xff" * 900
    assert "not valid MessagePack" in refused(sealed(nested))
    assert "not valid MessagePack" in refused(b"\xc4\x03\x92\x01\x01" + b"\xdd\xff\xff\xff\xff")
    huge_integer = msgpack.ExtType(1, b"9" * 100000)
    assert "not valid MessagePack" in refused(sealed([[[1, SHAPE]], {}, [[*GROUP[:7], [[3, huge_integer]], []]], b""]))


def test_other_versions_are_named() -> None:
    head = msgpack.packb([2, 1])
    assert "protocol version 2" in refused(b"\xc4" + bytes([len(head)]) + head)
    body = Encoder(CLIENT).encode(3, [])
    assert "base 4 is above" in refused(frame(body, 4))
    assert "not a message" in refused(b"hello")
    assert "larger" in refused(b"x" * (wire.MAX_PAYLOAD * 2 + 1))


def test_every_public_name_is_there() -> None:
    assert [name for name in wire.__all__ if not hasattr(wire, name)] == []
