"""One file of a spool: a header, then batches, each with its checksums.

::

    segment = magic "PROVSPL1", length of head (4 bytes), CRC-32 of head, head, entries
    head    = MessagePack [client, first sequence number, unix time of its making, announced shapes]
    entry   = sequence number (8), records (4), length of body (4), CRC-32 of body, CRC-32 of the 20 bytes before, body

Numbers are little-endian. The numbers of a segment's entries follow each other without gaps.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from array import array

from provlight.packing import pack, unpack
from provlight.shapes import MAX_PAYLOAD, WireError

from .descriptors import close_file, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Optional

MAGIC = b"PROVSPL1"
SUFFIX = ".seg"
_HEAD = struct.Struct("<8sII")
_FIELDS = struct.Struct("<QIII")
_CHECK = struct.Struct("<I")
ENTRY_SIZE = _FIELDS.size + _CHECK.size
_MAX_HEAD = 1 << 25
_GONE = (errno.EIO, errno.ENOENT, getattr(errno, "EUCLEAN", errno.EIO), errno.ESTALE)  # reading again will not help


def file_name(first: int) -> str:
    """Name of the segment that begins with a sequence number; names sort as the numbers do."""
    return "{:020d}{}".format(first, SUFFIX)


def make_head(client: str, first: int, born: float, shapes: List[Any]) -> bytes:
    """The bytes before the first entry."""
    head = pack([client, first, born, shapes])
    return _HEAD.pack(MAGIC, len(head), zlib.crc32(head)) + head


def make_entry(seq: int, records: int, body: bytes) -> bytes:
    """The bytes of one batch."""
    fields = _FIELDS.pack(seq, records, len(body), zlib.crc32(body))
    return fields + _CHECK.pack(zlib.crc32(fields)) + body


class Segment:
    """What is in a segment file: where each batch begins and how many records it carries.

    Args:
        folder: the open folder it is in.
        first: sequence number of its first batch.
    """

    def __init__(self, folder: int, first: int) -> None:
        self._folder = folder
        self._file = -1
        self.first = first
        self.name = file_name(first)
        self.size = 0
        """Bytes of the readable part, the head included."""
        self.born = 0.0
        """Unix time of its making; 0 when the head is damaged."""
        self.shapes: List[Any] = []
        """Shapes announced before its first batch, as in an announcement."""
        self.damage = ""
        """What is wrong behind the readable part, as a clause; empty when nothing is."""
        self.torn = False
        """Whether that is no more than the death of a process in the middle of writing leaves."""
        self._starts = array("L")
        self._records = array("I")

    @property
    def last(self) -> int:
        """Sequence number of its last batch; ``first - 1`` when it has none."""
        return self.first + len(self._starts) - 1

    def records(self, seq: int) -> int:
        """Records in a batch."""
        return self._records[seq - self.first]

    def records_from(self, seq: int) -> int:
        """Records in a batch and all that follow it here."""
        return sum(self._records[max(0, seq - self.first) :])

    def append(self, records: int, size: int) -> None:
        """Note a batch that was written at the end."""
        self._starts.append(self.size)
        self._records.append(records)
        self.size += ENTRY_SIZE + size

    @property
    def file(self) -> int:
        """The open file, -1 when it is closed."""
        return self._file

    def use(self, file: int) -> None:
        """Read from this open file from now on. It is closed by :meth:`close`."""
        self._file = file

    def scan(self) -> None:
        """Find the batches of a file that another process wrote. Bodies are not looked at.

        Raises:
            OSError: it cannot be read now.
        """
        file = self._opened()
        total = os.fstat(file).st_size
        if not self._read_head(file):
            self.damage = "its head is damaged ({} bytes)".format(total)
            return
        while self.size < total:
            data = os.pread(file, ENTRY_SIZE, self.size)
            fields = data[: _FIELDS.size]
            if len(data) < ENTRY_SIZE:
                self.torn = True
                self.damage = "it ends in the middle of a batch ({} bytes)".format(len(data))
                return
            if zlib.crc32(fields) != _CHECK.unpack(data[_FIELDS.size :])[0]:
                self.damage = "{} bytes from {} on are no batches".format(total - self.size, self.size)
                return
            seq, records, size, _ = _FIELDS.unpack(fields)
            if seq != self.last + 1 or size > MAX_PAYLOAD:
                self.damage = "{} bytes from {} on do not continue it".format(total - self.size, self.size)
                return
            self.append(records, size)

    def read(self, seq: int) -> Optional[bytes]:
        """Body of a batch, or None when it is damaged or ends too early.

        Raises:
            OSError: it cannot be read now.
        """
        at = seq - self.first
        start = self._starts[at]
        end = self._starts[at + 1] if at + 1 < len(self._starts) else self.size
        try:
            data = os.pread(self._opened(), end - start, start)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        if len(data) != end - start:
            return None
        number, _, _, check = _FIELDS.unpack(data[: _FIELDS.size])
        body = data[ENTRY_SIZE:]
        return body if number == seq and zlib.crc32(body) == check else None

    def close(self) -> None:
        """Close the file. It is opened again when it is needed."""
        if self._file >= 0:
            close_file(self._file)
            self._file = -1

    def unlink(self) -> None:
        """Delete the file.

        Raises:
            OSError: it cannot be deleted.
        """
        self.close()
        os.unlink(self.name, dir_fd=self._folder)

    def _opened(self) -> int:
        if self._file < 0:
            self._file = open_file(self.name, os.O_RDONLY, self._folder)
        return self._file

    def _read_head(self, file: int) -> bool:
        start = os.pread(file, _HEAD.size, 0)
        if len(start) < _HEAD.size:
            return False
        magic, size, check = _HEAD.unpack(start)
        if magic != MAGIC or size > _MAX_HEAD:
            return False
        head = os.pread(file, size, _HEAD.size)
        if len(head) != size or zlib.crc32(head) != check:
            return False
        try:
            _, first, self.born, self.shapes = unpack(head)
        except (WireError, ValueError, TypeError):
            return False
        self.size = _HEAD.size + size
        return bool(first == self.first)
