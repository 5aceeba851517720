"""How an experiment is right now: who works on it, what it holds and for how long, what answers, what still runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from e2c.experiment import leftovers, report
from e2c.experiment.asking import ask
from e2c.experiment.experiment import Experiment, provider
from e2c.experiment.lock import holder
from e2c.experiment.state import moment, now
from e2c.model.reservation import Reservation
from e2c.remote import background, shell
from e2c.remote.unreachable import reason

ANSWER_S = 40
"""Seconds in which everything that is asked must answer."""
SSH_S = 15
BOOKED_S = 60
"""Testbeds are not asked more often than this how reservations are: it costs them, and seconds of work here."""


class Monitor:
    """Looks at the newest experiment of a scenario, again and again.

    Args:
        scenario: absolute folder.
    """

    def __init__(self, scenario: Path) -> None:
        self.scenario = scenario
        self._booked: tuple[float, str, dict[str, list[Reservation]]] = (-BOOKED_S, "", {})

    def look(self) -> dict[str, Any]:
        """The status as JSON values; everything is asked at the same time, and for a limited time.

        Keys: ``at`` (UTC), ``experiment``, ``folder``, ``scenario``, ``rehearsal``, ``released``, ``now`` (process that
        works on the scenario, and phase that it is in), ``begun`` (phase that has not ended well), ``phases``,
        ``reservations`` (with ``remaining_s``), ``planned`` (number of hosts), ``hosts`` (``reachable``: ``None`` if it
        was not found out), ``boards``, ``services``, ``background``, ``runs``.

        Raises:
            StateError: the scenario was never deployed, or its state cannot be read.
        """
        experiment = report.newest(self.scenario)
        state = experiment.state
        asked: dict[str, Callable[[], Any]] = {}
        if not state.released:
            asked = {
                "reservations": lambda: self._reservations(experiment),
                "hosts": lambda: shell.run_all(state.hosts, "true", timeout_s=SSH_S),
                "services": lambda: report.services(experiment),
                "background": lambda: _background(experiment, at_work=working(self.scenario, experiment) is not None),
            }
        answers = {name: one for name, one in ask(asked, ANSWER_S).items() if not isinstance(one, BaseException)}
        return {
            "at": now(),
            "experiment": state.experiment,
            "folder": str(experiment.folder),
            "scenario": state.scenario,
            "rehearsal": experiment.plan.rehearsal,
            "released": state.released,
            "now": working(self.scenario, experiment),
            "begun": state.begun,
            "phases": [record.model_dump(include={"phase", "at", "seconds"}) for record in state.phases],
            "reservations": [_booked(one) for one in answers.get("reservations") or state.reservations],
            "planned": len(experiment.plan.hosts),
            "hosts": _hosts(experiment, answers.get("hosts")),
            "boards": [board.model_dump(mode="json") for board in state.boards],
            "services": answers.get("services") or _unasked(experiment),
            "background": answers.get("background") or [_task(task, None) for task in state.background],
            "runs": report.runs(experiment),
        }

    def _reservations(self, experiment: Experiment) -> list[Reservation]:
        """As the testbeds tell them; where one says nothing, as last heard."""
        state = experiment.state
        asked, identity, living = self._booked
        if identity != state.experiment or time.monotonic() - asked > BOOKED_S:
            claims = {claim.provider: claim for claim in state.claims if provider(claim.provider).reserves}
            questions = {name: partial(provider(name).reservations, claim) for name, claim in claims.items()}
            answers = ask(questions, ANSWER_S - 5)
            living = {name: answer for name, answer in answers.items() if isinstance(answer, list)}
            self._booked = time.monotonic(), state.experiment, living
        silent = [reservation for reservation in state.reservations if reservation.provider not in living]
        return [*silent, *(reservation for answer in living.values() for reservation in answer)]


def working(scenario: Path, experiment: Experiment) -> dict[str, Any] | None:
    """The process that works on a scenario (``pid``, ``command``, ``since``, UTC) and the ``phase`` it is in; ``None``:
    nobody does."""
    descriptor = os.open(scenario, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = holder(descriptor)
    finally:
        os.close(descriptor)
    if found is None:
        return None
    since = moment(found.since.timestamp())
    return {"pid": found.pid, "command": found.command, "since": since, "phase": experiment.state.begun}


def _booked(reservation: Reservation) -> dict[str, Any]:
    remaining = None if reservation.ends is None else round(reservation.ends - time.time())
    return {**reservation.model_dump(), "remaining_s": remaining}


def _hosts(experiment: Experiment, answers: dict[str, shell.Result] | None) -> list[dict[str, Any]]:
    found = []
    for host in experiment.state.hosts:
        answer = (answers or {}).get(host.key)
        why = "" if answer is None or answer.ok else reason(host, answer)
        reachable = None if answer is None else answer.ok
        found.append({"service": host.key, "testbed": host.testbed, "reachable": reachable, "reason": why})
    return found


def _unasked(experiment: Experiment) -> list[dict[str, Any]]:
    why = "released" if experiment.state.released else "no answer"
    state = experiment.state
    services: list[tuple[str, tuple[str, ...], dict[str, str]]] = [
        *((record.name, record.hosts or (record.host,), record.endpoints) for record in state.services),
        *((one.name, one.hosts, {}) for one in state.served),
    ]
    return [
        {
            "name": name,
            "host": hosts[0],
            "hosts": list(hosts),
            "endpoints": endpoints,
            "health": {"healthy": False, "reason": why},
        }
        for name, hosts, endpoints in services
    ]


def _background(experiment: Experiment, *, at_work: bool) -> list[dict[str, Any]]:
    tasks = experiment.state.background
    if not at_work:
        tasks = (*tasks, *leftovers.unheard(experiment)[0])
    open_ends = [(task.host, task.job) for task in tasks if not task.ended]
    known = background.look(experiment.hosts, open_ends) if open_ends else {}
    return [_task(task, known.get((task.host, task.job))) for task in tasks]


def _task(task: Any, job: background.JobState | None) -> dict[str, Any]:
    fields: dict[str, Any] = task.model_dump()
    if job is not None:
        fields |= {"ended": job.ended, "rc": job.rc, "reason": job.reason}
    return fields
