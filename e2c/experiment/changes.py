"""What was done to the links of an experiment, and when: a line for each change, and what they add up to.

The record is the only memory of changed links, because several processes may change them: ``network set`` while a
workflow runs. Whoever changes links holds it meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from e2c.emulation import constraint
from e2c.emulation.constraint import Constraint, Exempt
from e2c.errors import StateError
from e2c.experiment.state import moment, now
from e2c.model.frozen import Frozen
from e2c.model.host import Host
from e2c.model.link import LinkValues, PlannedChange, PlannedLink

FOLDER = "network-validate"
FILE = "changes.jsonl"
PATIENCE_S = 150.0
"""How long to wait for somebody else who changes links; longer than changing them may take."""

Kind = Literal["applied", "reset", "set", "begins", "schedule", "ends"]


class Record(Frozen):
    """A line of ``network-validate/changes.jsonl``.

    Attributes:
        at: when all hosts had confirmed it (UTC, ISO 8601).
        kind: ``applied`` the rules of network.yaml, ``reset`` none any more, ``set`` a change by hand; a schedule
            ``begins``, each of its changes is a ``schedule``, and when it ``ends`` they are undone.
        sent: when it was sent to the hosts: it took effect between the two.
        run: the run that a schedule belongs to.
        after_s: seconds from the beginning of launch until it was confirmed; the schedule asked for ``change.at_s``.
        change: what was changed.
        links: the rules that were applied.
        missed: hosts that did not answer when all others were changed; it holds there once they are changed again.
        error: why it failed.
    """

    at: str
    kind: Kind
    sent: str = ""
    run: str = ""
    after_s: float | None = None
    change: PlannedChange | None = None
    links: tuple[PlannedLink, ...] = ()
    missed: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Sum:
    """What the records add up to.

    Attributes:
        links: the rules that were applied last.
        made: changes since then that hold: those by hand, and those of a schedule that has not ended.
        playing: the run of that schedule, if one plays, or was cut off.
        applied: when the rules were applied; empty: never.
    """

    links: tuple[PlannedLink, ...] = ()
    made: tuple[Record, ...] = ()
    playing: str | None = None
    applied: str = ""

    @property
    def scheduled(self) -> tuple[Record, ...]:
        """The changes by a schedule."""
        return tuple(record for record in self.made if record.kind == "schedule")

    def constraints(self, hosts: Sequence[Host], exempt: Exempt, *, schedule: bool = True) -> tuple[Constraint, ...]:
        """What holds on the hosts now, or would without the changes by a schedule.

        Raises:
            EmulationError: a host cannot be shaped (any more).
        """
        found = constraint.constraints(self.links, hosts, exempt)
        for record in self.made:
            if record.change is not None and (schedule or record.kind != "schedule"):
                found = constraint.changed(found, record.change, hosts, exempt)
        return found


def difference(before: Sequence[Constraint], after: Sequence[Constraint]) -> tuple[Constraint, ...]:
    """The constraints that are new or have other values."""
    old = set(before)
    return tuple(one for one in after if one not in old)


def words(values: LinkValues) -> str:
    """Values as ``network set`` takes them: ``delay=100ms loss=5% down``; those that are ``None`` are left out."""
    parts = []
    for name, value in values.named.items():
        key, _, unit = name.partition("_")
        if name == "down":
            parts += [] if value is None else ["down" if value else "up"]
        elif value is not None:
            parts.append(f"{key}={_FORMS[unit](value)}")
    return " ".join(parts)


def _rate(kbit: float) -> str:
    size, unit = next(((size, unit) for size, unit in ((1e6, "gbit"), (1e3, "mbit")) if kbit >= size), (1, "kbit"))
    return f"{kbit / size:.10g}{unit}"


_FORMS: dict[str, Callable[[Any], str]] = {
    "ms": "{:.10g}ms".format,
    "percent": "{:.10g}%".format,
    "kbit": _rate,
    "packets": str,
    "": str,
}


def add_up(records: Iterable[Record]) -> Sum:
    """What records mean for the links, in their order. Changes that failed do not count."""
    found = Sum()
    for record in records:
        if record.error:
            continue
        if record.kind in ("applied", "reset"):
            found = Sum(record.links, applied=record.at if record.kind == "applied" else "")
        elif record.kind in ("set", "schedule"):
            found = replace(found, made=(*found.made, record))
        else:
            kept = tuple(one for one in found.made if one.kind != "schedule")
            found = replace(found, made=kept, playing=record.run if record.kind == "begins" else None)
    return found


class Ledger:
    """The record of changes of one experiment.

    Args:
        folder: its output folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FOLDER / FILE
        self._records: list[Record] = []
        self._read = 0
        self._file: FileIO | None = None

    @contextmanager
    def held(self) -> Iterator[Ledger]:
        """Hold the record, so that nobody else changes links meanwhile; the kernel frees it when the process dies.

        Raises:
            StateError: somebody else holds it all the time, or it cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("ab", buffering=0)  # what a full disk did not take must not be written at closing
        except OSError as error:
            raise StateError("cannot write", where=str(self.path), why=error.strerror) from error
        with file:
            _wait_for(file, self.path)
            self._file = file
            try:
                yield self
            finally:
                self._file = None

    def records(self) -> list[Record]:
        """All records; lines that were cut off by a crash are left out."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                self._records.append(Record.model_validate_json(line))
            except ValidationError:
                continue
        return self._records

    def sum(self) -> Sum:
        """What all records add up to."""
        return add_up(self.records())

    def add(self, *records: Record) -> None:
        """Write records down, at once; only while it is :meth:`held`.

        Raises:
            StateError: the disk is full, for example.
        """
        if self._file is None:
            raise RuntimeError("the record of changes is not held")
        text = "".join(record.model_dump_json(exclude_defaults=True) + "\n" for record in records).encode()
        try:
            if _is_cut_off(self.path):
                text = b"\n" + text
            if self._file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise StateError("cannot write", where=str(self.path), why=error.strerror) from error


def confirmed(kind: Kind, *, sent: float | None = None, **fields: Any) -> Record:
    """A record of something that has just been confirmed.

    Args:
        kind: what it is.
        sent: seconds since the epoch.
        fields: others of the record.
    """
    return Record(at=now(), kind=kind, sent=moment(sent) if sent is not None else "", **fields)


def _wait_for(file: FileIO, path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StateError(
                    "another process changes links, and does not come to an end",
                    where=str(path.parent.parent),
                    hint="End the other `e2clab network` command first",
                ) from None
            time.sleep(0.02)
        else:
            return


def _is_cut_off(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
