"""How long the testbeds still give: what is left of reservations, whether they are over, and lengthening them."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from pathlib import Path
from typing import Literal

from e2c.environments.base import Watch
from e2c.errors import E2CError, RemoteError, StateError
from e2c.experiment.events import Event, Observer
from e2c.experiment.experiment import Experiment, find, provider
from e2c.experiment.state import State, epoch
from e2c.model.reservation import Reservation

SHORT_S = 600
"""What is less than this is warned about."""
OVER = "over"
"""State of a reservation that its testbed does not know any more."""


def clock(moment: float) -> str:
    """A moment (seconds since the epoch) as a user reads it: local time, with the day where that is another one."""
    then = datetime.fromtimestamp(moment)
    return then.strftime("%H:%M" if then.date() == datetime.now().date() else "%Y-%m-%d %H:%M")


def length(seconds: float) -> str:
    """A duration as a user reads it, rounded down to minutes: ``2 h 05 min``."""
    minutes = int(seconds) // 60
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"


def first_to_end(state: State) -> Reservation | None:
    """The reservation that ends first, of those whose end is known."""
    known = [reservation for reservation in state.reservations if reservation.ends is not None]
    return min(known, key=lambda reservation: reservation.ends or 0, default=None)


def named(reservation: Reservation) -> str:
    """A reservation as a user finds it on the testbed."""
    site = f" at {reservation.site}" if reservation.site else ""
    return f"{reservation.provider} reservation {reservation.id}{site}"


def tell(experiment: Experiment, *, always: bool = False) -> None:
    """Tell what is left, and warn where that is little or less than background tasks may take.

    Args:
        always: also where it is plenty.
    """
    if experiment.state.released:
        return
    words = _words(experiment)
    if words is not None and words[0] == "warning":
        refresh(experiment)  # it may have been lengthened since
        words = _words(experiment)
    if words is not None and (words[0] == "warning" or always):
        experiment.observe(Event(words[0], "reserve", words[1]))


def _words(experiment: Experiment) -> tuple[Literal["warning", "step"], str] | None:
    first = first_to_end(experiment.state)
    if first is None or first.ends is None:
        return None
    left, end = first.ends - time.time(), clock(first.ends)
    if left <= 0:
        return "warning", f"the {named(first)} ended at {end}, so its hosts are gone"
    lengthen = f"lengthen it with: e2clab extend {experiment.scenario}"
    if left < SHORT_S:
        return "warning", f"{length(left)} left: the {named(first)} ends at {end}; {lengthen}"
    running = [task for task in experiment.state.background if not task.ended]
    needed = max((epoch(task.started) + task.limit_s for task in running), default=0.0)
    if needed > first.ends:
        text = f"background tasks may run until {clock(needed)}, but the {named(first)} ends at {end}; {lengthen}"
        return "warning", text
    return "step", f"the {named(first)} lasts until {end}, {length(left)} from now"


def refresh(experiment: Experiment) -> None:
    """Ask the testbeds what became of the reservations; those that cannot be asked leave what is known as it is."""
    known = list(experiment.state.reservations)
    for claim in experiment.state.claims:
        mine = [reservation for reservation in known if reservation.provider == claim.provider]
        try:
            adapter = provider(claim.provider)
            if not mine or not adapter.reserves:
                continue
            living = adapter.reservations(claim)
        except Exception:  # noqa: BLE001, S112 - this only explains a failure, and must not become another one
            continue
        still = {(reservation.site, reservation.id) for reservation in living}
        known = [
            *(reservation for reservation in known if reservation.provider != claim.provider),
            *living,
            *(_over(reservation) for reservation in mine if (reservation.site, reservation.id) not in still),
        ]
    if tuple(known) != experiment.state.reservations:
        with contextlib.suppress(StateError):  # a full disk: known in memory all the same
            experiment.update(reservations=tuple(known))


def _over(reservation: Reservation) -> Reservation:
    ends = min(reservation.ends or time.time(), time.time())
    return reservation.model_copy(update={"state": OVER, "ends": ends})


def explained(experiment: Experiment, error: BaseException) -> E2CError | None:
    """The real reason of a failure, where that is a reservation that has ended; ``None`` where it is not."""
    if not isinstance(error, E2CError) or not experiment.state.reservations or not experiment.state.hosts:
        return None
    refresh(experiment)
    first = first_to_end(experiment.state)
    if first is None or first.ends is None or first.ends > time.time():
        return None
    return RemoteError(
        f"the {named(first)} ended at {clock(first.ends)}, so its hosts are gone",
        why=str(error).rstrip("."),
        hint=f"What was saved until then is in {experiment.folder}; ask for a longer walltime, or use `e2clab extend` "
        "in time",
    )


def extend(scenario: Path, seconds: int, observe: Observer, *, write: bool) -> list[Reservation]:
    """Lengthen all reservations of a scenario; returns them as they are then.

    Args:
        write: write them into the state, which only the command that holds the scenario may do.

    Raises:
        StateError: nothing is deployed.
        TestbedError: a testbed does not allow it; those that do were lengthened.
    """
    experiment = find(scenario, observe)
    if experiment is None or experiment.state.released:
        raise StateError("nothing is deployed, so there is nothing to lengthen", where=str(scenario))
    claims = experiment.state.claims
    booked = [claim for claim in claims if provider(claim.provider).reserves]
    watch = experiment.watch("reserve") if write else Watch(experiment.progress("reserve"))
    lengthened: list[Reservation] = []
    failures: list[E2CError] = []
    for claim in booked or claims[:1]:  # a testbed that books nothing says so itself
        try:
            lengthened += provider(claim.provider).extend(claim, seconds, watch)
        except E2CError as error:
            failures.append(error)
    if write:
        for reservation in lengthened:
            watch.reserved(reservation)
    if failures:
        for reservation in lengthened:
            text = f"{named(reservation)} is lengthened"
            experiment.observe(Event("step", "reserve", text))
        for failure in failures[:-1]:
            experiment.observe(Event("warning", "reserve", str(failure)))
        raise failures[-1]
    return lengthened
