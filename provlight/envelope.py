"""The outer layers of a message: the frame, made anew at each sending, and the envelope of the immutable body."""

from __future__ import annotations

import zlib

from .columns import split_pool
from .packing import pack, unpack
from .shapes import MAX_CONTENT, MAX_PAYLOAD, MAX_RECORDS, WireError, as_int, as_list, as_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Mapping, NamedTuple, Optional, Sequence
else:
    from .namedtuples import NamedTuple

VERSION = 1
"""Protocol version, the first item of every message."""

MAX_SEQ = (1 << 63) - 1
"""Largest sequence number."""

ZLIB, TOMBSTONE, SHUFFLED = 1, 2, 4
"""Flags of an envelope: the content is compressed; it tells of lost records; the pool lies in byte planes."""

_WORTH_COMPRESSING = 64
_BIN8, _BIN32 = 0xC4, 0xC6


class BatchTooLargeError(ValueError):
    """These records exceed what one message may hold: encode them as several batches."""


class Frame(NamedTuple):
    """An opened payload, its body still sealed."""

    base: int  # lowest sequence number that the client still holds
    announcements: Any
    about: Any  # what a client tells of itself, again
    body: bytes


class Envelope(NamedTuple):
    """An opened body, its content still compressed."""

    client: str
    seq: int
    flags: int
    records: int  # in a tombstone: records lost
    size: int  # of the content when decompressed, in bytes
    content: bytes
    tail: bytes

    def inflated(self) -> bytes:
        """The content, decompressed within its announced size."""
        content = self.content
        if self.flags & ZLIB:
            inflater = zlib.decompressobj()
            try:
                content = inflater.decompress(content, self.size + 1)
            except zlib.error as error:
                raise WireError("the content does not decompress: {}".format(error)) from error
            if inflater.unused_data or inflater.unconsumed_tail or not inflater.eof:
                raise WireError("the compressed content does not end where it should")
        if len(content) != self.size:
            raise WireError("the content has {} bytes, not the {} announced".format(len(content), self.size))
        return content


def seal(
    client: str, seq: int, flags: int, records: int, content: Sequence[Any], pool: List[bytes], compress: bool
) -> bytes:
    """Make the body of a batch.

    Raises:
        BatchTooLargeError: it exceeds the bounds of the format.
    """
    head, tail = split_pool(pool, compress)
    if compress and pool:
        flags |= SHUFFLED
    packed = pack([*content, head])
    size = len(packed)
    if size > MAX_CONTENT:
        raise BatchTooLargeError("{} bytes are more than {}".format(size, MAX_CONTENT))
    if compress and size > _WORTH_COMPRESSING:
        smaller = zlib.compress(packed, 1)
        if len(smaller) < size:
            packed = smaller
            flags |= ZLIB
    body = pack([client, seq, flags, records, size, packed, tail])
    if len(body) > MAX_PAYLOAD:
        raise BatchTooLargeError("{} bytes are more than {}".format(len(body), MAX_PAYLOAD))
    return body


def unseal(body: bytes) -> Envelope:
    """Read the envelope of a body.

    Raises:
        WireError: malformed or out of bounds.
    """
    envelope = Envelope(*as_list(unpack(body), 7, "an envelope"))
    as_name(envelope.client, "client")
    as_int(envelope.seq, 1, MAX_SEQ, "sequence number")
    as_int(envelope.flags, 0, 255, "flags")
    as_int(envelope.records, 0, MAX_SEQ if envelope.flags & TOMBSTONE else MAX_RECORDS, "number of records")
    as_int(envelope.size, 0, MAX_CONTENT, "size of the content")
    if type(envelope.content) is not bytes or type(envelope.tail) is not bytes:
        raise WireError("content and tail must be bytes")
    return envelope


def frame(
    body: bytes, base: int, announcements: Sequence[Any] = (), about: Optional[Mapping[str, Any]] = None
) -> bytes:
    """The payload to publish.

    Args:
        body: an encoded batch.
        base: the lowest sequence number that the client still holds.
        announcements: shapes that the translator asked for, see ``Encoder.announcements``.
        about: facts about the client, for a translator that may not know them.

    Raises:
        BatchTooLargeError: the announcements exceed the bounds of the format.
    """
    items: List[Any] = [VERSION, base]
    if announcements or about:
        items.append(list(announcements))
    if about:
        items.append(dict(about))
    head = pack(items)
    if len(head) < 256:
        return bytes((_BIN8, len(head))) + head + body
    if len(head) > MAX_PAYLOAD:
        raise BatchTooLargeError("announcements of {} bytes are too long".format(len(head)))
    return bytes((_BIN32,)) + len(head).to_bytes(4, "big") + head + body


def unframe(payload: bytes) -> Frame:
    """What a payload consists of. Later versions may add items to the frame; they are ignored.

    Raises:
        WireError: malformed, of another version, or too large.
    """
    if len(payload) > 2 * MAX_PAYLOAD:
        raise WireError("a message of {} bytes is larger than {}".format(len(payload), 2 * MAX_PAYLOAD))
    if len(payload) > 2 and payload[0] == _BIN8:
        start, size = 2, payload[1]
    elif len(payload) > 5 and payload[0] == _BIN32:
        start, size = 5, int.from_bytes(payload[1:5], "big")
    else:
        raise WireError("not a message of this protocol")
    head = unpack(payload[start : start + size])
    if type(head) is not list or len(head) < 2 or type(head[0]) is not int:
        raise WireError("the frame must be a list of version and base")
    if head[0] != VERSION:
        raise WireError("protocol version {} is not {}".format(head[0], VERSION))
    announcements, about = head[2] if len(head) > 2 else [], head[3] if len(head) > 3 else {}
    return Frame(as_int(head[1], 1, MAX_SEQ, "base"), announcements, about, payload[start + size :])
