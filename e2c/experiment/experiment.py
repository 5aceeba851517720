"""An experiment at hand: its folder, plan and state, and how its phases are remembered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2c import plugins
from e2c.environments import own
from e2c.environments.base import Provider, Watch
from e2c.errors import StateError
from e2c.experiment import folder as folders
from e2c.experiment import state as states
from e2c.experiment.events import Event, Observer, steady
from e2c.experiment.inputs import digest
from e2c.experiment.state import State
from e2c.model.host import Host
from e2c.model.plan import Plan
from e2c.model.reservation import Reservation
from e2c.model.run import Run


class Experiment:
    """The state of one experiment; each change is on disk before the next step is taken.

    Attributes:
        folder: its output folder.
        plan: what is deployed.
        observe: receives the events.
        adopted: an earlier command deployed it, or kept its hosts, so a failure of this one need not release them.
        cut_off: phase in which an earlier command ended without a word, or failed, when this one took it up.
    """

    def __init__(self, folder: Path, state: State, plan: Plan, observe: Observer) -> None:
        self.folder = folder
        self.state = state
        self.plan = plan
        self.observe = steady(observe)
        self.adopted = False
        self.cut_off: str | None = None

    @property
    def scenario(self) -> Path:
        """The scenario folder."""
        return Path(self.state.scenario)

    @property
    def hosts(self) -> dict[str, Host]:
        """Acquired hosts by service key."""
        return {host.key: host for host in self.state.hosts}

    def update(self, **changes: Any) -> None:
        """Change the state and write it."""
        self.state = self.state.model_copy(update=changes)
        states.save(self.folder, self.state)

    def use_plan(self, plan: Plan) -> None:
        """Take up a plan that was made again from edited files, and write it."""
        if plan != self.plan:
            self.plan = plan
            states.save_plan(self.folder, plan)
            self.update(plan_digest=plan.digest())

    def digest(self, phase: str, run: Run | None = None) -> str:
        """Digest of what a phase would be made from now."""
        return digest(phase, self.plan, Path(self.state.artifacts) if self.state.artifacts else None, run)

    def fulfilled(self, phase: str, run: Run | None = None) -> bool:
        """The phase, of that run, has ended well, and what it was made from is still the same."""
        place = self.ended(phase, run)
        return place is not None and self.state.phases[place].inputs == self.digest(phase, run)

    def ended(self, phase: str, run: Run | None = None) -> int | None:
        """Place among the phases done of the last time that this one, of that run, ended well."""
        wanted = phase, run.identity if run else ""
        places = [place for place, one in enumerate(self.state.phases) if (one.phase, one.run) == wanted]
        return places[-1] if places else None

    def forget(self) -> None:
        """Other hosts are going to be acquired: nothing that was done on the earlier ones counts."""
        self.update(
            phases=(),
            reservations=(),
            hosts=(),
            boards=(),
            facts={},
            services=(),
            served=(),
            background=(),
            links=(),
            netem=None,
            runs=(),
        )

    def progress(self, phase: str) -> Any:
        """A function that turns clauses into events of a phase."""
        return lambda text: self.observe(Event("step", phase, text))

    def watch(self, phase: str) -> Watch:
        """What a provider tells during a phase: events, and reservations, which are on disk at once."""
        return Watch(self.progress(phase), lambda text: self.observe(Event("wait", phase, text)), self._reserved)

    def _reserved(self, reservation: Reservation) -> None:
        def other(known: Reservation) -> bool:
            return (known.provider, known.site, known.id) != (reservation.provider, reservation.site, reservation.id)

        self.update(reservations=(*filter(other, self.state.reservations), reservation))

    @contextmanager
    def phase(self, name: str, run: Run | None = None) -> Iterator[dict[str, Any]]:
        """Run a phase, of a run; when it ends well, remember it with the changes of state put into the mapping."""
        self.observe(Event("phase", name, "begins"))
        began = time.monotonic()
        inputs = self.digest(name, run)
        changes: dict[str, Any] = {}
        try:
            self.update(begun=name)
            yield changes
        except BaseException as error:
            reason = str(error).splitlines()[0] if isinstance(error, Exception) and str(error) else "interrupted"
            self.observe(Event("done", name, reason, failed=True, seconds=time.monotonic() - began))
            raise
        seconds = time.monotonic() - began
        self.state = self.state.after(name, seconds, inputs, run.identity if run else "", **changes)
        states.save(self.folder, self.state)
        self.observe(Event("done", name, "done", seconds=seconds))


def provider(name: str) -> Provider:
    """The installed provider of that name."""
    return own.provider(name)


def find(scenario: Path, observe: Observer) -> Experiment | None:
    """The newest experiment of a scenario, living or released; ``None`` where there never was one."""
    plugins.look_in(scenario)
    folder = folders.latest(scenario)
    if folder is None:
        return None
    return Experiment(folder, states.load(folder), states.load_plan(folder), observe)


def living(scenario: Path, observe: Observer) -> Experiment:
    """The experiment that holds hosts now.

    Raises:
        StateError: nothing is deployed.
    """
    experiment = find(scenario, observe)
    first = f"Deploy first: `e2clab layers-services {scenario} ARTIFACTS_DIR`"
    if experiment is None:
        raise StateError("nothing is deployed", where=str(scenario), hint=first)
    if experiment.state.released:
        raise StateError(
            "nothing is deployed any more",
            where=str(scenario),
            why=f"the last experiment was released; its results are in {experiment.folder}",
            hint=first,
        )
    if not experiment.state.done("serve"):
        raise StateError(
            "the deployment was cut off before its services ran",
            where=str(experiment.folder),
            hint=f"Go on with `e2clab layers-services {scenario} {experiment.state.artifacts or 'ARTIFACTS_DIR'}`, "
            f"or free what it holds with `e2clab destroy {scenario}`",
        )
    return experiment
