"""A link that ends within the process: every message is decoded on the spot and acknowledged."""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import Dict, List, Optional

from provlight.wire import Ack, Batch, Shape, open_message, remember

from . import Link


class LocalLink(Link):
    """Hands decoded batches to :meth:`take`."""

    def __init__(self) -> None:
        self._shapes: Dict[int, Shape] = {}
        self._acks: List[Ack] = []
        self._woken = threading.Event()

    @abstractmethod
    def take(self, batch: Batch) -> None:
        """Receive a batch."""

    def publish(self, payload: bytes) -> None:
        """See :meth:`Link.publish`."""
        batch = open_message(payload).decode(self._shapes)
        remember(self._shapes, batch.announced)
        self.take(batch)
        self._acks.append(Ack(batch.seq))

    @property
    def ready(self) -> bool:
        """See :attr:`Link.ready`."""
        return True

    @property
    def settled(self) -> bool:
        """See :attr:`Link.settled`."""
        return True

    def wait(self, timeout: Optional[float]) -> List[Ack]:
        """See :meth:`Link.wait`."""
        if not self._acks:
            self._woken.wait(timeout)
            self._woken.clear()
        acks, self._acks = self._acks, []
        return acks

    def wake(self) -> None:
        """See :meth:`Link.wake`."""
        self._woken.set()

    def close(self) -> None:
        """See :meth:`Link.close`."""

    def abandon(self) -> None:
        """See :meth:`Link.abandon`."""
