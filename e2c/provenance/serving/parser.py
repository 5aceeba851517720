"""Two faults of the server's parser of SQL mended in its memory, because any user who connects can reach them.

For an escape that makes no UTF-8, as in ``'\\377'``, the conversion of literals writes nothing and says so, but the
parser does not look: it goes on with what was in that memory before, which may be secret, and may end the server. The
parser finds the conversion in its table of foreign functions; there it gets one that looks, and the literal is empty.

``NOT NOT NOT ...`` makes the scanner call itself once for each, until the stack is full and the server ends. The
scanner needs only the next word there, and has a function for that, which it gets instead of itself.
"""

from __future__ import annotations

import ctypes
import mmap
import struct

_LINK_MAP = 2
"""``RTLD_DI_LINKMAP`` of dlfcn.h."""

_STRINGS, _SYMBOLS, _TABLE_SIZE, _TABLE = 5, 6, 2, 23
"""Entries of the dynamic section, in elf.h: ``DT_STRTAB``, ``DT_SYMTAB``, ``DT_PLTRELSZ``, ``DT_JMPREL``."""

_CALL = b"\xe8"
_BEGINNING = 0x80
"""As much of the scanner as goes from its first call to the one of itself, in bytes."""

_kept: list[mmap.mmap] = []
"""Code that the server calls as long as this process lives."""


class _LinkMap(ctypes.Structure):
    _fields_ = [("base", ctypes.c_uint64), ("name", ctypes.c_char_p), ("dynamic", ctypes.c_uint64)]


class _Entry(ctypes.Structure):
    """``Elf64_Dyn``."""

    _fields_ = [("tag", ctypes.c_int64), ("value", ctypes.c_uint64)]


class _Relocation(ctypes.Structure):
    """``Elf64_Rela``."""

    _fields_ = [
        ("offset", ctypes.c_uint64),
        ("kind", ctypes.c_uint32),
        ("symbol", ctypes.c_uint32),
        ("_", ctypes.c_int64),
    ]


def terminate(parser: ctypes.CDLL, kernel: ctypes.CDLL) -> bool:
    """Make the parser's texts end where they begin when their conversion fails.

    Args:
        parser: ``monetdbsql``.
        kernel: ``bat``.

    Returns:
        Whether it was done; not where a process may not have code of its own.
    """
    slot = _slot(parser, b"GDKstrFromStr")
    converting = ctypes.cast(kernel.GDKstrFromStr, ctypes.c_void_p).value
    if slot is None or converting is None:
        return False
    # ssize_t f(char *target, ...) { ssize_t n = GDKstrFromStr(target, ...); if (n < 0) *target = 0; return n; }
    code = b"".join(
        (
            b"\x57",  # push rdi
            b"\x48\xb8" + converting.to_bytes(8, "little"),  # mov rax, GDKstrFromStr
            b"\xff\xd0",  # call rax
            b"\x5f",  # pop rdi
            b"\x48\x85\xc0",  # test rax, rax
            b"\x79\x03",  # jns, over the next one
            b"\xc6\x07\x00",  # mov byte [rdi], 0
            b"\xc3",  # ret
        )
    )
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return False
    page.write(code)
    _kept.append(page)
    ctypes.c_void_p.from_address(slot).value = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return True


def unroll(parser: ctypes.CDLL) -> bool:
    """Make the scanner ask for the word after ``NOT`` without calling itself.

    Args:
        parser: ``monetdbsql``.

    Returns:
        Whether it was done; not where code may not be changed, nor where the scanner is another one.
    """
    scanner = ctypes.cast(parser.sqllex, ctypes.c_void_p).value or 0
    code = ctypes.string_at(scanner, _BEGINNING)
    calls = {  # from where to where
        place: scanner + place + 5 + struct.unpack_from("<i", code, place + 1)[0]
        for place in range(_BEGINNING - 5)
        if code[place : place + 1] == _CALL
    }
    itself = [place for place, target in calls.items() if target == scanner]
    if len(itself) != 1 or min(calls) >= itself[0]:
        return False
    word = calls[min(calls)]
    first = (scanner + itself[0]) // mmap.PAGESIZE * mmap.PAGESIZE
    system = ctypes.CDLL(None)
    system.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    readable = mmap.PROT_READ | mmap.PROT_EXEC
    if system.mprotect(first, 2 * mmap.PAGESIZE, readable | mmap.PROT_WRITE) != 0:
        return False
    ctypes.c_int32.from_address(scanner + itself[0] + 1).value = word - (scanner + itself[0] + 5)
    return bool(system.mprotect(first, 2 * mmap.PAGESIZE, readable) == 0)


def _slot(library: ctypes.CDLL, name: bytes) -> int | None:
    """Where a library keeps the address of a foreign function, unless that memory cannot be written."""
    found = ctypes.POINTER(_LinkMap)()
    linker = ctypes.CDLL(None)
    linker.dlinfo.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
    if linker.dlinfo(library._handle, _LINK_MAP, ctypes.byref(found)) != 0:
        return None
    base, place = found.contents.base, found.contents.dynamic
    entries: dict[int, int] = {}
    while (entry := _Entry.from_address(place)).tag:
        entries[entry.tag] = entry.value
        place += ctypes.sizeof(_Entry)
    for number in range(entries[_TABLE_SIZE] // ctypes.sizeof(_Relocation)):
        one = _Relocation.from_address(entries[_TABLE] + number * ctypes.sizeof(_Relocation))
        text = ctypes.c_uint32.from_address(entries[_SYMBOLS] + 24 * one.symbol).value
        if ctypes.string_at(entries[_STRINGS] + text) == name:
            return int(base + one.offset)
    return None
