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

from e2c.provenance.serving.linkage import slot

_CALL = b"\xe8"
_BEGINNING = 0x80
"""As much of the scanner as goes from its first call to the one of itself, in bytes."""

_kept: list[mmap.mmap] = []
"""Code that the server calls as long as this process lives."""


def terminate(parser: ctypes.CDLL, kernel: ctypes.CDLL) -> bool:
    """Make the parser's texts end where they begin when their conversion fails.

    Args:
        parser: ``monetdbsql``.
        kernel: ``bat``.

    Returns:
        Whether it was done; not where a process may not have code of its own.
    """
    place = slot(parser, b"GDKstrFromStr")
    converting = ctypes.cast(kernel.GDKstrFromStr, ctypes.c_void_p).value
    if place is None or converting is None:
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
    ctypes.c_void_p.from_address(place).value = ctypes.addressof(ctypes.c_char.from_buffer(page))
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
