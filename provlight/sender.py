"""The thread that brings batches out and learns what is stored."""

from __future__ import annotations

import random
import threading
import time

from .encoding import make_tombstone
from .envelope import BatchTooLargeError, frame
from .outbox import Entry, Outbox
from .report import Report
from .transport import Link, LinkError, PayloadTooLargeError, RefusedError, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, List, Mapping, Optional

_RECONNECT = (0.25, 30.0)  # first and longest pause before another connection, in seconds
_RESEND = (2.0, 15.0)  # first and longest wait for an acknowledgement of what the broker has, in seconds
_OUTAGE, _REFUSED = "outage", "refused"  # said once, until records are stored again
_WINDOW = 64  # batches sent and not acknowledged, at most


class Backoff:
    """Pauses that double from ``first`` to ``longest`` seconds, each with up to a quarter of jitter."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def pause(self) -> float:
        """The pause to make now; the next one is twice as long."""
        pause, self._next = self._next, min(self._next * 2, self._longest)
        return pause * random.uniform(0.75, 1.25)  # noqa: S311 it only spreads clients in time

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._next = self._first


class Sender(threading.Thread):
    """Sends what the outbox holds, in order, and again until it is acknowledged.

    Args:
        outbox: where the batches are.
        make_transport: called in this thread before the first link.
        client: identity of the client.
        announcements: gives the shapes that a body refers to, when the translator asks; see ``Encoder.announcements``.
        report: where problems are counted.
        about: facts about the client, sent again with the shapes.
    """

    def __init__(
        self,
        outbox: Outbox,
        make_transport: Callable[[], Transport],
        client: str,
        announcements: Callable[[bytes], List[Any]],
        report: Report,
        about: Optional[Mapping[str, Any]] = None,
    ) -> None:
        super().__init__(name="provlight-sender", daemon=True)
        self._outbox = outbox
        self._make_transport = make_transport
        self._client = client
        self._announcements = announcements
        self._report = report
        self._about = about
        self._closing = False
        self._link: Optional[Link] = None
        self._announce_up_to = 0  # sequence number below which batches are sent with their shapes
        self._announced_base = 0
        self.connected = False
        self.failing = False  # the last attempt went wrong, and nothing was acknowledged since
        self.sent = 0  # batches handed over, repeats included

    def wake(self) -> None:
        """There is something new to send."""
        link = self._link
        if link is not None:
            link.wake()

    def close(self) -> None:
        """Stop soon, whether or not everything was delivered."""
        self._closing = True
        self._outbox.changed()
        self.wake()

    def abandon(self) -> None:
        """In the child of a fork: let go of the link that the parent uses."""
        if self._link is not None:
            self._link.abandon()

    def run(self) -> None:
        """Work until closed."""
        self._outbox.wait_for(lambda: self._closing or not self._outbox.empty, None)
        transport: Optional[Transport] = None
        backoff = Backoff(*_RECONNECT)
        while not self._closing:
            try:
                transport = transport or self._make_transport()
                self._link = transport.connect(self._client)
                self.connected = True
                try:
                    self._serve(self._link, backoff)
                finally:
                    self.connected = False
                    self._link.close()
                    self._link = None
            except (LinkError, OSError, ValueError) as error:
                self._trouble(error)
            pause = backoff.pause()
            self._outbox.wait_for(lambda: self._closing, pause)

    def _trouble(self, error: Exception) -> None:
        self._report.last_error = str(error)
        self.failing = True
        if not self._closing:
            topic = _REFUSED if isinstance(error, RefusedError) else _OUTAGE
            self._report.say(
                topic, "{}. Records wait {}, and delivery is tried again".format(error, self._outbox.place)
            )

    def _serve(self, link: Link, backoff: Backoff) -> None:
        """Send and listen until closed. Raises LinkError when the link breaks."""
        outbox = self._outbox
        resend = Backoff(*_RESEND)
        patience = resend.pause()
        cursor = outbox.base - 1
        window = 1
        quiet_since: Optional[float] = None  # since when everything sent is at the broker, and nothing was acknowledged
        while not self._closing:
            while link.ready and cursor < outbox.base - 1 + window:
                entry = outbox.after(cursor)
                if entry is None:
                    break
                if not self._publish(link, entry):
                    continue
                cursor = entry.seq
                quiet_since = None
            waits = cursor >= outbox.base and link.settled
            if waits and quiet_since is None:
                quiet_since = time.monotonic()
            timeout = max(0.0, quiet_since + patience - time.monotonic()) if waits and quiet_since else None
            acks = link.wait(timeout)
            done = sum(outbox.acknowledge(ack.last) for ack in acks)
            if any(ack.announce for ack in acks) and self._announced_base != outbox.base:
                self._announced_base = outbox.base
                self._announce_up_to = outbox.next_seq
                cursor = outbox.base - 1
            if done:
                window = min(window + done, _WINDOW)
                backoff.reset()
                resend.reset()
                patience = resend.pause()
                quiet_since = None
                self.failing = False
                self._report.last_error = ""
                self._report.forget(_OUTAGE)
                self._report.forget(_REFUSED)
            elif waits and quiet_since and time.monotonic() >= quiet_since + patience:
                cursor = outbox.base - 1
                window = 1
                patience = resend.pause()
                quiet_since = None
            cursor = max(cursor, outbox.base - 1)

    def _publish(self, link: Link, entry: Entry) -> bool:
        """Hand over one batch. False when it had to be replaced by a tombstone, which then goes instead."""
        try:
            if entry.seq < self._announce_up_to:
                payload = frame(entry.body, self._outbox.base, self._announcements(entry.body), self._about)
            else:
                payload = frame(entry.body, self._outbox.base)
            link.publish(payload)
        except (PayloadTooLargeError, BatchTooLargeError, LookupError) as error:
            if not entry.records:
                raise LinkError(str(error)) from error
            reason = "shapes were forgotten" if isinstance(error, LookupError) else "a message was too large"
            self._report.lose(entry.records, reason, str(error))
            self._outbox.replace(entry.seq, make_tombstone(entry.body, reason), 0)
            return False
        self.sent += 1
        return True
