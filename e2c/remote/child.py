"""A child process for work that must not be done in ours: asked by JSON on its standard input, it tells events.

EnOSlib and Ansible keep settings in their modules, fork from threads, print, and cannot be bounded in time. The child
is a module that is given the number of a descriptor, to which it writes one JSON object a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from e2c.remote.lifeline import die_with_parent

STOP_GRACE_S = 5
CHUNK = 65536


class Child:
    """A child at work.

    Attributes:
        process: the process.
        words: file with what it printed.
    """

    def __init__(self, process: subprocess.Popen[bytes], reader: int, words: Path) -> None:
        self.process = process
        self.words = words
        self._reader = reader

    def events(self, limit_s: float | None) -> Iterator[dict[str, Any] | None]:
        """Events as they come, until the child closes its end; ``None``, once, when the limit passed before.

        Args:
            limit_s: seconds; ``None``: there is none.
        """
        deadline = None if limit_s is None else time.monotonic() + limit_s
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            while True:
                if not selector.select(None if deadline is None else max(0.0, deadline - time.monotonic())):
                    yield None
                    return
                chunk = os.read(self._reader, CHUNK)
                if not chunk:
                    break
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_GRACE_S)

    def said(self) -> str:
        """The last line that it printed; empty: none."""
        lines = [line.strip() for line in self.words.read_text(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def last_words(self) -> str:
        """The last line that it printed, or what it ended with."""
        return self.said() or f"its process ended with code {self.process.returncode}"


@contextlib.contextmanager
def at_work(
    module: str, request: Mapping[str, Any], folder: Path, words: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """Start a child, and end it and all it started when the block is left, however that happens.

    Args:
        module: what it runs; it gets the number of the descriptor as its argument.
        request: JSON values for its standard input.
        folder: where it works; EnOSlib writes playbooks into the current folder.
        words: file to which what it prints is added.
        environment: more variables for it.
    """
    (folder / "ansible.cfg").touch()
    reader, writer = os.pipe()
    try:
        try:
            process = _start(module, request, folder, words, writer, environment or {})
        finally:
            os.close(writer)
        with _stopping(process):
            yield Child(process, reader, words)
    finally:
        os.close(reader)


def _start(
    module: str, request: Mapping[str, Any], folder: Path, words: Path, writer: int, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    own = {
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
    }
    with words.open("ab") as output, tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        return subprocess.Popen(
            [sys.executable, "-m", module, str(writer)],
            cwd=folder,
            env={**kept, **own, **environment},
            pass_fds=(writer,),
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


@contextlib.contextmanager
def _stopping(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE_S)
        _signal(process, signal.SIGKILL)  # the group may outlive its leader
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
