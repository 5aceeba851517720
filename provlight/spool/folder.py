"""The folder of one client in a spool: its lock, who it is, what was acknowledged, its segments."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
import time
import zlib

from .descriptors import close_file, open_file
from .segment import SUFFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Mapping, Optional

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_ACKED, _IDENTITY, _LOCK = "acked", "client", "lock"
_ACK = struct.Struct("<QI")
_CLIENT = re.compile(r"[0-9a-f]{16}\Z")
_UNFINISHED = ".new-"
_UNFINISHED_S = 60.0  # nobody needs so long to make a folder
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)


class SpoolError(OSError):
    """A spool cannot be used. The text is a sentence for the user."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence


class ClientFolder:
    """A client's folder that this process holds the lock of; made by :meth:`make` and :meth:`adopt`.

    Everything in it is reached through the open folder, so that nobody can put another one in its place meanwhile.
    """

    def __init__(self, path: str, folder: int, lock: int) -> None:
        self.path = path
        self.client = os.path.basename(path)
        self.folder = folder
        """The open folder."""
        self._lock = lock
        self._acked = -1

    @classmethod
    def make(cls, spool: str, client: str, about: Mapping[str, str], durable: bool) -> "ClientFolder":
        """Make the folder of a new client, and the spool if there is none.

        Args:
            about: texts of one line each, for :meth:`about`.
            durable: make sure that the folder outlives a power cut.

        Raises:
            SpoolError: the system or the file system has no locks.
            OSError: it cannot be made.
        """
        if fcntl is None:
            raise SpoolError("a spool needs file locks, which this system does not have")
        os.makedirs(spool, mode=0o700, exist_ok=True)
        # Under another name first: whoever looks for orphans must not find it before it is locked.
        hidden = os.path.join(spool, _UNFINISHED + client)
        path = os.path.join(spool, client)
        os.mkdir(hidden, 0o700)
        made = None
        try:
            made = _opened(hidden, path, create=True)
            if made is None:
                raise SpoolError("the new folder {} is locked already".format(hidden))
            lines = "".join("{}={}\n".format(key, value) for key, value in about.items())
            made._write_new(_IDENTITY, lines.encode("utf-8"), durable)
            os.rename(hidden, path)
            if durable:
                _sync_folder(made.folder)
                parent = open_file(spool, _DIRECTORY)
                try:
                    _sync_folder(parent)
                finally:
                    close_file(parent)
        except BaseException:
            if made is not None:
                made.release()
            with contextlib.suppress(OSError):
                _remove_files(hidden)
            raise
        return made

    @classmethod
    def adopt(cls, path: str, any_user: bool = False) -> Optional["ClientFolder"]:
        """Take over an orphan. None when another process holds it, or it is gone, or it belongs to another user.

        Raises:
            OSError: it cannot be opened.
        """
        if fcntl is None:
            return None
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(path)
            if any_user or not hasattr(os, "geteuid") or status.st_uid == os.geteuid():
                return _opened(path, path, create=False)
        return None

    def about(self) -> Dict[str, str]:
        """What the client told of itself; empty when that is unreadable."""
        return read_about(self.folder)

    def acked(self) -> int:
        """Last acknowledged sequence number that was noted; 0 when none was."""
        return read_acked(self.folder)

    def note_acked(self, seq: int) -> None:
        """Note the last acknowledged sequence number. It need not reach the disk: what is sent twice is stored once."""
        data = _ACK.pack(seq, 0)[:8]
        with contextlib.suppress(OSError):
            if self._acked < 0:
                self._acked = open_file(_ACKED, os.O_WRONLY | os.O_CREAT, self.folder)
            os.pwrite(self._acked, data + struct.pack("<I", zlib.crc32(data)), 0)

    def firsts(self) -> List[int]:
        """First sequence numbers of the segments, ascending.

        Raises:
            OSError: the folder cannot be read.
        """
        return segment_firsts(self.folder)

    def sync(self) -> None:
        """Make sure that files made here outlive a power cut.

        Raises:
            OSError: the disk failed.
        """
        _sync_folder(self.folder)

    def remove(self) -> None:
        """Delete the folder with all it holds, then let go of it. Does not raise; what stays is an orphan."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self.folder):
                if name != _LOCK:
                    os.unlink(name, dir_fd=self.folder)
            os.unlink(_LOCK, dir_fd=self.folder)  # last: without it nobody could adopt the rest
            os.rmdir(self.path)
        self.release()

    def release(self) -> None:
        """Let go of it: from now on it is an orphan."""
        for number in (self._acked, self.folder, self._lock):
            if number >= 0:
                close_file(number)
        self._acked = self.folder = self._lock = -1

    def _write_new(self, name: str, data: bytes, durable: bool) -> None:
        file = open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.folder)
        try:
            os.write(file, data)
            if durable:
                os.fsync(file)
        finally:
            close_file(file)


def client_folders(spool: str) -> List[str]:
    """Paths of the clients' folders in a spool.

    Raises:
        OSError: it cannot be read.
    """
    return [os.path.join(spool, name) for name in sorted(os.listdir(spool)) if _CLIENT.match(name)]


def is_client_folder(path: str) -> bool:
    """Whether this is the folder of a client, by its name and what is in it."""
    return bool(_CLIENT.match(os.path.basename(os.path.abspath(path)))) and os.path.lexists(os.path.join(path, _LOCK))


def remove_unfinished(spool: str) -> None:
    """Delete what processes left that were killed while they made their folder. Does not raise."""
    with contextlib.suppress(OSError):
        for name in os.listdir(spool):
            path = os.path.join(spool, name)
            if name.startswith(_UNFINISHED) and time.time() - os.lstat(path).st_mtime > _UNFINISHED_S:
                _remove_files(path)


def read_about(folder: int) -> Dict[str, str]:
    """See :meth:`ClientFolder.about`."""
    text = _read(folder, _IDENTITY, 1 << 16).decode("utf-8", "replace")
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def read_acked(folder: int) -> int:
    """See :meth:`ClientFolder.acked`."""
    data = _read(folder, _ACKED, _ACK.size)
    if len(data) < _ACK.size:
        return 0
    seq, check = _ACK.unpack(data)
    return int(seq) if zlib.crc32(data[:8]) == check else 0


def segment_firsts(folder: int) -> List[int]:
    """See :meth:`ClientFolder.firsts`."""
    names = [name[: -len(SUFFIX)] for name in os.listdir(folder) if name.endswith(SUFFIX)]
    return sorted(int(name) for name in names if name.isdigit())


def is_held(path: str) -> bool:
    """Whether a living process holds a client's folder.

    Raises:
        OSError: it cannot be opened.
    """
    if fcntl is None:
        return False
    lock = open_file(os.path.join(path, _LOCK), os.O_RDONLY)
    try:
        return not _locked(lock)
    finally:
        close_file(lock)


def _opened(path: str, final_path: str, create: bool) -> Optional[ClientFolder]:
    """The folder at ``path``, locked; it will be known as ``final_path``. None when it is held or gone."""
    folder = open_file(path, _DIRECTORY)
    lock = -1
    try:
        lock = open_file(_LOCK, os.O_RDWR | (os.O_CREAT | os.O_EXCL if create else 0), folder)
        # Whoever held it may have removed it since it was opened.
        if _locked(lock) and os.fstat(lock).st_nlink == 1:
            return ClientFolder(final_path, folder, lock)
    except FileNotFoundError:  # without a lock it is nobody's, and empty: a death while it was removed
        with contextlib.suppress(OSError):
            os.rmdir(path)
    except BaseException:
        close_file(lock)
        close_file(folder)
        raise
    close_file(lock)
    close_file(folder)
    return None


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise SpoolError("a spool needs file locks, which this file system does not have") from error
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _read(folder: int, name: str, limit: int) -> bytes:
    with contextlib.suppress(OSError):
        file = open_file(name, os.O_RDONLY, folder)
        try:
            return os.read(file, limit)
        finally:
            close_file(file)
    return b""


def _sync_folder(folder: int) -> None:
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that keeps no folders in memory
            raise


def _remove_files(path: str) -> None:
    for name in os.listdir(path):
        os.unlink(os.path.join(path, name))
    os.rmdir(path)
