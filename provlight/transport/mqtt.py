"""Batches over MQTT 5 with QoS 1, and acknowledgements back on the client's own topic."""

from __future__ import annotations

import contextlib
import select
import socket
import time

from provlight.wire import Ack, WireError, ack_topic, decode_ack, records_topic

from . import Link, LinkError, PayloadTooLargeError, RefusedError, Transport, packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    from .tls import Encryption

    _Sockets = List[socket.socket]

KEEP_ALIVE = 60
"""Seconds after which an idle connection is tested."""

_CONNECT_TIMEOUT = 20.0
_SILENCE = 2.5 * KEEP_ALIVE  # no byte either way for so long: the connection is dead
_SEND_BUFFER = 1 << 16  # small, so that what the kernel accepted tells how the network fares
_IN_FLIGHT_BYTES = 1 << 16
_IN_FLIGHT_MESSAGES = 16
_MAX_RECEIVED = 1 << 16
_PACKET_OVERHEAD = 512
_MAX_WRITE = 1 << 14  # what TLS puts into one of its records
_ANONYMOUS = "anonymous"


class MqttTransport(Transport):
    """Connections to one broker.

    Args:
        host: address or name of the broker.
        port: its TCP port.
        partition: partition to publish to.
        user: broker user, None for an anonymous connection.
        password: its password.
        encrypt: TLS, None for a plain connection.
    """

    def __init__(
        self,
        host: str,
        port: int,
        partition: str,
        user: Optional[str] = None,
        password: Optional[str] = None,
        encrypt: "Optional[Encryption]" = None,
    ) -> None:
        self._address = (host, port)
        self._encrypt = encrypt
        self._partition = partition
        self._user = user
        self._password = password

    def connect(self, client: str) -> Link:
        """Connect, log in and subscribe to the acknowledgements of ``client``."""
        where = "the broker at {} port {}".format(*self._address)
        try:
            connection = socket.create_connection(_resolvable(*self._address), timeout=_CONNECT_TIMEOUT)
        except OSError as error:
            raise LinkError("{} cannot be reached: {}".format(where, error)) from error
        if self._encrypt is not None:
            connection = self._encrypt(connection, self._address[0], where)
        user = self._user or _ANONYMOUS
        try:
            link = MqttLink(connection, where, records_topic(self._partition, user, client), ack_topic(user, client))
        except OSError as error:
            connection.close()
            raise LinkError("{}: {}".format(where, error)) from error
        try:
            link.log_in("provlight-" + client, self._user, self._password)
        except BaseException:
            link.abandon()
            raise
        return link


def _resolvable(host: str, port: int) -> Any:
    """The address, its host as bytes if possible: a text makes Python import a codec, which a fork may interrupt."""
    return (host.encode("ascii") if host.isascii() else host, port)


