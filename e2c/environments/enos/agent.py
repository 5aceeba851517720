"""The parent's side of work that EnOSlib does: one child process per action, bounded, stopped whatever happens."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from e2c.environments.base import Watch
from e2c.environments.enos.secrets import Redaction
from e2c.environments.enos.worker import FAULT, name
from e2c.errors import TestbedError
from e2c.model.reservation import Reservation
from e2c.remote import child

WORKER = "e2c.environments.enos.worker"
SLOT = "slot"
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
    with tempfile.TemporaryDirectory(prefix=f"{_FOLDER}{os.getpid()}-", ignore_cleanup_errors=True) as name_of_folder:
        folder = Path(name_of_folder)
        # no shared connection that outlives us
        alone = {"ANSIBLE_SSH_ARGS": "-o ControlMaster=no -o BatchMode=yes"}
        with child.at_work(WORKER, {"action": action, **request}, folder, folder / "words", alone) as worker:
            for event in worker.events(limit_s):
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
        last = redact(worker.last_words())
    raise TestbedError(f"the work with {_name(request)} broke off", why=last, hint=FAULT)


def _sweep() -> None:
    """Remove the folders of processes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        owner = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _tell(event: dict[str, Any], watch: Watch, redact: Redaction) -> None:
    if event["event"] == "say":
        watch(redact(event["text"]))
    elif event["event"] == "waiting":
        watch.waiting(redact(event["text"]))
    elif event["event"] == "reserved":
        watch.reserved(Reservation.model_validate(event["reservation"]))


def _name(request: dict[str, Any]) -> str:
    return "the testbeds" if request["provider"] == SLOT else name(request["provider"])


def _clean(text: str | None, redact: Redaction) -> str | None:
    return None if text is None else redact(text)
