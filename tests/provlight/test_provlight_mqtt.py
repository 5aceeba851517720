"""MQTT packets: against the specification's examples, and against anything a peer may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provlight.transport import packets


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384, 2097151, 2097152])
def test_lengths_at_the_edges_of_their_encoding(size: int) -> None:
    packet = packets.publish("t", 7, b"x" * size)
    found = packets.split(packet, 1 << 28)
    assert found is not None
    assert found[1] == len(packet)
    assert packets.read_publish(found[0]) == ("t", 7, b"x" * size)
    assert packets.split(packet[:-1], 1 << 28) is None


def test_connect_is_the_one_of_the_specification() -> None:
    assert packets.connect("c", "u", "é", 60) == (
        b"\x10\x15\x00\x04MQTT\x05\xc2\x00\x3c\x00\x00\x01c\x00\x01u\x00\x02\xc3\xa9"
    )
    assert packets.connect("c", None, None, 60)[9:10] == b"\x02"


def test_connack_properties() -> None:
    content = b"\x00\x00" + b"\x0e" + b"\x21\x00\x14" + b"\x27\x00\x00\x4e\x20" + b"\x12\x00\x01a" + b"\x2a\x01"
    assert packets.read_connack(content) == (0, {0x21: 20, 0x27: 20000, 0x2A: 1})
    assert packets.read_connack(b"\x00\x87\x00") == (0x87, {})
    assert packets.reason(0x87) == "not authorized"
    assert packets.reason(0xFE) == "reason code 0xfe"


def test_responses() -> None:
    assert packets.read_response(b"\x00\x07") == (7, 0)
    assert packets.read_response(b"\x00\x07\x10\x00") == (7, 0x10)
    assert packets.read_suback(b"\x00\x01\x00\x01") == (1, 1)
    publish = packets.Packet(packets.PUBLISH, 0, b"\x00\x01t\x02\x01\x00payload")
    assert packets.read_publish(publish) == ("t", 0, b"payload")


@pytest.mark.parametrize("data", [b"\x30\xff\xff\xff\xff\x01", b"\x30\xff\xff\x7f"])
def test_a_length_that_is_malformed_or_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(packets.PacketError):
        packets.split(data, 65536)


@given(st.binary(max_size=60), st.integers(0, 15))
def test_no_bytes_break_the_reader(data: bytes, flags: int) -> None:
    readers = (
        lambda: packets.split(data, 65536),
        lambda: packets.read_connack(data),
        lambda: packets.read_response(data),
        lambda: packets.read_suback(data),
        lambda: packets.read_publish(packets.Packet(packets.PUBLISH, flags, data)),
    )
    for reader in readers:
        try:
            reader()
        except packets.PacketError:
            continue
