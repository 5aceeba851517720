"""What a process captures: the one place that knows how buffer, batches, outbox and sender are put together.

Nothing is started before the first record. A fork gives the child a capture of its own; see :func:`_after_fork`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time

from .buffer import Buffer, DurableBuffer
from .declared import Declared, read_declared
from .forking import undisturbed
from .report import Report
from .settings import Settings
from .shapes import RUN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, NamedTuple, Optional

    from .batcher import Batcher
    from .buffer import Entry
    from .outbox import Outbox
    from .sender import Sender
    from .spool.adoption import Adopter
else:
    from .namedtuples import NamedTuple

_SPOOLING_S = 5.0  # the end of a program gives the disk at least so long
_UNREACHABLE_S = 5.0  # and with a spool waits no longer for a broker that cannot be reached


class Remains(NamedTuple):
    """What was captured and not delivered when a capture was closed."""

    records: int
    kept: int  # of these, in the spool


class Capture:
    """Everything between a call and the network, for one process and one set of settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.report = Report()
        self.client = os.urandom(8).hex()
        self.ignored = 0  # records that a capture without transport let pass
        self.buffer: Optional[Buffer] = None
        self._outbox: Optional[Outbox] = None
        self._batcher: Optional[Batcher] = None
        self._sender: Optional[Sender] = None
        self._adopter: Optional[Adopter] = None
        self._start_lock = threading.RLock()
        self._silent = settings.transport == "none"

    def add_first(self, entry: Entry, weight: int) -> None:
        """Set down an entry while nothing is started: start, or count it."""
        if self._start() and self.buffer is not None:
            self.buffer.append(entry, weight)
        else:
            self.ignored += 1

    def _start(self) -> bool:
        """Start the threads. Returns whether records are taken."""
        with self._start_lock:
            if self.buffer is not None or self._silent:
                return not self._silent
            settings = self.settings
            for complaint in settings.complaints:
                self.report.say(complaint, complaint)
            if settings.transport == "mqtt" and settings.endpoint is None:
                self._silent = True
                self.report.say(
                    "unconfigured",
                    "nothing is captured, because no broker is named: set PROVLIGHT_SERVER_URL or PROVLIGHT_TRANSPORT",
                )
                return False
            if settings.transport == "file" and settings.file is None:
                self._silent = True
                self.report.say("unconfigured", "nothing is captured, because no file is named: set PROVLIGHT_FILE")
                return False
            if settings.durability == "record" and settings.spool_dir is None:
                self.report.say("durability", "calls return before their record is safe: set PROVLIGHT_SPOOL_DIR")
            # The buffer first: a signal handler may capture while the rest is being made.
            kind = DurableBuffer if self._spooled and settings.durability == "record" else Buffer
            self.buffer = kind(settings.buffer_kb << 10, settings.linger_ms / 1000)
            with undisturbed:
                started = self._start_threads(self.buffer)
            if started and self._batcher is not None and isinstance(self.buffer, DurableBuffer):
                self.buffer.set_wait(self._batcher.wait_until_handled)
            return started

    @property
    def _spooled(self) -> bool:
        # Whoever writes to a file or the screen wants to see this program, not what others left.
        return self.settings.spool_dir is not None and self.settings.transport == "mqtt"

    def _start_threads(self, buffer: Buffer) -> bool:
        try:
            from .batcher import Batcher
            from .encoding import Encoder
            from .outbox import Outbox
            from .sender import Sender
            from .transport.choice import transport_maker

            settings = self.settings
            about = _about(settings.run)
            encoder = Encoder(self.client, settings.compress, about=about)
            make_transport = transport_maker(settings)
            outbox: Outbox
            adopter: Optional[Adopter] = None
            if self._spooled:
                from .spool.own import make_spool

                outbox, adopter = make_spool(settings, self.client, encoder.known, make_transport, self.report)
            else:
                outbox = Outbox(settings.outbox_kb << 10)
            batcher = Batcher(buffer, outbox, encoder, settings.batch, self.report)
            sender = Sender(outbox, lambda: make_transport(""), self.client, encoder.announcements, self.report, about)
            outbox.on_add = sender.wake
            outbox.on_room = batcher.room
            batcher.start()
            sender.start()
            if adopter is not None:
                adopter.start()
        except (ImportError, OSError, RuntimeError) as error:  # no msgpack, no more threads, the interpreter goes down
            self._silent = True
            self.buffer = None
            buffer.close()
            self.report.say("unstarted", "nothing is captured: {}".format(error))
            return False
        self._outbox, self._batcher, self._sender, self._adopter = outbox, batcher, sender, adopter
        _watch_exit()
        return True

    def flush(self, timeout: float) -> bool:
        """Wait until everything captured so far is stored. Returns whether it is, within ``timeout`` seconds."""
        with self._start_lock:
            buffer, outbox, batcher = self.buffer, self._outbox, self._batcher
        if buffer is None or outbox is None or batcher is None:
            return True
        deadline = time.monotonic() + timeout
        wanted = buffer.appended
        buffer.hurry()
        if not outbox.wait_for(lambda: batcher.handled >= wanted, timeout):
            return False
        last = outbox.next_seq - 1
        return outbox.wait_for(lambda: outbox.base > last, max(0.0, deadline - time.monotonic()))

    def close(self, timeout: float) -> "Remains":
        """Take no more records, deliver what there is within ``timeout`` seconds. Returns what remains undelivered.

        With a spool the wait is shorter while the broker cannot be reached: what remains is safe.
        """
        buffer, outbox, batcher, sender = self.buffer, self._outbox, self._batcher, self._sender
        if buffer is None or outbox is None or batcher is None or sender is None:
            return Remains(0, 0)
        adopter = self._adopter
        began = time.monotonic()
        deadline = began + timeout
        buffer.close()
        with contextlib.suppress(KeyboardInterrupt):  # the user does not want to wait
            batcher.join(timeout if adopter is None else max(timeout, _SPOOLING_S))
            patience = began + min(timeout, _UNREACHABLE_S)
            while not outbox.empty and time.monotonic() < deadline:
                if adopter is not None and sender.failing and time.monotonic() >= patience:
                    break
                outbox.wait_for(lambda: outbox.empty, min(0.25, max(0.0, deadline - time.monotonic())))
            if adopter is not None and outbox.empty:
                adopter.finish(deadline)
        remains = Remains(self.pending, outbox.kept)
        if adopter is not None:
            adopter.close()
        sender.close()
        sender.join(1.0)
        if not batcher.is_alive():
            outbox.close()
        return remains

    @property
    def pending(self) -> int:
        """Records captured that are neither stored nor lost."""
        if self.buffer is None or self._outbox is None:
            return 0
        return max(0, self.buffer.appended - self._outbox.stored - self._lost_after_buffer())

    def _lost_after_buffer(self) -> int:
        return self.report.lost_records - self.report.lost.get("the buffer was full", 0)

    def stats(self) -> Dict[str, Any]:
        """See :func:`provlight.stats`."""
        buffer, outbox, sender, adopter = self.buffer, self._outbox, self._sender, self._adopter
        figures: Dict[str, Any] = {
            "client": self.client,
            "transport": self.settings.transport,
            "connected": bool(sender and sender.connected),
            "captured": buffer.appended if buffer else 0,
            "stored": outbox.stored if outbox else 0,
            "pending": self.pending,
            "lost": dict(self.report.lost),
            "ignored": self.ignored,
            "misuses": dict(self.report.misuses),
            "batches": outbox.next_seq - 1 if outbox else 0,
            "sent": sender.sent if sender else 0,
            "last_error": self.report.last_error,
        }
        if outbox is not None and adopter is not None:
            figures["spool"] = {**outbox.figures(), "adopted": adopter.figures()}
        return figures

    def abandon(self) -> None:
        """In the child of a fork: let go of what belongs to the parent."""
        if self._sender is not None:
            self._sender.abandon()
        if self._adopter is not None:
            self._adopter.abandon()


