"""Where a loaded library keeps the addresses of the functions that it calls in others, and of its own public ones."""

from __future__ import annotations

import ctypes

_LINK_MAP = 2
"""``RTLD_DI_LINKMAP`` of dlfcn.h."""

_STRINGS, _SYMBOLS, _TABLE_SIZE, _TABLE = 5, 6, 2, 23
"""Entries of the dynamic section, in elf.h: ``DT_STRTAB``, ``DT_SYMTAB``, ``DT_PLTRELSZ``, ``DT_JMPREL``."""


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


def slot(library: ctypes.CDLL, name: bytes) -> int | None:
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
