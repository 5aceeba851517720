"""The server's log brought into its tables while there is load.

MonetDB 11.41 does that by itself only when no transaction ran for 30 s. A database that is killed after hours of load
would have all of them to read when it starts again. Its own switch for debugging makes it do so at the next moment in
which no transaction runs, looked for ten times a second; it is thrown whenever the log has grown by a certain size.
"""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

LARGEST = 64 << 20
"""Bytes of log after which it is brought into the tables."""

_SWITCH = 128
_ASKS = (b"\xf6\x83", b"\x80")
"""How the loop of the server's thread ``store_manager`` asks for the switch: ``testb $128, OFFSET(%rbx)``."""

_LOOP_SIZE = 0x280
_SYMBOL = struct.Struct("<IBBHQQ")


class Log:
    """The log of the database that is open in this process.

    Args:
        library: ``monetdbsql``, in which it is open.
        farm: folder of the database.
    """

    def __init__(self, library: ctypes.CDLL, farm: Path) -> None:
        self._folder = farm / "sql_logs" / "sql"
        self._switch: ctypes.c_int | None = None
        self._old: set[str] = set()
        where, offset = _store(library), _offset(library)
        if where and offset is not None:
            self._switch = ctypes.c_int.from_address(where + offset)

    def tend(self) -> None:
        """Have the log brought into the tables if it is large; to be called again and again."""
        if self._switch is None:
            return
        files = {path.name: path.stat().st_size for path in self._folder.glob("log.*")}
        if self._old - set(files):  # one was taken in
            self._old = set()
            self._switch.value &= ~_SWITCH
        elif not self._old and sum(files.values()) > LARGEST:
            self._old = set(files)
            self._switch.value |= _SWITCH


def _store(library: ctypes.CDLL) -> int | None:
    """Where the server keeps what it knows of the database; None where the library's symbols were removed."""
    place = _local(Path(library._name), b"SQLstore")
    known = _local(Path(library._name), b"SQLparser")
    loaded = ctypes.cast(library.SQLparser, ctypes.c_void_p).value
    if place is None or known is None or loaded is None:
        return None
    return ctypes.c_void_p.from_address(loaded - known + place).value


def _offset(library: ctypes.CDLL) -> int | None:
    code = ctypes.string_at(ctypes.cast(library.store_manager, ctypes.c_void_p).value or 0, _LOOP_SIZE)
    begin, end = _ASKS
    place = code.find(begin)
    if place < 0 or code[place + 6 : place + 7] != end:
        return None
    return int.from_bytes(code[place + 2 : place + 6], "little")


def _local(path: Path, name: bytes) -> int | None:
    """The address of a symbol within a library's file, also of one that it keeps to itself."""
    data = path.read_bytes()
    start, (size, count) = int.from_bytes(data[0x28:0x30], "little"), struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, start + size * number) for number in range(count)]
    for _, kind, _, _, offset, length, link, *_ in sections:
        if kind == 2:  # SHT_SYMTAB
            texts = sections[link][4]
            for place in range(offset, offset + length, _SYMBOL.size):
                text, _, _, _, value, _ = _SYMBOL.unpack_from(data, place)
                if data.startswith(name + b"\0", texts + text):
                    return int(value)
    return None
