"""``state.json``: what must be remembered between commands. Small, typed, versioned, written whole."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from e2c.environments.base import Claim
from e2c.errors import StateError
from e2c.model.frozen import Frozen
from e2c.model.host import Board, Host
from e2c.model.plan import Plan, Stage
from e2c.model.reservation import Reservation
from e2c.model.run import UNNAMED, Run, RunRecord
from e2c.model.service import Served, ServiceRecord

VERSION = 1
STATE_FILE = "state.json"
PLAN_FILE = "plan.json"


class PhaseRecord(Frozen):
    """A phase that ended well.

    Attributes:
        phase: its name.
        at: when it ended (UTC, ISO 8601).
        seconds: how long it took.
        inputs: digest of what it was made from; a phase whose inputs have changed is not done any more.
        run: identity of the run that it belongs to; empty for phases that serve all runs.
    """

    phase: str
    at: str
    seconds: float
    inputs: str = ""
    run: str = ""


class BackgroundTask(Frozen):
    """A workflow task that was started in the background (``async`` with ``poll: 0``).

    Attributes:
        host: service key; ``job``: Ansible's job identifier there; ``task``: its name.
        stage: the stage that started it.
        started: UTC, ISO 8601.
        limit_s: the task's own time limit in seconds (``async:``).
        ended: it was seen to have ended, and ``rc`` is its exit code (``None``: unknown).
        run: identity of the run that it belongs to.
        stopped: the user had it ended.
    """

    host: str
    job: str
    task: str
    stage: Stage
    started: str
    limit_s: int
    ended: bool = False
    rc: int | None = None
    reason: str = ""
    run: str = UNNAMED
    stopped: bool = False


class State(Frozen):
    """One life of a scenario, from deployment to release.

    Attributes:
        version: format of the file.
        experiment: identity, the name of the output folder.
        scenario, artifacts: absolute paths.
        testbed: the testbed that plays all others (``--testbed``), if any.
        command: the command that acquires the hosts: ``deploy`` or ``layers-services``.
        plan_digest: digest of ``plan.json``.
        claims: what is or is about to be acquired, written before acquisition begins.
        reservations: what holds machines of testbeds, as last heard.
        hosts, boards: what was acquired; facts: what each host said of itself, by service key.
        services, phases, background, netem, links: what was done since.
        served: services of the layers that plugins deployed, or began to.
        runs: runs of the workflow in the order in which they were begun; one that was begun again is there again.
        begun: the phase that was begun and has not ended well, if any.
        kept: a command has ended and left the hosts to the user, so that no later failure releases them by itself.
        released: everything was freed; nothing more can be done with the experiment.
    """

    version: int = VERSION
    experiment: str
    scenario: str
    artifacts: str | None = None
    testbed: str | None = None
    command: str = ""
    plan_digest: str
    claims: tuple[Claim, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    hosts: tuple[Host, ...] = ()
    boards: tuple[Board, ...] = ()
    facts: dict[str, dict[str, Any]] = {}
    services: tuple[ServiceRecord, ...] = ()
    served: tuple[Served, ...] = ()
    phases: tuple[PhaseRecord, ...] = ()
    begun: str | None = None
    background: tuple[BackgroundTask, ...] = ()
    netem: str | None = None
    links: tuple[dict[str, Any], ...] = ()
    runs: tuple[RunRecord, ...] = ()
    kept: bool = False
    released: bool = False

    def done(self, phase: str) -> bool:
        """The phase has ended well at least once."""
        return any(record.phase == phase for record in self.phases)

    def after(self, phase: str, seconds: float, inputs: str = "", run: str = "", **changes: Any) -> State:
        """The state after a phase ended, with other changes made in it."""
        record = PhaseRecord(phase=phase, at=now(), seconds=round(seconds, 3), inputs=inputs, run=run)
        return self.model_copy(update={**changes, "phases": (*self.phases, record), "begun": None})

    def latest(self, run: Run) -> RunRecord | None:
        """What became of a run the last time it was begun."""
        return next((record for record in reversed(self.runs) if record.run.identity == run.identity), None)


def moment(seconds: float) -> str:
    """Seconds since the epoch as UTC, ISO 8601 to the millisecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")


def epoch(text: str) -> float:
    """Seconds since the epoch of a time as :func:`moment` writes it."""
    return datetime.fromisoformat(text).timestamp()


def now() -> str:
    """This moment, as :func:`moment` writes it."""
    return moment(time.time())


def write_whole(path: Path, text: str) -> None:
    """Replace a file by new content so that a reader, or a crash, sees either the old or the new."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StateError(
            "cannot write",
            where=str(path),
            why=error.strerror,
            hint="Free some space or fix the permissions, then repeat the command",
        ) from error


def save(folder: Path, state: State) -> None:
    """Write the state of an experiment into its folder."""
    write_whole(folder / STATE_FILE, state.model_dump_json(indent=1) + "\n")


def save_plan(folder: Path, plan: Plan) -> None:
    """Write the plan of an experiment into its folder."""
    write_whole(folder / PLAN_FILE, plan.model_dump_json(indent=1) + "\n")


def load(folder: Path) -> State:
    """Read the state of an experiment.

    Raises:
        StateError: the file is damaged or of another version.
    """
    path = folder / STATE_FILE
    hint = f"`e2clab destroy {folder.parent}` frees what it held without it"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw.get("version") if isinstance(raw, dict) else None
        if version != VERSION:
            raise StateError(
                f"format {version!r} is not the one this version reads ({VERSION})", where=str(path), hint=hint
            )
        return State.model_validate(raw)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, ValidationError) as error:
        reason = f"{error.error_count()} wrong fields" if isinstance(error, ValidationError) else str(error)
        raise StateError("cannot be read", where=str(path), why=reason, hint=hint) from error


def salvage(folder: Path) -> tuple[Claim, ...]:
    """The claims in a state that :func:`load` refuses, where they can be read: all that releasing needs."""
    try:
        raw = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return tuple(Claim.model_validate(claim) for claim in raw["claims"])
    except (OSError, ValueError, LookupError, TypeError):  # ValidationError is a ValueError
        return ()


def load_plan(folder: Path) -> Plan:
    """Read the plan of an experiment.

    Raises:
        StateError: the file is damaged.
    """
    path = folder / PLAN_FILE
    try:
        return Plan.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise StateError(
            "cannot be read",
            where=str(path),
            why=str(error),
            hint=f"`e2clab destroy {folder.parent}` frees what it holds without it; then deploy again",
        ) from error
