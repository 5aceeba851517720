"""The parent's side of work that EnOSlib does: one child process per action, bounded, stopped whatever happens."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2c.environments.base import Watch
from e2c.environments.enos.secrets import Redaction
from e2c.environments.enos.worker import FAULT, name
from e2c.errors import TestbedError
from e2c.model.reservation import Reservation

WORKER = "e2c.environments.enos.worker"
SLOT = "slot"
PR_SET_PDEATHSIG = 1
STOP_GRACE_S = 5
CHUNK = 65536
_prctl = ctypes.CDLL(None).prctl  # found here: after fork, other threads may hold the linker's lock for ever
_FOLDER = "e2c-enos-"


def run(action: str, request: dict[str, Any], watch: Watch, limit_s: float) -> Any:
    """Let a child process do an action of a testbed's adapter.

    Args:
        action: name of a function of the adapter (see :mod:`e2c.environments.enos.worker`).
        request: JSON values; ``provider`` chooses the adapter, all others are the function's arguments.
        watch: receives what the child tells.
        limit_s: seconds after which the child is stopped. Adapters bound their own waits, with better words: this
            is for what cannot be bounded inside.

    Returns:
        The function's result, as JSON values.

    Raises:
        TestbedError: what the adapter raised, the child died, or the limit passed.
    """
    redact = Redaction()
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        words = Path(folder, "words")
        Path(folder, "ansible.cfg").touch()
        reader, writer = os.pipe()
        try:
            process = _start({"action": action, **request}, folder, words, writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        with open(reader, "rb", buffering=0) as events, _stopping(process):
            for event in _events(events.fileno(), time.monotonic() + limit_s):
                if event is None:
                    raise TestbedError(
                        f"{_name(request)} did not finish within {limit_s:g} s",
                        why=f"what was asked: {action}",
                        hint="Whatever is booked stays booked: free it with e2clab destroy SCENARIO_DIR",
                    )
                kind = event["event"]
                if kind == "result":
                    return event["value"]
                if kind == "error":
                    raise TestbedError(
                        redact(event["what"]),
                        where=_clean(event["where"], redact),
                        why=_clean(event["why"], redact),
                        hint=_clean(event["hint"], redact),
                    )
                _tell(event, watch, redact)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_GRACE_S)
        last = redact(_last_words(words))
    raise TestbedError(
        f"the work with {_name(request)} broke off",
        why=last or f"its process ended with code {process.returncode}",
        hint=FAULT,
    )


def _sweep() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        owner = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _start(request: dict[str, Any], folder: str, words: Path, writer: int) -> subprocess.Popen[bytes]:
    with words.open("wb") as output, tempfile.TemporaryFile() as stdin:
        stdin.write(json.dumps(request).encode())
        stdin.seek(0)
        return subprocess.Popen(
            [sys.executable, "-m", WORKER, str(writer)],
            cwd=folder,  # EnOSlib writes playbooks into the current folder
            env=_environment(folder),
            pass_fds=(writer,),
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )


def _environment(folder: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(Path(folder, "ansible.cfg")),
        "ANSIBLE_LOCAL_TEMP": str(Path(folder, "tmp")),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o BatchMode=yes",  # no shared connection that outlives us
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
    }


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _events(descriptor: int, deadline: float) -> Iterator[dict[str, Any] | None]:
    """Events as they come, until the child closes its end; ``None``, once, when the deadline passed before."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                yield None
                return
            chunk = os.read(descriptor, CHUNK)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)


def _tell(event: dict[str, Any], watch: Watch, redact: Redaction) -> None:
    if event["event"] == "say":
        watch(redact(event["text"]))
    elif event["event"] == "waiting":
        watch.waiting(redact(event["text"]))
    elif event["event"] == "reserved":
        watch.reserved(Reservation.model_validate(event["reservation"]))


@contextlib.contextmanager
def _stopping(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the child and all it started when the block is left, however that happens."""
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


def _name(request: dict[str, Any]) -> str:
    return "the testbeds" if request["provider"] == SLOT else name(request["provider"])


def _clean(text: str | None, redact: Redaction) -> str | None:
    return None if text is None else redact(text)


def _last_words(file: Path) -> str:
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines()]
    return next((line for line in reversed(lines) if line), "")