_current: Optional[Capture] = None
_declared: Optional[Declared] = None
_making = threading.RLock()
generation = 0
"""A number that changes whenever the dataflow to check calls against may have changed."""
_watched_pid = 0


def current() -> Capture:
    """The capture of this process; made with the settings of the environment if there is none."""
    capture = _current
    return capture if capture is not None else _begin(None)


def _begin(settings: Optional[Settings]) -> Capture:
    global _current, _declared, generation, record
    with _making:
        if _current is None or settings is not None:
            used = settings or Settings()
            known: Optional[Declared] = None
            if used.dataflow:
                try:
                    with undisturbed:
                        known = read_declared(used.dataflow)
                except ValueError as error:
                    used.complaints.append("{}; calls are not checked".format(error))
            made = Capture(used)
            if _current is None or settings is not None:  # a signal handler may have been here meanwhile
                _current, _declared, record = made, known, _record_first
                generation += 1
        return _current


def _record_first(entry: Entry, weight: int) -> Any:
    """Set down an entry while this process's capture has no buffer yet, or never has one."""
    global record
    capture = current()
    capture.add_first(entry, weight)
    with _making:
        if capture is _current and capture.buffer is not None:
            record = capture.buffer.append


record = _record_first
"""Set down an entry in this process's capture. Never waits for the network, never raises for a delivery problem.

A variable, because the way to the buffer is gone at each record.
"""


