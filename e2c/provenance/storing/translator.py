"""The translator process: subscribes to the broker, hands messages to the store, acknowledges what is committed.

``python -m e2c.provenance.storing.translator DIR ADDRESS PORT PARTITIONS`` prints ``ready`` once it is subscribed
and the database answers. It never ends because of a database or broker that is away: it waits for them.
"""

from __future__ import annotations

import gc
import logging
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

from e2c.errors import E2CError
from e2c.provenance.folder import BROKER_USER, DataFolder, write_json
from e2c.provenance.space import scarce
from e2c.provenance.storing.inbox import Arrival, Inbox
from e2c.provenance.storing.store import Acknowledgement, Delivery, Store
from e2c.provenance.storing.subscription import Subscription
from provlight.wire import ack_topic, encode_ack, records_filter

logger = logging.getLogger("e2c.provenance.storing.translator")

HEARTBEAT_S = 1.0
BUSY_RESOLVE_S = 1.0
"""How often dependencies on tasks that were not known are looked for while messages come without a pause."""

REST_S = 32.0
"""After so long without messages, see :meth:`Store.rest`."""
SPACE_S = 1.0
"""How long to wait before it is tried again on a full disk."""

RECONNECT_S = 0.1
REMARKED_ATTEMPTS = 50
"""How often the database is tried, and every how many attempts that is worth a line in the log."""

ATTEMPTS = 3
"""How often a message whose statement fails is tried alone before it is rejected."""


class Translator:
    """Everything of the translator process."""

    def __init__(self, folder: DataFolder, address: str, port: int, partitions: int) -> None:
        self._folder = folder
        self._partitions = partitions
        self._store = Store(folder)
        self._inbox = Inbox()
        self._stop = Event()
        self._messages = 0
        self._announced = False
        self._connected = False  # to the database
        self._beaten = 0.0
        self._state = False, False
        self._resolved = 0.0  # when dependencies were resolved last, and how long it took
        self._resolving_s = 0.0
        self._sent: Sequence[Delivery] = []  # handed over and not known to be stored
        self._stored_at = 0.0  # when messages were stored last
        self._rested = 0  # messages when there was a pause last
        # An identity that no device can guess: a connection under the same one would end ours.
        name = f"translator-{secrets.token_hex(16)}"
        account = BROKER_USER, folder.passwords()[BROKER_USER]
        # All partitions: a client that was told another number than we were is not lost.
        self._broker = Subscription(
            (address, port), name, account, records_filter("+"), self._inbox.put, self._inbox.wake
        )

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then store what has arrived."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        self._broker.start()
        try:
            while self._reconnect() and not self._stop.is_set():
                self._beat()
                self._work(self._inbox.take(HEARTBEAT_S, self._store.answers))
            waiting = len(self._inbox)  # what comes after this, the clients send again
            while waiting > 0 and self._reconnect():
                arrivals = self._inbox.take(0)
                self._work(arrivals)
                waiting -= max(1, len(arrivals))
            self._attempt(lambda: self._store.settle(self._acknowledge))
        finally:
            self._inbox.close()
            self._broker.close()
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

    def _work(self, arrivals: Sequence[Arrival]) -> None:
        markers = [arrival for arrival in arrivals if _is_marker(arrival.delivery.topic)]
        deliveries = [arrival.delivery for arrival in arrivals if not _is_marker(arrival.delivery.topic)]
        if deliveries:
            self._attempt(lambda: self._store.send(deliveries, self._acknowledge), deliveries)
            self._messages += len(deliveries)
            self._stored_at = time.monotonic()
        else:
            self._attempt(lambda: self._store.look(self._acknowledge))
        open_ends = self._store.news and (self._store.unresolved or self._store.awaited)
        if markers:
            self._settle()
        elif open_ends and time.monotonic() > self._resolve_at(arrivals):
            self._resolve()
        if not arrivals:
            self._let_checkpoint()
        for arrival in markers:
            name = arrival.delivery.topic.rpartition("/")[2]
            self._broker.publish(ack_topic(BROKER_USER, name), encode_ack(0))
        self._broker.acknowledge(arrivals)

    def _attempt(self, step: Callable[[], None], deliveries: Sequence[Delivery] = ()) -> None:
        """Store the quick way. If that fails, store all that may be lost by it the patient way.

        Args:
            deliveries: what this step adds.
        """
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it is, the patient way finds out
            again = [*self._sent, *deliveries]
            logger.warning("%d messages are stored again, step by step: %s", len(again), error)
            self._sent = []
            self._connected = self._store.recover()
            self._acknowledge(self._stored(again))
        else:
            self._sent = (deliveries or self._sent) if self._store.underway else []

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

    def _resolve_at(self, arrivals: Sequence[Arrival]) -> float:
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
        self._attempt(lambda: self._store.settle(self._acknowledge))
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
            self._broker.publish(ack_topic(user, client), encode_ack(last, announce))

    def _beat(self) -> None:
        """Say that this process lives, and how it goes."""
        state = self._broker.subscribed, self._connected
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
