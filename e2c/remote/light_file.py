"""Runs on a host: puts a file in its place, as Ansible's module ``copy`` does where nothing special is asked.

Its text is sent over ssh, with a call of :func:`place` after it, to a Python 3.7 or newer that loads no ``site``; the
content comes on standard input.
"""

from __future__ import annotations

import grp
import os
import pwd
import sys
from typing import Any


def place(dest: str, name: str, mode: int | None, size: int) -> None:
    """Write the file, whole or not at all, unless it is there already; print a literal: what Ansible tells of it.

    ``None`` is printed, and nothing done, where it is not as simple as that: links, missing folders, SELinux.
    """
    data = sys.stdin.buffer.read()
    path = os.path.expandvars(os.path.expanduser(dest))
    if os.path.isdir(path):
        path = os.path.join(path, name)
    folder = os.path.dirname(path)
    odd = (dest.endswith("/") and not os.path.isdir(dest)) or os.path.islink(path)
    odd = odd or (os.path.exists(path) and not os.path.isfile(path)) or os.path.exists("/sys/fs/selinux/enforce")
    if len(data) != size or odd or not os.path.isabs(path) or not os.path.isdir(folder):
        _answer(None)
        return
    before = os.stat(path) if os.path.exists(path) else None
    changed = before is None or before.st_size != size or _content(path) != data
    if changed:
        _write(path, data, before)
    if mode is not None and os.stat(path).st_mode & 0o7777 != mode:
        os.chmod(path, mode)
        changed = True
    after = os.stat(path)
    _answer(
        {
            "changed": changed,
            "dest": path,
            "uid": after.st_uid,
            "gid": after.st_gid,
            "owner": _name(pwd.getpwuid, after.st_uid),
            "group": _name(grp.getgrgid, after.st_gid),
            "mode": f"{after.st_mode & 0o7777:04o}",
            "size": after.st_size,
            "state": "file",
        }
    )


def _write(path: str, data: bytes, before: Any) -> None:
    part = f"{path}.{os.getpid()}.part"
    mask = os.umask(0)
    os.umask(mask)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        if before is not None:
            os.chown(part, before.st_uid, before.st_gid)
        os.chmod(part, before.st_mode & 0o7777 if before is not None else 0o666 & ~mask)
        os.rename(part, path)
    except OSError:
        if os.path.exists(part):
            os.unlink(part)
        raise


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _name(look: Any, number: int) -> str:
    try:
        return str(look(number)[0])
    except KeyError:
        return str(number)


def _answer(known: Any) -> None:
    sys.stdout.write(f"\n=== e2c {known!r}\n")