def declared() -> Optional[Declared]:
    """The dataflow to check calls against, None when it is not known on this device."""
    if _current is None:
        _begin(None)
    return _declared


def configure(**arguments: Any) -> None:
    """Replace the settings: each argument is one of the names in the table of settings.

    What was captured before is delivered first, within the ``flush_timeout`` that was in force. Settings that are not
    given come from the environment, as ever. Call it before the application forks or starts threads that capture.

    Raises:
        ValueError: an unknown setting or a malformed value.
    """
    settings = Settings(arguments)
    old = _current
    if old is not None:
        _close(old)
    _begin(settings)


def flush(timeout: Optional[float] = None) -> bool:
    """Wait until everything captured so far is stored.

    Args:
        timeout: seconds; without it the setting ``flush_timeout``.

    Returns:
        Whether everything is stored. Records that were lost (see :func:`stats`) are not waited for.
    """
    capture = current()
    return capture.flush(capture.settings.flush_timeout if timeout is None else timeout)


def stats() -> Dict[str, Any]:
    """Counts of this process, as a dictionary:

    ``captured``, ``stored``, ``pending`` records; ``lost`` and ``misuses`` by reason; records ``ignored`` for want of a
    transport; ``batches`` made and messages ``sent`` (repeats included); ``connected``, ``last_error``, ``client``,
    ``transport``. With a spool, ``spool`` has its ``folder``, ``bytes``, ``batches`` on the disk and ``in_memory``, the
    unix time of the ``oldest``, and what was ``adopted`` of dead processes: ``folders``, ``records``, ``lost``.
    """
    return current().stats()


def _close(capture: Capture) -> None:
    remains = capture.close(capture.settings.flush_timeout)
    if remains.records and sys.stderr is not None:
        # Not through logging: at the end of the interpreter its handlers may be closed already.
        sys.stderr.write("provlight: {}\n".format(_told(capture, remains)))


def _told(capture: Capture, remains: Remains) -> str:
    """What is said of records that were not delivered."""
    captured = capture.stats()["captured"]
    error = ": " + capture.report.last_error if capture.report.last_error else ""
    if not remains.kept:
        return "{} of {} records were not delivered within {:g} s{}".format(
            remains.records, captured, capture.settings.flush_timeout, error
        )
    lost = remains.records - remains.kept
    return "{} of {} records were not delivered{}. {} are kept in {}{}: {}".format(
        remains.records,
        captured,
        error,
        remains.kept,
        capture.settings.spool_dir,
        ", {} are lost".format(lost) if lost > 0 else "",
        "the next start or `provlight spool send` sends them",
    )


def _at_exit() -> None:
    capture = _current
    if capture is not None:
        _close(capture)


def _watch_exit() -> None:
    """Flush when this process ends."""
    global _watched_pid
    if _watched_pid == os.getpid():
        return
    if not _watched_pid:
        atexit.register(_at_exit)
    _watched_pid = os.getpid()
    # Children of multiprocessing leave by os._exit after their own finalizers: atexit is never asked there.
    process = sys.modules.get("multiprocessing.process")
    if process is not None and getattr(process.current_process(), "_parent_pid", None) is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=0)


def _after_fork() -> None:
    """The child's records are its own: new identity, empty buffer, no thread yet. The parent sends what it captured."""
    global _current, _making, record
    _making = threading.RLock()  # the old one may be held by a thread that does not exist here
    record = _record_first
    old = _current
    if old is not None:
        _current = Capture(old.settings)
        old.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _about(run: Optional[str]) -> Dict[str, Any]:
    import platform

    about = {"host": platform.node(), "pid": os.getpid(), "python": platform.python_version()}
    return about if run is None else {**about, RUN: run}
