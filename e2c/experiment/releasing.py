"""Giving everything back: by the state, by what a damaged one still tells, and by what the testbeds themselves know."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from e2c import plugins
from e2c.environments.base import Claim
from e2c.errors import StateError
from e2c.experiment import folder as folders
from e2c.experiment import serving, stopping
from e2c.experiment import state as states
from e2c.experiment.events import Event, Hub, Observer, steady
from e2c.experiment.experiment import Experiment, provider
from e2c.experiment.interrupts import held_off
from e2c.experiment.log import LogFile
from e2c.experiment.state import State
from e2c.remote import playbook, shell

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Release:
    """What came of releasing.

    Attributes:
        freed: one clause for each thing that is free now.
        failures: one clause for each that may still be booked.
    """

    freed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def require(self, scenario: str | Path) -> None:
        """Raise :class:`StateError` if something may still be booked."""
        if self.failures:
            raise StateError(
                "not everything could be released, so something may still be booked",
                where=str(scenario),
                why="; ".join(self.failures),
                hint=f"Repeat `e2clab destroy {scenario}`",
            )


def release(claims: Iterable[Claim], observe: Observer) -> Release:
    """Free the claims, all of them even when one fails or the user is impatient."""
    observe = steady(observe)
    done = Release()

    def free(claim: Claim) -> list[str] | str:
        try:
            return provider(claim.provider).release(claim, lambda text: observe(Event("step", "release", text)))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with one, the others must be freed
            return f"{claim.provider}: {_sentence(error)}"

    with held_off(lambda text: observe(Event("warning", "release", text))):
        for outcome in _at_once(free, list(claims)):
            if isinstance(outcome, str):
                done.failures.append(outcome)
            else:
                done.freed += outcome
    return done


def orphans(scenario: Path, names: Iterable[str]) -> tuple[list[Claim], dict[str, str]]:
    """Claims that testbeds themselves know for a scenario, whatever its state files say.

    Returns:
        The claims; and the reason for each testbed that could not be asked.
    """

    def ask(name: str) -> list[Claim] | str:
        try:
            return provider(name).find(str(scenario))
        except Exception as error:  # noqa: BLE001 - one testbed that does not answer must not hide the others
            return _sentence(error)

    names = list(names)
    answers = dict(zip(names, _at_once(ask, names), strict=True))
    found = [claim for answer in answers.values() if not isinstance(answer, str) for claim in answer]
    return found, {name: answer for name, answer in answers.items() if isinstance(answer, str)}


def _at_once(work: Callable[[T], R], things: Sequence[T]) -> list[R]:
    """What the work gives for each thing, in their order: testbeds answer slowly, and know nothing of each other."""
    if len(things) < 2:
        return [work(thing) for thing in things]
    with ThreadPoolExecutor(len(things), thread_name_prefix="testbed") as pool:
        return list(pool.map(work, things))


def _sentence(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def destroy(scenario: Path, observe: Observer) -> Release:
    """Release whatever a scenario holds; may be repeated. What could not be freed is in the result, not raised.

    Raises:
        StateError: there is no such scenario folder.
    """
    observe = steady(observe)
    plugins.look_in(scenario)
    folder = folders.latest(scenario)
    state: State | None = None
    claims: Sequence[Claim] = ()
    if folder is not None:
        try:
            state = states.load(folder)
        except StateError as error:
            observe(Event("warning", "release", f"{error} The testbeds are asked instead."))
            claims = states.salvage(folder)
    done = Release()
    if folder is not None and not (state is not None and state.released):
        observe = Hub(observe, LogFile(folder))
        observe(Event("phase", "release", "begins"))
        began = time.monotonic()
        playbook.clear(folder)
        if state is not None:
            state = _stop(folder, state, observe)
            leave(state, observe)
            claims = where_they_are(state)
        done = release(claims, observe)
        if state is not None and not done.failures:
            mark_released(folder, state, time.monotonic() - began, observe)
    known = {claim.provider for claim in claims}
    found, silent = orphans(scenario, plugins.names(plugins.ENVIRONMENTS))
    more = release(found, observe)
    done.freed += more.freed
    done.failures += [failure for failure in more.failures if failure not in done.failures]
    for name, reason in silent.items():
        # a state that is whole tells which testbeds were used: what others may hold is not of this scenario's making
        if state is None and name not in known:
            done.failures.append(f"{name} could not be asked: {reason}")
        else:
            observe(Event("warning", "release", f"{name} could not be asked whether it holds more: {reason}"))
    return done


def _stop(folder: Path, state: State, observe: Observer) -> State:
    """End what the workflow has left running on machines that are only lent, and let plugins end their services.

    Without the plan nobody knows what these were told.
    """
    try:
        plan = states.load_plan(folder)
    except StateError as error:
        observe(Event("warning", "release", f"{error} Services are not ended by their plugins."))
        return state
    with held_off(lambda text: observe(Event("warning", "release", text))):
        experiment = Experiment(folder, state, plan, observe)
        try:
            stopping.stop_on_lent(experiment)
        except Exception as error:  # noqa: BLE001 - as with everything else here, the hosts must be released
            observe(Event("warning", "release", f"what the workflow started may still run: {_sentence(error)}"))
        serving.stop(experiment)
    return experiment.state


def where_they_are(state: State) -> list[Claim]:
    """The claims of a state, each with the sites of its reservations.

    Only once everything was acquired: until then there may be a job on a site that never told its number.
    """
    if not state.done("acquire"):
        return list(state.claims)
    sites: dict[str, set[str]] = {}
    for reservation in state.reservations:
        if reservation.site:
            sites.setdefault(reservation.provider, set()).add(reservation.site)
    return [
        claim.model_copy(update={"resources": {**claim.resources, "sites": sorted(sites[claim.provider])}})
        if claim.provider in sites
        else claim
        for claim in state.claims
    ]


def leave(state: State, observe: Observer) -> None:
    """End our own connections to the hosts; whatever is wrong with that, the hosts must be released."""
    try:
        shell.close(state.hosts)
    except Exception as error:  # noqa: BLE001
        observe(Event("warning", "release", f"ssh connections may linger for a minute: {error}"))


def mark_released(folder: Path, state: State, seconds: float, observe: Observer) -> State:
    """Write down that everything is free. A disk that is full changes nothing about that, and is only told."""
    state = state.after("release", seconds, released=True)
    try:
        states.save(folder, state)
    except StateError as error:
        text = f"everything was released, but that cannot be written down ({str(error).rstrip('.')})"
        observe(Event("warning", "release", f"{text}; the next `destroy` will find nothing to free"))
    else:
        observe(Event("done", "release", "done", seconds=seconds))
    return state