class MqttLink(Link):
    """One connection, driven by the thread that waits on it."""

    def __init__(self, connection: socket.socket, where: str, topic: str, acks: str) -> None:
        self._socket = connection
        self._where = where
        self._topic = topic
        self._acks = acks
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out, connection):
            end.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._out = bytearray()
        self._in = bytearray()
        self._in_flight: Dict[int, int] = {}
        self._in_flight_bytes = 0
        self._last_id = 0
        self._received: List[Ack] = []
        self._heard = self._moved = time.monotonic()
        self._pinged = False
        self._keep_alive: float = KEEP_ALIVE
        self._max_messages = _IN_FLIGHT_MESSAGES
        self._max_packet = 0

    def log_in(self, client: str, user: Optional[str], password: Optional[str]) -> None:
        """Connect and subscribe, in at most 20 s. Raises LinkError or RefusedError."""
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        self._out += packets.connect(client, user, password, KEEP_ALIVE)
        code, properties = packets.read_connack(self._expect(packets.CONNACK, deadline))
        if code:
            kind = RefusedError if code in (0x85, 0x86, 0x87, 0x8A) else LinkError
            raise kind("{} refuses the connection: {}".format(self._where, packets.reason(code)))
        self._keep_alive = properties.get(packets.SERVER_KEEP_ALIVE, KEEP_ALIVE) or KEEP_ALIVE
        self._max_messages = min(_IN_FLIGHT_MESSAGES, properties.get(packets.RECEIVE_MAXIMUM, _IN_FLIGHT_MESSAGES))
        self._max_packet = properties.get(packets.MAXIMUM_PACKET_SIZE, 0)
        self._out += packets.subscribe(self._acks, self._next_id())
        _, code = packets.read_suback(self._expect(packets.SUBACK, deadline))
        if code >= 0x80:
            raise RefusedError("{} refuses the subscription: {}".format(self._where, packets.reason(code)))

    def publish(self, payload: bytes) -> None:
        """See :meth:`Link.publish`."""
        packet_id = self._next_id()
        packet = packets.publish(self._topic, packet_id, payload)
        if self._max_packet and len(packet) > self._max_packet:
            raise PayloadTooLargeError(
                "{} takes no message of {} bytes, only {}".format(self._where, len(packet), self._max_packet)
            )
        self._in_flight[packet_id] = len(packet)
        self._in_flight_bytes += len(packet)
        self._out += packet
        self._write()

    @property
    def ready(self) -> bool:
        """See :attr:`Link.ready`: bounded, so that a thin link is not flooded."""
        return self.settled or (len(self._in_flight) < self._max_messages and self._in_flight_bytes < _IN_FLIGHT_BYTES)

    @property
    def settled(self) -> bool:
        """See :attr:`Link.settled`."""
        return not self._in_flight

    def wait(self, timeout: Optional[float]) -> List[Ack]:
        """See :meth:`Link.wait`."""
        now = time.monotonic()
        dead_at = max(self._heard, self._moved) + _SILENCE
        alive = dead_at if self._pinged else min(dead_at, self._heard + self._keep_alive)
        self._poll(alive - now if timeout is None else min(timeout, alive - now))
        now = time.monotonic()
        if now >= max(self._heard, self._moved) + _SILENCE:
            raise LinkError("{} does not answer".format(self._where))
        if now >= self._heard + self._keep_alive and not self._pinged:
            self._pinged = True
            self._out += packets.pingreq()
            self._write()
        acks, self._received = self._received, []
        return acks

    def wake(self) -> None:
        """See :meth:`Link.wake`."""
        with contextlib.suppress(OSError):  # full: a wake is under way already; closed: nobody sleeps
            self._wake_out.send(b"\0")

    def close(self) -> None:
        """See :meth:`Link.close`."""
        with contextlib.suppress(OSError):  # a broken connection is closed all the same
            self._socket.send(bytes(self._out) + packets.disconnect())
        self.abandon()

    def abandon(self) -> None:
        """See :meth:`Link.abandon`."""
        for end in (self._socket, self._wake_in, self._wake_out):
            end.close()

    def _next_id(self) -> int:
        self._last_id = self._last_id % 65535 + 1
        while self._last_id in self._in_flight:
            self._last_id = self._last_id % 65535 + 1
        return self._last_id

    def _expect(self, kind: int, deadline: float) -> bytes:
        while True:
            packet = self._next_packet()
            if packet is not None:
                if packet.kind == kind:
                    return packet.content
                self._handle(packet)
                continue
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise LinkError("{} does not answer".format(self._where))
            self._transfer(remaining)

    def _poll(self, timeout: float) -> None:
        self._transfer(max(0.0, timeout))
        packet = self._next_packet()
        while packet is not None:
            self._handle(packet)
            packet = self._next_packet()

    def _transfer(self, timeout: float) -> None:
        """Wait for the sockets, then move what can be moved."""
        readers, writers, _ = _wait_for([self._socket, self._wake_in], [self._socket] if self._out else [], timeout)
        if self._wake_in in readers:
            with contextlib.suppress(BlockingIOError):
                self._wake_in.recv(4096)
        if writers:
            self._write()
        if self._socket in readers:
            self._read()

    def _write(self) -> None:
        try:
            while self._out:
                sent = self._socket.send(self._out[:_MAX_WRITE])
                del self._out[:sent]
                self._moved = time.monotonic()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise LinkError("the connection to {} broke: {}".format(self._where, error)) from error

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise LinkError("the connection to {} broke: {}".format(self._where, error)) from error
        if not data:
            raise LinkError("{} closed the connection".format(self._where))
        self._in += data
        self._heard = time.monotonic()
        self._pinged = False

    def _next_packet(self) -> Optional[packets.Packet]:
        try:
            found = packets.split(self._in, _MAX_RECEIVED)
        except packets.PacketError as error:
            raise LinkError("{} speaks no MQTT 5: {}".format(self._where, error)) from error
        if found is None:
            return None
        packet, size = found
        del self._in[:size]
        return packet

    def _handle(self, packet: packets.Packet) -> None:
        try:
            if packet.kind == packets.PUBACK:
                self._delivered(*packets.read_response(packet.content))
            elif packet.kind == packets.PUBLISH:
                topic, packet_id, payload = packets.read_publish(packet)
                if packet_id:
                    self._out += packets.puback(packet_id)
                    self._write()
                if topic == self._acks:
                    self._received.append(decode_ack(payload))
            elif packet.kind == packets.DISCONNECT:
                code = packet.content[0] if packet.content else 0
                raise LinkError("{} ended the connection: {}".format(self._where, packets.reason(code)))
        except (packets.PacketError, WireError) as error:
            raise LinkError("{} sent a message that makes no sense: {}".format(self._where, error)) from error

    def _delivered(self, packet_id: int, code: int) -> None:
        self._in_flight_bytes -= self._in_flight.pop(packet_id, 0)
        if code >= 0x80:
            raise RefusedError("{} refuses messages: {}".format(self._where, packets.reason(code)))


def _wait_for(readers: _Sockets, writers: _Sockets, timeout: float) -> Tuple[_Sockets, _Sockets, _Sockets]:
    """``select`` without its limit of 1024 file descriptors, where the system has ``poll``."""
    if not hasattr(select, "poll"):
        return select.select(readers, writers, [], timeout)
    poller = select.poll()
    numbers = {}
    for end in set(readers) | set(writers):
        events = (select.POLLIN if end in readers else 0) | (select.POLLOUT if end in writers else 0)
        poller.register(end, events)
        numbers[end.fileno()] = end
    ready = poller.poll(timeout * 1000)
    failed = select.POLLERR | select.POLLHUP
    return (
        [numbers[number] for number, events in ready if events & (select.POLLIN | failed)],
        [numbers[number] for number, events in ready if events & select.POLLOUT and numbers[number] in writers],
        [],
    )
