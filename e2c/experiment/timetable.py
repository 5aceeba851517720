"""The schedule of network.yaml: plays its changes of links while a run is under way."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby

from e2c.emulation import apply, constraint
from e2c.emulation.constraint import Constraint
from e2c.emulation.exempt import exemptions
from e2c.emulation.readback import Layout
from e2c.errors import E2CError, EmulationError
from e2c.experiment.changes import Ledger, add_up, confirmed, difference, words
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.interrupts import FROM_THE_TERMINAL
from e2c.model.link import PlannedChange

PHASE = "launch"
AHEAD_S = 3.0
"""How long before a change its hosts are asked how they are shaped, which also opens the connections to them."""


@contextmanager
def playing(experiment: Experiment, run: str) -> Iterator[None]:
    """While the block runs, change links as the schedule says; afterwards they are as before.

    The schedule's zero is the moment at which the block begins. Each change is written to ``changes.jsonl`` when its
    hosts have confirmed it. One that fails is told at once; the others are played all the same, and in the end the run
    has failed. What a schedule left that was cut off with its process is undone first.

    Args:
        experiment: whose links are changed.
        run: identity of the run, for the record of changes.

    Raises:
        EmulationError: a change failed, or the links could not be set back. Where the block itself fails, this is
            only told.
        StateError: the record of changes cannot be written.
    """
    heal(experiment)
    if not experiment.plan.changes:
        yield
        return
    player = _Player(experiment, run)
    player.begin()
    try:
        yield
    except BaseException:
        player.end()
        raise
    player.end()
    if player.failures:
        raise EmulationError(
            "the links were not as the schedule of network.yaml says",
            why="; ".join(player.failures),
            hint="Every change, with its time, is in network-validate/changes.jsonl",
        )


def heal(experiment: Experiment, *, needed: bool = True) -> None:
    """Undo the changes of a schedule that was cut off with its process; nothing where none was.

    Args:
        needed: that this fails is an error; else it is only told, and tried again by the next command.

    Raises:
        EmulationError: a host's links could not be set back.
        RemoteError: a host does not answer.
    """
    ledger = Ledger(experiment.folder)
    left = ledger.sum().playing
    if left is None:
        return
    experiment.observe(Event("warning", PHASE, f"the schedule of {left} was cut off: what it changed is undone"))
    try:
        with ledger.held():
            _restore(experiment, ledger)
    except E2CError as error:
        if needed:
            raise
        text = f"the links could not be set back: {str(error).rstrip('.')}"
        experiment.observe(Event("warning", PHASE, text, failed=True))


def _restore(experiment: Experiment, ledger: Ledger) -> None:
    """Set links back to what holds without the schedule, and write that down."""
    now, hosts, sent = ledger.sum(), experiment.state.hosts, time.time()
    asked = now.constraints(hosts, exemptions(experiment.plan, hosts), schedule=False)
    try:
        apply.apply(asked, hosts, _quiet)
    except E2CError:
        for host in hosts:  # one that is gone does not keep the others as they are
            with contextlib.suppress(E2CError):
                apply.apply([one for one in asked if one.source == host.key], [host], _quiet)
        raise
    ledger.add(confirmed("ends", sent=sent, run=now.playing or ""))


def _quiet(_: str) -> None:
    """Progress that nobody follows."""


class _Player:
    """A schedule at play, in a thread of its own.

    Args:
        experiment: whose links are changed.
        run: what the record of changes calls it.

    Attributes:
        failures: what went wrong, a clause each.
        left: changes that are still to come.
        zero: when the schedule began (monotonic clock).
        now: what holds on the hosts, as far as :attr:`seen` records tell.
    """

    def __init__(self, experiment: Experiment, run: str) -> None:
        self.experiment = experiment
        self.run = run
        self.hosts = experiment.state.hosts
        self.exempt = exemptions(experiment.plan, self.hosts)
        self.ledger = Ledger(experiment.folder)
        self.failures: list[str] = []
        self.left = len(experiment.plan.changes)
        self.zero = 0.0
        self.now: tuple[Constraint, ...] = ()
        self.seen = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="schedule", daemon=True)

    def begin(self) -> None:
        """Start the clock."""
        with self.ledger.held():
            self.zero = time.monotonic()
            self.ledger.add(confirmed("begins", run=self.run))
        self._thread.start()

    def end(self) -> None:
        """Stop, and undo what was changed."""
        self._stop.set()
        self._thread.join()
        if self.left:
            total = len(self.experiment.plan.changes)
            text = f"the run ended before {self.left} of the {total} changes in the schedule of network.yaml"
            self.experiment.observe(Event("step", PHASE, text))
        try:
            self._undo()
        except E2CError as error:
            self._tell(f"the links could not be set back: {str(error).rstrip('.')}")

    def _undo(self) -> None:
        with self.ledger.held():
            if self.ledger.sum().scheduled or self.failures:
                _restore(self.experiment, self.ledger)
            else:
                self.ledger.add(confirmed("ends", run=self.run))

    def _groups(self) -> list[tuple[float, list[PlannedChange]]]:
        """Changes by the time at which they are due."""
        ordered = sorted(self.experiment.plan.changes, key=lambda change: change.at_s)
        return [(at_s, list(group)) for at_s, group in groupby(ordered, lambda change: change.at_s)]

    def _play(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, FROM_THE_TERMINAL)  # what is being changed is not cut short by Ctrl-C
        for at_s, changes in self._groups():
            if self._wait(at_s - AHEAD_S):
                return
            try:
                if not self._change(at_s, changes):
                    return
            except Exception as error:  # noqa: BLE001 - whatever it is, the run must hear of it, and the next be tried
                self._failed(changes, error)
            self.left -= len(changes)

    def _wait(self, until_s: float) -> bool:
        """Wait until so long after zero; true: the run has ended."""
        return self._stop.wait(max(0.0, self.zero + until_s - time.monotonic()))

    def _change(self, at_s: float, changes: Sequence[PlannedChange]) -> bool:
        """Make changes when they are due; false: the run has ended before."""
        after = self._after(changes)
        wanted, seen = difference(self.now, after), self.seen
        there: Mapping[apply.Interface, Layout] | None = None
        with contextlib.suppress(E2CError):  # whether a host answers matters when the change is due
            there = apply.look(wanted, self.hosts)
        if self._wait(at_s):
            return False
        with self.ledger.held():
            if len(self.ledger.records()) > seen:  # somebody has changed links by hand meanwhile
                after = self._after(changes)
                wanted, there = difference(self.now, after), None
            sent, silent = time.time(), apply.Silent()
            apply.change(wanted, self.hosts, there, silent=silent)
            if wanted and all(one.source in silent for one in wanted):
                raise apply.unanswered(silent, others=False)
            after_s = round(time.monotonic() - self.zero, 3)
            made = confirmed("schedule", sent=sent, run=self.run, after_s=after_s, missed=tuple(silent))
            self.ledger.add(*(made.model_copy(update={"change": change}) for change in changes))
            self.now, self.seen = after, len(self.ledger.records())
        for change in changes:
            text = f"{change.src} to {change.dst}: {words(change)} (schedule: {at_s:g} s)"
            self.experiment.observe(Event("step", PHASE, text, seconds=after_s - at_s))
        if silent:
            self._tell(f"at {at_s:g} s, {apply.unanswered(silent, others=False)}".rstrip("."))
        return True

    def _after(self, changes: Sequence[PlannedChange]) -> tuple[Constraint, ...]:
        """What holds after some changes of what holds now."""
        records = self.ledger.records()
        if len(records) != self.seen:
            self.now, self.seen = add_up(records).constraints(self.hosts, self.exempt), len(records)
        after = self.now
        for change in changes:
            after = constraint.changed(after, change, self.hosts, self.exempt)
        return after

    def _failed(self, changes: Sequence[PlannedChange], error: Exception) -> None:
        reason = str(error).rstrip(".") or type(error).__name__
        for change in changes:
            text = f"at {change.at_s:g} s, {change.src} to {change.dst}: {words(change)}: {reason}"
            self._tell(f"a change of the schedule failed, {text}")
        try:
            with self.ledger.held():
                for change in changes:
                    self.ledger.add(confirmed("schedule", run=self.run, change=change, error=reason))
        except E2CError as other:
            self._tell(str(other).rstrip("."))

    def _tell(self, failure: str) -> None:
        self.failures.append(failure)
        self.experiment.observe(Event("warning", PHASE, failure, failed=True))
