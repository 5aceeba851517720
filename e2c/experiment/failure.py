"""What becomes of the hosts when a command fails: they are released, or kept, and the user is told which."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from e2c.errors import E2CError, StateError
from e2c.experiment import reservations, runs, serving, stopping
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.interrupts import held_off
from e2c.experiment.releasing import leave, mark_released, release, where_they_are
from e2c.remote import playbook


@dataclass(frozen=True)
class OnFailure:
    """What the user wants.

    Attributes:
        keep: keep the hosts, whatever happens.
        destroy: release them, also those that an earlier command acquired.
        ask: asks the user, where there is one who can answer; true: keep. Only asked where neither of the above
            decides and this very command acquired the hosts.
        ask_to_stop: asks whether what runs on hosts in the background is ended, after Ctrl-C and where the hosts are
            kept; true: end it. ``None``: it is ended.
    """

    keep: bool = False
    destroy: bool = False
    ask: Callable[[], bool] | None = None
    ask_to_stop: Callable[[], bool] | None = None


@contextmanager
def guarded(experiment: Experiment, wish: OnFailure) -> Iterator[None]:
    """Whatever ends the block early, Ctrl-C and SIGTERM too: release what this command acquired, or say how to.

    Before that, what can be saved is saved. A failure whose real reason is a reservation that has ended is raised as
    such.
    """
    try:
        yield
    except BaseException as error:
        kept = _kept(experiment, wish)
        reason = None
        try:
            reason = reservations.explained(experiment, error)
            if kept is None and reason is None and _may_ask(experiment, wish, error) and wish.ask and wish.ask():
                kept = "as you answered"
            if not isinstance(error, Exception) and reason is None and stopping.running(experiment):
                # whoever sends SIGTERM does not wait for answers
                stops = wish.ask_to_stop if kept is not None and isinstance(error, KeyboardInterrupt) else None
                if stops is not None and not stops():
                    stopping.leave(experiment)
                else:
                    stopping.stop(experiment)
            if kept is None and reason is None:
                _rescue(experiment, error)
        except BaseException as other:  # noqa: BLE001 - the impatient second Ctrl-C skips what is optional
            why = f"because of {other!r}" if isinstance(other, Exception) else "as you are in a hurry"
            experiment.observe(Event("warning", "release", f"nothing more is saved, {why}"))
        if kept is None:
            give_back(experiment)
        else:
            _remember(experiment)
            what = f"the hosts are kept, {kept}; free them" if reason is None else "free what is left"
            experiment.observe(Event("warning", "release", f"{what} with: e2clab destroy {experiment.scenario}"))
        if reason is not None:
            raise reason from error
        raise


def _kept(experiment: Experiment, wish: OnFailure) -> str | None:
    if wish.destroy:
        return None
    if wish.keep:
        return "as asked"
    if experiment.adopted:
        return f"because an earlier command {'kept' if experiment.state.kept else 'deployed'} them"
    return None


def _remember(experiment: Experiment) -> None:
    """Write down that the hosts, if there are any, are the user's; a disk that is full may be the very failure."""
    if not experiment.state.done("acquire"):
        return
    try:
        experiment.update(kept=True)
    except StateError as error:
        experiment.observe(Event("warning", "release", f"that the hosts are kept cannot be written down: {error}"))


def _may_ask(experiment: Experiment, wish: OnFailure, error: BaseException) -> bool:
    there = bool(experiment.state.hosts or experiment.state.reservations)
    # whoever sends SIGTERM does not wait for answers
    return there and not wish.destroy and isinstance(error, (Exception, KeyboardInterrupt))


def _rescue(experiment: Experiment, error: BaseException) -> None:
    """Save what can be saved; a second failure is told, not raised over the first."""
    state = experiment.state
    saved = state.begun is None and bool(state.phases) and state.phases[-1].phase == "backup"
    if not state.done("serve") or saved:
        return
    try:
        # whoever sends SIGTERM does not wait for plays
        runs.salvage(experiment, fetch=isinstance(error, KeyboardInterrupt))
    except (E2CError, OSError) as other:
        experiment.observe(Event("warning", "backup", f"not everything was saved: {other}"))


def give_back(experiment: Experiment) -> None:
    """Release what the experiment holds, or say how to. Never hides the failure behind one of its own."""
    observe = experiment.observe
    with held_off(lambda text: observe(Event("warning", "release", text))):
        observe(Event("phase", "release", "begins, because of the failure"))
        began = time.monotonic()
        serving.stop(experiment)
        leave(experiment.state, observe)
        done = release(where_they_are(experiment.state), observe)
        playbook.clear(experiment.folder)
        for clause in done.freed:
            observe(Event("step", "release", f"released {clause}"))
        if done.failures:
            later = f"Then free it with: e2clab destroy {experiment.scenario}"
            text = f"not everything could be released: {'; '.join(done.failures)}. {later}"
            observe(Event("warning", "release", text, failed=True))
            return
        experiment.state = mark_released(experiment.folder, experiment.state, time.monotonic() - began, observe)
