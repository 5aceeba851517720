"""The translator process: subscribes to the broker, hands messages to the store, acknowledges what is committed.

``python -m e2c.provenance.storing.translator DIR ADDRESS PORT PARTITIONS`` prints ``ready`` once it is subscribed
and the database answers. It never ends because of a database or broker that is away: it waits for them.
"""

from __future__ import annotations

import gc
import logging
import secrets
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Condition, Event
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from e2c.errors import E2CError
from e2c.provenance.folder import BROKER_USER, DataFolder, write_json
from e2c.provenance.space import scarce
from e2c.provenance.storing.store import Acknowledgement, Delivery, Store
from provlight.wire import ack_topic, encode_ack, records_filter

logger = logging.getLogger("e2c.provenance.storing.translator")

MAX_WAITING_BYTES = 64 << 20
"""Messages taken from the broker and not stored yet; beyond that the broker has to wait."""

MAX_BATCH_BYTES = 4 << 20
MAX_BATCH_MESSAGES = 256
"""Most of one transaction."""

LINGER_S = 0.02
"""How long a message waits for company at most, when another transaction has just been made."""

ENOUGH_BYTES = 128 << 10
ENOUGH_MESSAGES = 64
"""With so much at hand nothing waits: what a transaction costs by itself is little beside it then."""

RECEIVE_MAXIMUM = 400
HEARTBEAT_S = 1.0
BUSY_RESOLVE_S = 1.0
"""How often dependencies on tasks that were not known are looked for while messages come without a pause."""

REST_S = 32.0
"""After so long without messages, see :meth:`Store.rest`."""
KEEPALIVE_S = 30
SPACE_S = 1.0
"""How long to wait before it is tried again on a full disk."""

RECONNECT_S = 0.1
REMARKED_ATTEMPTS = 50
"""How often the database is tried, and every how many attempts that is worth a line in the log."""

ATTEMPTS = 3
"""How often a message whose statement fails is tried alone before it is rejected."""


class _Arrival(NamedTuple):
    delivery: Delivery
    mid: int
    qos: int
    session: int


