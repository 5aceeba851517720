"""Messages between the broker and the writer."""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Sequence
from threading import Condition
from typing import NamedTuple

from e2c.provenance.storing.store import Delivery

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


class Arrival(NamedTuple):
    """A message, and how to acknowledge it to the broker."""

    delivery: Delivery
    mid: int  # 0 with QoS 0
    session: int  # connection that it came by


class Inbox:
    """Messages between the broker's thread and the writer; blocks the broker's thread when full."""

    def __init__(self) -> None:
        self._room = Condition()
        self._arrivals: deque[Arrival] = deque()
        self._bytes = 0
        self._closed = False
        self._woken = False
        self._returned = 0.0  # when messages were taken last
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, arrivals: Sequence[Arrival]) -> None:
        """Add messages; waits for room."""
        with self._room:
            self._room.wait_for(lambda: self._bytes < MAX_WAITING_BYTES or self._closed)
            first = not self._arrivals
            self._arrivals.extend(arrivals)
            self._bytes += sum([len(arrival.delivery.payload) for arrival in arrivals])
            if first or self._enough():  # else nobody would do anything about it
                self._ring()

    def take(self, timeout_s: float, answers: int | None = None) -> list[Arrival]:
        """The next messages; none when nothing came in time.

        A message that comes alone is handed out at once. When one follows another, each waits as long as the
        transaction before took, up to ``LINGER_S``: so transactions take half of the time at most, or they are large.

        Args:
            answers: a file descriptor from which can be read when the transaction under way goes on. Until then
                messages wait for company, for none would be stored any sooner; then none are handed out.
        """
        now = time.monotonic()
        rested, given_up = now + min(LINGER_S, now - self._returned), now + timeout_s
        poller = select.poll()
        for number in (self._bell, answers):
            if number is not None:
                poller.register(number, select.POLLIN)
        while not self._ripe(now, rested if answers is None else given_up, given_up):
            until = rested if self._arrivals and answers is None else given_up
            ready = [number for number, _ in poller.poll(max(0.0, until - now) * 1000)]
            if answers in ready:
                return []
            if ready:
                os.eventfd_read(self._bell)
            now = time.monotonic()
        return self._taken()

    def _ripe(self, now: float, rested: float, given_up: float) -> bool:
        with self._room:
            woken, self._woken = self._woken, False
            return woken or self._enough() or now >= given_up or (bool(self._arrivals) and now >= rested)

    def _taken(self) -> list[Arrival]:
        with self._room:
            taken: list[Arrival] = []
            size = 0
            while self._arrivals and len(taken) < MAX_BATCH_MESSAGES and size < MAX_BATCH_BYTES:
                arrival = self._arrivals.popleft()
                taken.append(arrival)
                size += len(arrival.delivery.payload)
            self._bytes -= size
            self._room.notify_all()
            self._returned = time.monotonic()
            return taken

    def wake(self) -> None:
        """Let the writer look around."""
        with self._room:
            self._woken = True
            self._ring()

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._room:
            self._closed = True
            self._room.notify_all()
            self._ring()

    def __len__(self) -> int:
        return len(self._arrivals)

    def _enough(self) -> bool:
        return self._closed or self._bytes >= ENOUGH_BYTES or len(self._arrivals) >= ENOUGH_MESSAGES

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)
