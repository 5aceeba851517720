"""A supervised child process: started, known to be ready, restarted when it dies, ended in order."""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from e2c.errors import ProvenanceError

FIRST_BACKOFF_S = 0.05
LONGEST_BACKOFF_S = 2.0
WORKED_S = 1.0
"""A child that was ready for this long starts again without delay: it was ended, or met something rare."""

STABLE_S = 30.0
FAILING = 3
"""A child that ended this often in a row, each time within ``STABLE_S``, is said to fail."""

MAX_LOG = 16 << 20
"""A log longer than this is put aside; one older log is kept."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Child:
    """One program of the service.

    Args:
        name: of the child and its log.
        command: program and arguments, without secrets.
        ready: matches the line of its output that says it is ready.
        stop_s: how long it may take to end.
    """

    name: str
    command: Sequence[str]
    ready: re.Pattern[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_s: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    is_ready: bool = False
    restarts: int = 0
    failures: int = 0  # ends in a row, each within STABLE_S
    last_end: str | None = None
    since: float | None = None  # time.time() of its start
    restart_at: float | None = None
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=8))
    _backoff: float = FIRST_BACKOFF_S
    _started: float = 0.0
    _ready_at: float | None = None
    _buffer: bytes = b""
    _file: BinaryIO | None = None

    def start(self) -> None:
        """Start the process.

        Raises:
            ProvenanceError: the program cannot be started.
        """
        self._open_log()
        self.is_ready, self.restart_at, self._buffer = False, None, b""
        self.last_lines.clear()
        self._started, self._ready_at = time.monotonic(), None
        self.since = time.time()
        parent = os.getpid()

        def before_exec() -> None:
            # The kernel ends the child when the supervisor is gone, however that happened.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        try:
            self.process = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor, which ends the others in order
                preexec_fn=before_exec,  # the supervisor has one thread
            )
        except OSError as error:
            raise ProvenanceError(f"{self.name} cannot be started", why=str(error)) from error
        self.pidfd = os.pidfd_open(self.process.pid)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.process.pid if self.process is not None else None

    @property
    def output(self) -> int:
        """Descriptor of its output."""
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> bool:
        """Take what it wrote into its log; learn whether it is ready. Returns False at the end of its output."""
        try:
            data = os.read(self.output, 1 << 16)
        except OSError:
            return False
        if not data:
            return False
        with suppress(OSError):  # a full disk ends nothing but the log
            if self._file is None or self._file.tell() > MAX_LOG:
                self._open_log()
            if self._file is not None:
                self._file.write(data)
        *lines, self._buffer = (self._buffer + data)[-(1 << 16) :].split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text:
                self.last_lines.append(text)
            if not self.is_ready and self.ready.search(text):
                self.is_ready, self._ready_at = True, time.monotonic()
        return True

    def ended(self, now: float) -> int:
        """Clean up after its end and say when to start it again. Returns its exit code."""
        assert self.process is not None
        code = self.process.wait()
        while self.read():  # what it said last
            continue
        if self._buffer:
            self.last_lines.append(self._buffer.decode(errors="replace").strip())
        self.release()
        if self._ready_at is not None and now - self._ready_at > WORKED_S:
            self._backoff = FIRST_BACKOFF_S
        self.failures = self.failures + 1 if now - self._started < STABLE_S else 1
        said = f": {self.last_lines[-1]}" if self.last_lines else ""
        self.last_end = f"signal {-code}" if code < 0 else f"exit code {code}{said}"
        self.restart_at = now + self._backoff
        self._backoff = min(self._backoff * 2, LONGEST_BACKOFF_S)
        return code

    def release(self) -> None:
        """Let go of the descriptors of an ended process."""
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
        self.process, self.pidfd, self.is_ready = None, -1, False

    def stop(self) -> None:
        """End it: politely, then not."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.process.terminate()
        deadline = time.monotonic() + self.stop_s
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                self.process.kill()
            # Its output must flow on, or it may never come to its end.
            if not self._wait_for_output(0.5) or not self.read():
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.5)
        while self.read():
            continue
        self.release()

    def close_log(self) -> None:
        """Close its log file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open_log(self) -> None:
        self.close_log()
        with suppress(OSError):  # a full disk
            if self.log.exists() and self.log.stat().st_size > MAX_LOG:
                self.log.replace(self.log.with_suffix(".log.1"))
            self._file = self.log.open("ab", buffering=0)

    def _wait_for_output(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self.output, self.pidfd], [], [], timeout_s)
        return self.output in ready


def start_time(pid: int | None, *, dying: bool = False) -> str | None:
    """Start time of a living process as the kernel counts it: with the pid it names a process uniquely.

    Args:
        dying: also of one that has ended but for its entry, or for threads that still end.
    """
    if pid is None:
        return None
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if state in "ZX" and not dying else fields[18]
