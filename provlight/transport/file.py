"""Batches appended to a file, for ``provlight replay`` to send later.

::

    entry = magic "PVLR", length of body (4 bytes, little-endian), CRC-32 of body (4 bytes, little-endian), body

Several processes may write to one file at the same time: an entry is appended under a lock, whole or not at all. What a
killed machine leaves of the last entry is passed over by whoever reads.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from typing import Iterator, List, NamedTuple, Optional, Union

from provlight.envelope import unframe, unseal
from provlight.shapes import MAX_PAYLOAD
from provlight.wire import Ack

from . import Link, LinkError, Transport

try:
    import fcntl
except ImportError:  # a system without it: one process for each file, please
    fcntl = None  # type: ignore[assignment]

MAGIC = b"PVLR"
HEAD = struct.Struct("<4sII")
_PIECE = 1 << 16


class FileTransport(Transport):
    """Links to a file.

    Args:
        path: where it is, or is to be made, readable by its owner only.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)

    def connect(self, client: str) -> Link:  # noqa: ARG002 a body says whose it is
        """Open the file for appending.

        Raises:
            LinkError: it cannot be opened.
        """
        try:
            return FileLink(self._path)
        except OSError as error:
            raise LinkError("{} cannot be opened for writing: {}".format(self._path, error.strerror)) from error


class FileLink(Link):
    """The open file. Batches are acknowledged once they are on the disk."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        self._written = 0  # number of the last batch that was appended
        self._woken = threading.Event()

    def publish(self, payload: bytes) -> None:
        """See :meth:`Link.publish`."""
        body = unframe(payload).body
        seq = unseal(body).seq
        try:
            with _locked(self._file):
                end = os.lseek(self._file, 0, os.SEEK_END)
                try:
                    _write(self._file, HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body)
                except OSError:
                    with contextlib.suppress(OSError):
                        os.ftruncate(self._file, end)  # a full disk: no half entry stays
                    raise
        except OSError as error:
            raise LinkError("{} cannot be written: {}".format(self._path, error.strerror)) from error
        self._written = max(self._written, seq)

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
        if not self._written:
            self._woken.wait(timeout)
            self._woken.clear()
            return []
        try:
            getattr(os, "fdatasync", os.fsync)(self._file)
        except OSError as error:
            raise LinkError("{} cannot be written: {}".format(self._path, error.strerror)) from error
        last, self._written = self._written, 0
        return [Ack(last)]

    def wake(self) -> None:
        """See :meth:`Link.wake`."""
        self._woken.set()

    def close(self) -> None:
        """See :meth:`Link.close`."""
        with contextlib.suppress(OSError):
            os.close(self._file)

    def abandon(self) -> None:
        """See :meth:`Link.abandon`."""
        self.close()


class Found(NamedTuple):
    """An entry of a file."""

    start: int  # of the body, in bytes from the beginning
    body: bytes


class Damage(NamedTuple):
    """Bytes that are no entry."""

    start: int
    size: int
    torn: bool  # at the end of the file, as a killed machine leaves it


def entries(path: str) -> "Iterator[Union[Found, Damage]]":
    """What a file holds, in order. What is appended meanwhile may be left out.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            file.seek(at)
            head = file.read(HEAD.size)
            if len(head) == HEAD.size:
                magic, length, check = HEAD.unpack(head)
                if magic == MAGIC and length <= MAX_PAYLOAD and at + HEAD.size + length <= size:
                    body = file.read(length)
                    if zlib.crc32(body) == check:
                        yield Found(at + HEAD.size, body)
                        at += HEAD.size + length
                        continue
            following = _next_magic(file.fileno(), at + 1, size)
            yield Damage(at, following - at, following == size)
            at = following


def read_body(file: int, start: int) -> bytes:
    """The body that begins at ``start`` of an open file.

    Raises:
        OSError: it cannot be read, or is no longer what it was.
    """
    head = os.pread(file, HEAD.size, start - HEAD.size)
    if len(head) == HEAD.size:
        magic, length, check = HEAD.unpack(head)
        body = os.pread(file, length, start) if magic == MAGIC and length <= MAX_PAYLOAD else b""
        if len(body) == length and zlib.crc32(body) == check:
            return body
    raise OSError(5, "the file changed while it was read")


def _next_magic(file: int, at: int, size: int) -> int:
    """Where the next entry may begin, ``size`` when nowhere."""
    while at < size:
        piece = os.pread(file, _PIECE, at)
        found = piece.find(MAGIC)
        if found >= 0:
            return at + found
        if len(piece) < len(MAGIC):
            return size
        at += len(piece) - len(MAGIC) + 1
    return size


def _write(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


@contextlib.contextmanager
def _locked(file: int) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