class Inbox:
    """Messages between the broker's thread and the writer; blocks the broker's thread when full."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._arrivals: deque[_Arrival] = deque()
        self._bytes = 0
        self._closed = False
        self._woken = False
        self._returned = 0.0  # when messages were taken last

    def put(self, arrival: _Arrival) -> None:
        """Add a message; waits for room."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < MAX_WAITING_BYTES or self._closed)
            self._arrivals.append(arrival)
            self._bytes += len(arrival.delivery.payload)
            if len(self._arrivals) == 1 or self._enough():  # else nobody would do anything about it
                self._changed.notify_all()

    def take(self, timeout_s: float) -> list[_Arrival]:
        """The next messages; none when nothing came in time.

        A message that comes alone is handed out at once. When one follows another, each waits as long as the
        transaction before took, up to ``LINGER_S``: so transactions take half of the time at most, or they are large.
        """
        with self._changed:
            now = time.monotonic()
            rested = now + min(LINGER_S, now - self._returned)
            self._changed.wait_for(lambda: bool(self._arrivals) or self._closed or self._woken, timeout_s)
            self._woken = False
            if self._arrivals and not self._closed:
                self._changed.wait_for(self._enough, max(0.0, rested - time.monotonic()))
            taken: list[_Arrival] = []
            size = 0
            while self._arrivals and len(taken) < MAX_BATCH_MESSAGES and size < MAX_BATCH_BYTES:
                arrival = self._arrivals.popleft()
                taken.append(arrival)
                size += len(arrival.delivery.payload)
            self._bytes -= size
            self._changed.notify_all()
            self._returned = time.monotonic()
            return taken

    def wake(self) -> None:
        """Let the writer look around."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._arrivals)

    def _enough(self) -> bool:
        return self._closed or self._bytes >= ENOUGH_BYTES or len(self._arrivals) >= ENOUGH_MESSAGES


class Translator:
    """Everything of the translator process."""

    def __init__(self, folder: DataFolder, address: str, port: int, partitions: int) -> None:
        self._folder = folder
        self._partitions = partitions
        self._store = Store(folder)
        self._inbox = Inbox()
        self._stop = Event()
        self._subscribed = Event()
        self._session = 0
        self._messages = 0
        self._announced = False
        self._connected = False  # to the database
        self._beaten = 0.0
        self._state = False, False
        self._resolved = 0.0  # when dependencies were resolved last, and how long it took
        self._resolving_s = 0.0
        self._stored_at = 0.0  # when messages were stored last
        self._rested = 0  # messages when there was a pause last
        # An identity that no device can guess: a connection under the same one would end ours.
        name = f"translator-{secrets.token_hex(16)}"
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5, manual_ack=True)
        self._client.username_pw_set(BROKER_USER, folder.passwords()[BROKER_USER])
        self._client.reconnect_delay_set(0.1, 2)  # type: ignore[arg-type] # any number will do
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_socket_open = self._on_socket_open
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        self._client.connect_async(address, port, KEEPALIVE_S, clean_start=True, properties=properties)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then store what has arrived."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        self._client.loop_start()
        try:
            while self._reconnect() and not self._stop.is_set():
                self._beat()
                self._work(self._inbox.take(HEARTBEAT_S))
            waiting = len(self._inbox)  # what comes after this, the clients send again
            while waiting > 0 and self._reconnect():
                arrivals = self._inbox.take(0)
                self._work(arrivals)
                waiting -= max(1, len(arrivals))
        finally:
            self._inbox.close()
            self._client.disconnect()
            self._client.loop_stop()
            self._store.close()

    def _told_to_stop(self, *_: Any) -> None:
        self._stop.set()
        self._inbox.wake()

    # ------------------------------------------------------------------------------------------------- writing

    def _reconnect(self) -> bool:
        """Have a database. Returns False when told to stop meanwhile."""
        attempts = 0
        while not self._connected:
            try:
                self._store.open()
                self._connected = True
            except Exception as error:  # noqa: BLE001 - a database that starts or dies fails in many ways
                attempts += 1
                if attempts % REMARKED_ATTEMPTS == (0 if not self._announced else 1):  # a start takes its time
                    logger.warning("waiting for the database: %s", error)
                self._beat()
                if self._stop.wait(RECONNECT_S):
                    return False
        return True

    def _work(self, arrivals: Sequence[_Arrival]) -> None:
        markers = [arrival for arrival in arrivals if _is_marker(arrival.delivery.topic)]
        deliveries = [arrival.delivery for arrival in arrivals if not _is_marker(arrival.delivery.topic)]
        if deliveries:
            self._acknowledge(self._stored(deliveries))
            self._messages += len(deliveries)
            self._stored_at = time.monotonic()
        open_ends = self._store.news and (self._store.unresolved or self._store.awaited)
        if markers:
            self._settle()
        elif open_ends and time.monotonic() > self._resolve_at(arrivals):
            self._resolve()
        if not arrivals:
            self._let_checkpoint()
        for arrival in markers:
            name = arrival.delivery.topic.rpartition("/")[2]
            self._client.publish(ack_topic(BROKER_USER, name), encode_ack(0), qos=1)
        for arrival in arrivals:
            if arrival.session == self._session:
                self._client.ack(arrival.mid, arrival.qos)

    def _stored(self, deliveries: list[Delivery]) -> list[Acknowledgement]:
        """Store messages whatever happens: wait for a database that is away, set aside a message that it refuses."""
        failures = 0
        while True:
            if not self._reconnect():
                return []  # the clients keep what is not acknowledged
            try:
                return self._store.store(deliveries)
            except Exception as error:
                self._connected = self._store.recover()
                if not self._connected:
                    logger.warning("the database is gone: %s", error)
                    continue
                if scarce(self._folder):  # no fault of the messages: the clients keep them until there is space
                    logger.warning("%d messages wait for space on the disk: %s", len(deliveries), error)
                    self._beat()
                    if self._stop.wait(SPACE_S):
                        return []
                    continue
                failures += 1
                logger.warning("%d messages could not be stored: %s", len(deliveries), error, exc_info=True)
                if len(deliveries) > 1:
                    half = len(deliveries) // 2
                    first = self._stored(deliveries[:half])
                    return first + self._stored(deliveries[half:])
                if failures >= ATTEMPTS:
                    return self._set_aside(deliveries, error)
                self._stop.wait(0.1 * failures)

    def _set_aside(self, deliveries: list[Delivery], error: Exception) -> list[Acknowledgement]:
        """Reject a message that makes a statement fail. If not even that can be stored, wait: nothing is dropped."""
        while not self._stop.is_set():
            try:
                if self._reconnect():
                    return self._store.store(deliveries, f"{type(error).__name__}: {error}")
            except Exception as problem:  # noqa: BLE001 - a full disk, for example
                logger.warning("a message can be neither stored nor rejected: %s", problem)
                self._connected = self._store.recover()
                self._stop.wait(1.0)
        return []

    def _resolve_at(self, arrivals: Sequence[_Arrival]) -> float:
        """When dependencies are to be resolved: soon if nothing else is to do, for a tenth of the time at most."""
        return self._resolved + max(BUSY_RESOLVE_S if arrivals else HEARTBEAT_S, 10 * self._resolving_s)

    def _let_checkpoint(self) -> None:
        """After a pause: see :meth:`Store.rest`."""
        if self._messages == self._rested or time.monotonic() - self._stored_at < REST_S:
            return
        try:
            self._store.rest()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was under way
            logger.warning("the database does not answer: %s", error)
            self._connected = self._store.recover()
        self._rested = self._messages

    def _settle(self) -> None:
        """For ``drain``: the database answers, and what can be found out of the stored rows is found out."""
        for _ in range(ATTEMPTS):
            if not self._reconnect() or self._resolve():
                return

    def _resolve(self) -> bool:
        began = time.monotonic()
        try:
            self._store.resolve_dependencies()
        except Exception as error:  # noqa: BLE001 - it is tried again; the rows are safe
            logger.warning("dependencies could not be resolved: %s", error)
            self._connected = self._store.recover()
            return False
        finally:
            self._resolved = time.monotonic()
            self._resolving_s = self._resolved - began
        return True

    def _acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        for user, client, last, announce in acknowledgements:
            # A client that does not get it sends again and is told again.
            self._client.publish(ack_topic(user, client), encode_ack(last, announce), qos=1)

    def _beat(self) -> None:
        """Say that this process lives, and how it goes."""
        state = self._subscribed.is_set(), self._connected
        now = time.monotonic()
        if now - self._beaten < HEARTBEAT_S and state == self._state:
            return
        self._beaten, self._state = now, state
        figures = {
            "time": time.time(),
            "broker": state[0],
            "database": state[1],
            "partitions": self._partitions,
            "messages": self._messages,
            "records": self._store.records,
            "rejected": self._store.rejected,
            "waiting": len(self._inbox),
            "unresolved_dependencies": self._store.unresolved,
        }
        with suppress(OSError):  # a full disk
            write_json(self._folder.translator, figures)
        if all(state) and not self._announced:
            self._announced = True
            sys.stdout.write("ready\n")
            sys.stdout.flush()

    # --------------------------------------------------------------------------------------------------- broker

    def _on_connect(self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        del data, flags, properties
        self._session += 1
        if reason.is_failure:
            logger.error("the broker refuses: %s", reason)
            return
        # All partitions: a client that was told another number than we were is not lost.
        client.subscribe(records_filter("+"), qos=1)

    def _on_socket_open(self, client: Any, data: Any, sock: Any) -> None:
        del client, data
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed.set()
        self._inbox.wake()

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        del client, data, flags, properties
        self._subscribed.clear()
        if not self._stop.is_set():
            logger.warning("the broker is gone: %s", reason)

    def _on_message(self, client: Any, data: Any, message: mqtt.MQTTMessage) -> None:
        del client, data
        delivery = Delivery(message.topic, bytes(message.payload))
        self._inbox.put(_Arrival(delivery, message.mid, message.qos, self._session))


def _is_marker(topic: str) -> bool:
    """Whether a message is one of ``drain``: only the service itself may write under its own name."""
    return topic.split("/")[2:3] == [BROKER_USER]


def main(arguments: Sequence[str]) -> int:
    """Run the translator."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Messages become many objects without cycles; looking for cycles in all that is remembered costs a tenth.
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)
    folder, address, port, partitions = arguments
    try:
        Translator(DataFolder(Path(folder)), address, int(port), int(partitions)).run()
    except E2CError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
