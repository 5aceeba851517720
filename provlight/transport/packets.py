"""The packets of MQTT 5 that a publisher needs, to and from bytes.

Source: MQTT Version 5.0, OASIS Standard, 7 March 2019; section numbers are given with each packet. Only the Python
standard library is used: a full MQTT client would double the memory of a small device's process.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, NamedTuple, Optional, Tuple, Union
else:
    from provlight.namedtuples import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 13, 14

SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = 0x13, 0x21, 0x27

REASONS = {
    0x04: "disconnected with its will message",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x9A: "retain not supported",
    0x9C: "use another server",
    0x9D: "server moved",
}
"""Texts of reason codes (section 2.4)."""

# Kinds of property values (section 2.2.2.2); those not listed do not occur in what a server sends a publisher.
_BYTE = frozenset((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A))
_SHORT = frozenset((0x13, 0x21, 0x22, 0x23))
_LONG = frozenset((0x02, 0x11, 0x18, 0x27))
_TEXT = frozenset((0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F))
_VARIABLE = 0x0B
_PAIR = 0x26
_MAX_REMAINING = (1 << 28) - 1


class PacketError(ValueError):
    """Bytes that are no MQTT packet we can receive."""


class Packet(NamedTuple):
    """A received packet: type, flags, and what follows the fixed header."""

    kind: int
    flags: int
    content: bytes


def reason(code: int) -> str:
    """Text of a reason code."""
    return REASONS.get(code, "reason code {:#04x}".format(code))


def connect(client: str, user: Optional[str], password: Optional[str], keep_alive: int) -> bytes:
    """CONNECT with a clean start (section 3.1)."""
    flags = 0x02 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0)
    content = b"\x00\x04MQTT\x05" + struct.pack("!BH", flags, keep_alive) + b"\x00" + _text(client)
    for credential in (user, password):
        if credential is not None:
            content += _text(credential)
    return _packet(CONNECT, 0, content)


def publish(topic: str, packet_id: int, payload: bytes) -> bytes:
    """PUBLISH with QoS 1, not retained (section 3.3)."""
    return _packet(PUBLISH, 0x02, _text(topic) + struct.pack("!HB", packet_id, 0) + payload)


def subscribe(topic: str, packet_id: int) -> bytes:
    """SUBSCRIBE to one topic with QoS 1 (section 3.8)."""
    return _packet(SUBSCRIBE, 0x02, struct.pack("!HB", packet_id, 0) + _text(topic) + b"\x01")


def puback(packet_id: int) -> bytes:
    """PUBACK with success (section 3.4)."""
    return _packet(PUBACK, 0, struct.pack("!H", packet_id))


def pingreq() -> bytes:
    """PINGREQ (section 3.12)."""
    return _packet(PINGREQ, 0, b"")


def disconnect() -> bytes:
    """DISCONNECT, normal (section 3.14)."""
    return _packet(DISCONNECT, 0, b"")


def split(data: Union[bytes, bytearray], limit: int) -> Optional[Tuple[Packet, int]]:
    """The first packet in ``data`` and its length, or None when it is not complete yet.

    Raises:
        PacketError: malformed, or longer than ``limit`` bytes.
    """
    size = 0
    for index in range(1, min(len(data), 5)):
        size |= (data[index] & 0x7F) << (7 * (index - 1))
        if not data[index] & 0x80:
            break
    else:
        if len(data) >= 5:
            raise PacketError("the length of a packet is malformed")
        return None
    if size > limit:
        raise PacketError("a packet of {} bytes is longer than {}".format(size, limit))
    start = index + 1
    if len(data) < start + size:
        return None
    return Packet(data[0] >> 4, data[0] & 0x0F, bytes(data[start : start + size])), start + size


def read_connack(content: bytes) -> Tuple[int, Dict[int, int]]:
    """Reason code and numeric properties of a CONNACK (section 3.2)."""
    if len(content) < 2:
        raise PacketError("a CONNACK is too short")
    return content[1], _properties(content, 2)[0]


def read_response(content: bytes) -> Tuple[int, int]:
    """Packet identifier and reason code of a PUBACK (section 3.4)."""
    if len(content) < 2:
        raise PacketError("a PUBACK is too short")
    return int.from_bytes(content[:2], "big"), content[2] if len(content) > 2 else 0


def read_suback(content: bytes) -> Tuple[int, int]:
    """Packet identifier and first reason code of a SUBACK (section 3.9)."""
    if len(content) < 4:
        raise PacketError("a SUBACK is too short")
    return int.from_bytes(content[:2], "big"), content[-1]


def read_publish(packet: Packet) -> Tuple[str, int, bytes]:
    """Topic, packet identifier (0 with QoS 0) and payload of a PUBLISH (section 3.3)."""
    content = packet.content
    topic, at = _read_text(content, 0)
    packet_id = 0
    if packet.flags & 0x06:
        packet_id = int.from_bytes(content[at : at + 2], "big")
        at += 2
    return topic, packet_id, content[_properties(content, at)[1] :]


def _packet(kind: int, flags: int, content: bytes) -> bytes:
    size = len(content)
    if size > _MAX_REMAINING:
        raise PacketError("a packet of {} bytes is too long".format(size))
    header = bytearray((kind << 4 | flags,))
    while True:
        size, low = size >> 7, size & 0x7F
        header.append(low | (0x80 if size else 0))
        if not size:
            return bytes(header) + content


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("!H", len(data)) + data


def _read_text(content: bytes, at: int) -> Tuple[str, int]:
    end = at + 2 + int.from_bytes(content[at : at + 2], "big")
    if end > len(content):
        raise PacketError("a text is longer than its packet")
    return content[at + 2 : end].decode("utf-8", "replace"), end


def _variable(content: bytes, at: int) -> Tuple[int, int]:
    value = 0
    for index in range(4):
        if at + index >= len(content):
            break
        byte = content[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, at + index + 1
    raise PacketError("a variable byte integer is malformed")


def _properties(content: bytes, at: int) -> Tuple[Dict[int, int], int]:
    """Numeric properties, and where they end."""
    found: Dict[int, int] = {}
    if at >= len(content):
        return found, at
    size, at = _variable(content, at)
    end = at + size
    if end > len(content):
        raise PacketError("properties are longer than their packet")
    while at < end:
        kind = content[at]
        at += 1
        width = 1 if kind in _BYTE else 2 if kind in _SHORT else 4 if kind in _LONG else 0
        if width:
            found[kind] = int.from_bytes(content[at : at + width], "big")
            at += width
        elif kind == _VARIABLE:
            at = _variable(content, at)[1]
        elif kind in _TEXT or kind == _PAIR:
            for _ in range(2 if kind == _PAIR else 1):
                at = _read_text(content, at)[1]
        else:
            raise PacketError("unknown property {:#04x}".format(kind))
    return found, end
