"""Ways for batches to leave the process.

A transport makes *links*. A link takes payloads and brings back acknowledgements; when it breaks it raises
:class:`LinkError` and the sender makes another one. The thread of the sender owns the link; only :meth:`Link.wake` is
called by others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from provlight.wire import Ack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List, Optional


class LinkError(Exception):
    """A link could not be made, or broke. The text says why."""


class RefusedError(LinkError):
    """The broker is there and refuses us: trying again soon is pointless."""


class PayloadTooLargeError(LinkError):
    """The other side never takes a payload of this size. The link is still good."""


class Link(ABC):
    """An open way out."""

    @abstractmethod
    def publish(self, payload: bytes) -> None:
        """Hand over a message without waiting for the network.

        Raises:
            PayloadTooLargeError: it will never be taken.
            LinkError: the link is broken.
        """

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether another message may be handed over now."""

    @property
    @abstractmethod
    def settled(self) -> bool:
        """Whether the other side has received every message handed over."""

    @abstractmethod
    def wait(self, timeout: Optional[float]) -> List[Ack]:
        """Do network work until something happened: an acknowledgement, a message received, a wake, the timeout.

        Raises:
            LinkError: the link is broken.
        """

    @abstractmethod
    def wake(self) -> None:
        """Make :meth:`wait` return, now or next time. May be called by any thread."""

    @abstractmethod
    def close(self) -> None:
        """End the link politely. Does not raise."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of it after a fork, without a word on the wire that the parent still uses."""


class Transport(ABC):
    """A kind of link."""

    @abstractmethod
    def connect(self, client: str) -> Link:
        """Open a link for a client.

        Raises:
            LinkError: it cannot be opened now.
        """
