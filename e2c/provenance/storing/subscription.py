"""The translator's connection to the broker: takes messages many at a time, and is there again when the broker is.

A client library that hands over one message after another takes more time for each than its records take. A subscriber
of QoS 1 needs few packets of MQTT 5; ``provlight.transport.packets`` makes and reads most of them.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event, Lock, Thread

from e2c.provenance.storing.inbox import Arrival
from e2c.provenance.storing.store import Delivery
from provlight.transport import packets

logger = logging.getLogger("e2c.provenance.storing.translator")

KEEPALIVE_S = 30
PING_S, SILENCE_S = 15.0, 45.0
"""How often the broker is asked whether it is there, and after how long without a word it is not."""

CONNECT_S = 10.0
RETRY_S = 0.1, 2.0
"""Pause before another attempt: the first one, and the longest."""

READ = 1 << 16
"""Bytes that are read at once, at most."""

MAX_TOPICS = 4096
"""Topics whose text is kept."""


class Subscription(Thread):
    """Receives what is published under a topic filter, until :meth:`close`.

    Args:
        address: where the broker listens, and ``port``.
        name: identity of the client.
        account: user and password.
        topics: the filter.
        deliver: takes messages; may wait.
        changed: called when the broker begins or ceases to send.
    """

    def __init__(
        self,
        address: tuple[str, int],
        name: str,
        account: tuple[str, str],
        topics: str,
        deliver: Callable[[list[Arrival]], None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(name="subscription", daemon=True)
        self._address = address
        self._connect = packets.connect(name, *account, KEEPALIVE_S)
        self._subscribe = packets.subscribe(topics, 1)
        self._deliver = deliver
        self._changed = changed
        self._closing = Event()
        self._lock = Lock()  # packets go out whole
        self._socket: socket.socket | None = None
        self._topics: dict[bytes, str] = {}
        self._session = 0
        self.subscribed = False

    # ------------------------------------------------------------------------------------------ for the writer

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish with QoS 0. Without a connection nothing happens."""
        name = topic.encode()
        content = struct.pack("!H", len(name)) + name + b"\0" + payload
        size = bytearray()
        left = len(content)
        while left >= 0x80:
            size.append(left & 0x7F | 0x80)
            left >>= 7
        size.append(left)
        self._write(bytes((packets.PUBLISH << 4, *size)) + content)

    def acknowledge(self, arrivals: Iterable[Arrival]) -> None:
        """The broker may send others in place of these."""
        session = self._session
        self._write(b"".join([packets.puback(one.mid) for one in arrivals if one.mid and one.session == session]))

    def close(self) -> None:
        """End the connection and the thread."""
        self._closing.set()
        self._write(packets.disconnect())
        self._break()
        if self.is_alive():
            self.join()

    def _write(self, data: bytes) -> None:
        with self._lock, suppress(OSError):  # the thread finds out
            if self._socket is not None:
                self._socket.sendall(data)

    def _break(self) -> None:
        with suppress(OSError):
            if (connection := self._socket) is not None:
                connection.shutdown(socket.SHUT_RDWR)

    # ----------------------------------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Receive; connect again whenever the connection breaks."""
        pause = RETRY_S[0]
        while not self._closing.is_set():
            try:
                self._receive()
            except (OSError, ValueError, IndexError) as error:  # also packets that make no sense
                if self.subscribed:
                    pause = RETRY_S[0]
                    if not self._closing.is_set():
                        logger.warning("the broker is gone: %s", error)
            self._leave()
            self._closing.wait(pause)
            pause = min(2 * pause, RETRY_S[1])

    def _leave(self) -> None:
        self._break()  # whoever writes comes back
        with self._lock:
            connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()
        if self.subscribed:
            self.subscribed = False
            self._changed()

    def _receive(self) -> None:
        """Connect, and receive until the connection breaks."""
        connection = socket.create_connection(self._address, CONNECT_S)
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._session += 1
        self._socket = connection
        self._write(self._connect)
        poller = select.poll()
        poller.register(connection, select.POLLIN)
        received = bytearray()
        heard = asked = time.monotonic()
        while not self._closing.is_set():
            if poller.poll(PING_S * 1000):
                data = connection.recv(READ)
                if not data:
                    raise ConnectionResetError("it closed the connection")
                received += data
                arrivals, used = self._packets(received)
                del received[:used]
                if arrivals:
                    self._deliver(arrivals)
                heard = time.monotonic()
            now = time.monotonic()
            if now - heard > SILENCE_S:
                raise TimeoutError("it does not answer")
            if now - asked > PING_S:
                asked = now
                self._write(packets.pingreq())

    def _packets(self, data: bytearray) -> tuple[list[Arrival], int]:
        """The messages in what was received, and where the first packet begins that is not complete."""
        arrivals: list[Arrival] = []
        at = 0
        with memoryview(data) as view:
            while len(data) - at >= 2:
                start, size, shift = at + 2, data[at + 1] & 0x7F, 7
                while data[start - 1] & 0x80:
                    if start == len(data):
                        return arrivals, at
                    if shift > 21:
                        raise packets.PacketError("the length of a packet is malformed")
                    size |= (data[start] & 0x7F) << shift
                    start, shift = start + 1, shift + 7
                end = start + size
                if end > len(data):
                    break
                if data[at] >> 4 == packets.PUBLISH:
                    arrivals.append(self._message(data[at] & 0x0F, view[start:end]))
                else:
                    self._handle(data[at] >> 4, bytes(view[start:end]))
                at = end
        return arrivals, at

    def _message(self, flags: int, content: memoryview) -> Arrival:
        at = 2 + (content[0] << 8 | content[1])
        raw = bytes(content[2:at])
        topic = self._topics.get(raw)
        if topic is None:
            if len(self._topics) >= MAX_TOPICS:
                self._topics.clear()
            topic = self._topics[raw] = raw.decode("utf-8", "replace")
        mid = 0
        if flags & 0x06:
            mid = content[at] << 8 | content[at + 1]
            at += 2
        if content[at]:  # properties, of which none is of use here
            payload = packets.read_publish(packets.Packet(packets.PUBLISH, flags, bytes(content)))[2]
        else:
            payload = bytes(content[at + 1 :])
        return Arrival(Delivery(topic, payload), mid, self._session)

    def _handle(self, kind: int, content: bytes) -> None:
        if kind == packets.CONNACK:
            code, _ = packets.read_connack(content)
            if code:
                logger.error("the broker refuses: %s", packets.reason(code))
                raise ConnectionRefusedError(packets.reason(code))
            self._write(self._subscribe)
        elif kind == packets.SUBACK:
            self.subscribed = True
            self._changed()
        elif kind == packets.DISCONNECT:
            raise ConnectionResetError(packets.reason(content[0] if content else 0))
