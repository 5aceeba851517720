"""Connections that stay: a lasting command on each host, its lines as they come, and word at once of a host that goes.

A connection that breaks is tried once more at once. What cannot be reached then is *lost*, and tried again now and
then until it is *back*.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Literal, NamedTuple

from e2c.model.host import Host
from e2c.remote import shell
from e2c.remote.unreachable import reason

AT_ONCE = 20
"""Connections that are being made at the same time, at most."""
AGAIN_S = 2.0
"""Pause before a lost host is tried again."""
DOUBT_S = 2.0
"""Time that a new connection may take after one that broke, before the host counts as lost."""
HERE = "=== e2c here"
CHUNK = 1 << 16
END_S = 2


class Notice(NamedTuple):
    """Something of one host: a ``line`` that its command wrote, that it is ``lost`` (and why) or ``back``, or that its
    command has ``ended``."""

    key: str
    kind: Literal["line", "lost", "back", "ended"]
    text: str = ""


@dataclass
class Command:
    """What runs on a host: text for root's shell, which ends when its standard input does; and its first input."""

    text: str
    stdin: str = ""


@dataclass
class _Connection:
    process: subprocess.Popen[bytes]
    errors: IO[bytes]
    rest: list[bytes] = field(default_factory=list)
    up: bool = False


@dataclass
class _Watched:
    host: Host
    connection: _Connection | None = None
    lost: bool = False
    tries: int = 0
    broken: float | None = None
    next_s: float = 0
    over: bool = False


class Watcher:
    """Holds one connection to each of these hosts, until it is closed.

    Args:
        hosts: by service key.
        command: what runs on a host, asked for whenever a connection is made; ``None``: nothing more.
    """

    def __init__(self, hosts: Mapping[str, Host], command: Callable[[Host], Command | None]) -> None:
        self._command = command
        self._watched = {key: _Watched(host) for key, host in hosts.items()}
        self._selector = selectors.DefaultSelector()
        self._wakes, self._waker = os.pipe()
        self._selector.register(self._wakes, selectors.EVENT_READ)
        self._closing = threading.Lock()
        self._closed = False

    def __enter__(self) -> Watcher:
        shell.open_jumps(one.host for one in self._watched.values())
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def over(self) -> bool:
        """The commands of all hosts have ended, and are not wanted again."""
        return all(one.over for one in self._watched.values())

    def next(self, timeout_s: float) -> list[Notice]:
        """What has happened, after waiting for it so long at most."""
        self._connect()
        resting = [one.next_s for one in self._watched.values() if one.connection is None and not one.over]
        doubted = [one.broken + DOUBT_S for one in self._watched.values() if one.broken is not None]
        now = time.monotonic()
        # those that wait for their turn to connect get it when another has connected, which wakes this up
        ahead = [at - now for at in resting if at > now]
        pause = max(0.0, min([timeout_s, *ahead, *(at - now for at in doubted)]))
        chosen = self._selector.select(pause)
        notices = [notice for key, _ in chosen if key.data is not None for notice in self._read(key.data)]
        for one in self._watched.values():
            if one.broken is not None and time.monotonic() >= one.broken + DOUBT_S:
                notices += self._lose(one, "its connection ended, and another one is not made")
        return notices

    def wake(self) -> None:
        """Let :meth:`next` return at once, unless all is closed; for another thread than the one that calls it."""
        with self._closing:
            if not self._closed:
                os.write(self._waker, b"x")

    def close(self) -> None:
        """End all connections; the commands on the hosts end with them."""
        for one in self._watched.values():
            if one.connection is not None:
                _close_quietly(one.connection.process.stdin)
                if not one.connection.up:
                    one.connection.process.terminate()
        end = time.monotonic() + END_S
        for one in self._watched.values():
            if one.connection is not None:
                self._drop(one, max(0.0, end - time.monotonic()))
        self._selector.close()
        with self._closing:
            self._closed = True
            os.close(self._wakes)
            os.close(self._waker)

    def _connect(self) -> None:
        connecting = sum(one.connection is not None and not one.connection.up for one in self._watched.values())
        now = time.monotonic()
        for one in self._watched.values():
            if connecting >= AT_ONCE:
                return
            if one.connection is None and not one.over and one.next_s <= now:
                command = self._command(one.host)
                if command is None:
                    one.over = True
                    continue
                one.connection = self._start(one.host, command)
                self._selector.register(_stdout(one.connection), selectors.EVENT_READ, one)
                connecting += 1

    @staticmethod
    def _start(host: Host, command: Command) -> _Connection:
        text = f"echo {HERE}; {command.text}"
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection
        process = subprocess.Popen(
            [*shell.ssh_arguments(host), shell.as_root(host, text)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for the controller, which then asks the hosts
        )
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it ended already, and says why
            process.stdin.write(command.stdin.encode())
            process.stdin.flush()
        return _Connection(process, errors)

    def _read(self, one: _Watched) -> list[Notice]:
        connection = one.connection
        assert connection is not None
        data = os.read(_stdout(connection).fileno(), CHUNK)
        if not data:
            return self._ended(one)
        connection.rest.append(data)
        if b"\n" not in data:
            return []
        *lines, rest = b"".join(connection.rest).split(b"\n")
        connection.rest = [rest]
        notices = []
        for line in lines:
            text = line.decode(errors="replace")
            if not connection.up:  # whatever a host says at every login comes before
                if text.strip() == HERE:
                    connection.up, one.tries, one.broken = True, 0, None
                    if one.lost:
                        one.lost = False
                        notices.append(Notice(one.host.key, "back"))
                continue
            notices.append(Notice(one.host.key, "line", text))
        return notices

    def _ended(self, one: _Watched) -> list[Notice]:
        connection = one.connection
        assert connection is not None
        was_up = connection.up
        result = self._drop(one)
        if was_up and result.rc != shell.SSH_FAILED:
            one.next_s = time.monotonic() + AGAIN_S
            one.over = self._command(one.host) is None
            return [Notice(one.host.key, "ended", shell.explain(result) if result.rc else "")]
        one.tries += 1
        if one.tries == 1 and was_up:
            one.broken = time.monotonic()
            return []  # whether the host is still there, the next connection tells, if it does not take too long
        one.next_s = time.monotonic() + AGAIN_S
        return self._lose(one, reason(one.host, result))

    @staticmethod
    def _lose(one: _Watched, why: str) -> list[Notice]:
        one.broken = None
        if one.lost:
            return []
        one.lost = True
        return [Notice(one.host.key, "lost", why)]

    def _drop(self, one: _Watched, patience_s: float | None = None) -> shell.Result:
        connection = one.connection
        assert connection is not None
        one.connection = None
        self._selector.unregister(_stdout(connection))
        process = connection.process
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _close_quietly(process.stdin)
        _close_quietly(process.stdout)
        connection.errors.seek(0)
        said = connection.errors.read().decode(errors="replace")
        connection.errors.close()
        return shell.Result(one.host.key, process.returncode, "", said)


def _stdout(connection: _Connection) -> IO[bytes]:
    assert connection.process.stdout is not None
    return connection.process.stdout


def _close_quietly(stream: IO[bytes] | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()
