"""Runs on a host: a command, as Ansible's modules ``shell`` and ``command`` run it, without what makes them slow.

Its text is sent over ssh, with a call of :func:`run` after it, to a Python 3.7 or newer that loads no ``site``. It
imports as little as it can: that is nearly all of its time.
"""

from __future__ import annotations

import os
import select
import sys
import time

IDLE_S = 1.0
CHUNK = 1 << 16


def _moment(seconds: float) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))}.{int(seconds % 1 * 1e6):06d}"


def _path(text: str) -> str:
    return os.path.expandvars(os.path.expanduser(text))


def run(words: list[str], chdir: str, expand: bool) -> None:
    """Run it, and print a literal: exit code (negative: a signal's number), both outputs, beginning, end, seconds, and
    what failed before it began.

    A process that it leaves behind may hold its outputs open: they are read until it has ended and nothing comes for
    a while.
    """
    if expand:
        words = [_path(word) for word in words]
    if chdir:
        try:
            os.chdir(_path(chdir))
        except OSError as error:
            _answer(None, b"", b"", 0.0, 0.0, f"Unable to change directory before execution: {error}")
            return
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    began = time.time()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out_end, 1)
            os.dup2(err_end, 2)
            os.closerange(3, 64)
            _default_signals()
            os.execvp(words[0], words)  # noqa: S606 - the task's own words
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(127)
    os.close(out_end)
    os.close(err_end)
    said: dict[int, list[bytes]] = {out: [], err: []}
    status = None
    while said.keys() - _closed(said):
        ready = select.select(list(said.keys() - _closed(said)), [], [], IDLE_S)[0]
        for number in ready:
            data = os.read(number, CHUNK)
            said[number].append(data)
        if status is None:
            ended, code = os.waitpid(child, os.WNOHANG)
            status = code if ended else None
        elif not ready:
            break
    if status is None:
        status = os.waitpid(child, 0)[1]
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    _answer(code, b"".join(said[out]), b"".join(said[err]), began, time.time(), "")


def _closed(said: dict[int, list[bytes]]) -> set[int]:
    return {number for number, parts in said.items() if parts and not parts[-1]}


def _default_signals() -> None:
    import signal  # only the child needs it

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _answer(code: int | None, out: bytes, err: bytes, began: float, ended: float, failure: str) -> None:
    sys.stdout.write(f"\n=== e2c {(code, out, err, _moment(began), _moment(ended), ended - began, failure)!r}\n")
