"""``e2c.Optimizer``: the same hosts, and a run of the workflow for each configuration to try."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from e2c.config.settings import read_settings
from e2c.errors import E2CError, StateError
from e2c.experiment import questions, releasing, reservations, runs
from e2c.experiment.deployment import deploy
from e2c.experiment.events import Event, Observer
from e2c.experiment.experiment import Experiment
from e2c.experiment.failure import OnFailure, guarded
from e2c.experiment.links import emulate
from e2c.experiment.lock import locked
from e2c.experiment.runs import Pace
from e2c.model.run import Run, preparation
from e2c.optimizer import configuration as configurations
from e2c.optimizer.freeing import LastResort
from e2c.provenance.queries.provenance import Result, gathered
from e2c.provenance.queries.statement import bind, pieces

logger = logging.getLogger("e2c.optimizer")

TRIAL = "trial"
CONFIGURATION_FILE = "optimization_config.json"
_RELEASE = OnFailure(destroy=True)


class Optimizer:
    """Deploys a scenario once and runs its workflow with one configuration after the other.

    Use it in a ``with`` statement, or call :meth:`prepare` and :meth:`finalize`. What it holds is freed in any case:
    when the block is left, when the interpreter ends, by Ctrl-C, SIGTERM and SIGHUP; after ``kill -9`` by
    ``e2clab destroy``. Calls of several threads come one after the other: there is one set of hosts.

    A class that derives from it may do everything in its own :meth:`run`.

    Args:
        scenario_dir: folder of the scenario.
        artifacts_dir: folder of what its plays copy.
        duration: seconds that each run lasts after its launch.
        repeat: how often each launch repeats the run, after the first time.
        testbed: plays every testbed of the scenario: ``local`` is a rehearsal; without it the setting ``E2C_TESTBED``.
        limit: seconds that background tasks of a run are waited for; None: each until its own limit.
        observe: receives what happens, see :class:`e2c.experiment.events.Event`; without it the logger
            ``e2c.optimizer`` does.
    """

    def __init__(
        self,
        scenario_dir: str | Path,
        artifacts_dir: str | Path,
        duration: float = 0,
        repeat: int = 0,
        testbed: str | None = None,
        *,
        limit: float | None = None,
        observe: Observer | None = None,
    ) -> None:
        if duration < 0 or repeat < 0:
            raise ValueError("neither duration nor repeat can be negative")
        self.scenario_dir = Path(scenario_dir).resolve()
        self.artifacts_dir = Path(artifacts_dir).resolve()
        self._testbed = testbed
        self._repeats = repeat + 1
        self._pace = Pace(duration_s=duration, limit_s=limit)
        self._observe = observe
        self._begin()

    def _begin(self) -> None:
        self._turn = threading.RLock()
        self._latest = threading.local()
        self._experiment: Experiment | None = None
        self._held = ExitStack()
        self._pid = 0
        self._ending = False

    def run(self) -> Any:
        """What a class that derives from this one does: prepare, launch as often as it likes, finalize."""
        raise NotImplementedError("a class that derives from Optimizer defines run()")

    def prepare(self) -> Path:
        """Acquire the hosts, start the services, shape the links, run the stage ``prepare``.

        A deployment of this scenario that is there already is gone on with.

        Returns:
            The output folder of the experiment.

        Raises:
            E2CError: whatever failed; everything was released again.
        """
        self._at_home("prepare")
        with self._turn:
            if self._experiment is not None:
                raise StateError("the optimizer is prepared already", hint="Call finalize() first")
            with ExitStack() as held:
                held.enter_context(locked(self.scenario_dir))
                held.callback(LastResort(self.scenario_dir, self._let_go).dismiss)
                experiment = deploy(
                    self.scenario_dir,
                    self.artifacts_dir,
                    testbed=self._testbed or read_settings(os.environ)[0].testbed,
                    wish=_RELEASE,
                    command="deploy",
                    observe=self._observe or _log,
                )
                with guarded(experiment, _RELEASE):
                    emulate(experiment)
                    runs.run_stage(experiment, "prepare", preparation(Run()))
                self._held = held.pop_all()
            self._experiment, self._pid = experiment, os.getpid()
            return experiment.folder

    def launch(self, optimization_config: Mapping[str, Any] | None = None) -> Path:
        """Run the workflow once: ``launch`` and ``finalize``, then save what it brought.

        Plays know the configuration as ``optimization_config`` and each of its values as ``env_<name>``, with their
        types; programs have it as JSON in the variable ``E2C_OPTIMIZATION_CONFIG``. The run is ``trial-1``, ``trial-2``
        and so on in the database; with ``repeat`` there are ``trial-1/repeat-1`` and so on.

        Returns:
            The output folder of the run.

        Raises:
            E2CError: the run failed, or something could not be saved. The hosts are kept, so others can follow.
            ScenarioError: the configuration has a value that plays cannot take.
        """
        chosen = configurations.plain(optimization_config or {})
        self._at_home("launch")
        with self._turn:
            if self._ending:
                raise StateError("launch: the optimizer is being finalized", where=str(self.scenario_dir))
            experiment = self._prepared("launch")
            trial = _next_trial(experiment)
            folder = experiment.folder / trial
            folder.mkdir(exist_ok=True)
            text = json.dumps(chosen, ensure_ascii=False)
            (folder / CONFIGURATION_FILE).write_text(f"{text}\n", encoding="utf-8")
            self._latest.runs = []
            for repeat in range(1, self._repeats + 1):
                label = trial if self._repeats == 1 else f"{trial}/repeat-{repeat}"
                self._latest.runs.append(label)
                run = Run(repeat=repeat, repeats=self._repeats, label=label)
                self._execute(experiment, run, configurations.variables(chosen), {"E2C_OPTIMIZATION_CONFIG": text})
            return folder

    def query(self, sql: str, *, timeout: float = 300, **parameters: Any) -> Result:
        """The rows that a statement gives in the provenance database.

        Args:
            sql: one statement. ``:run`` in it is the last run that this thread has launched, ``:runs`` the list of all
                runs of that launch.
            timeout: seconds that it may take.
            parameters: values of other ``:name`` in it.

        Raises:
            QueryError: it was refused, or took too long.
            StateError: nothing is deployed, or it captures no provenance.
        """
        self._prepared("query")
        names = {piece.text[1:] for piece in pieces(sql) if piece.kind == "parameter"}
        launched = getattr(self._latest, "runs", [])
        if launched:
            known = {"run": launched[-1], "runs": launched}
            parameters = {**{name: value for name, value in known.items() if name in names}, **parameters}
        bound = bind(sql, parameters)
        with questions.query(questions.database_host(self.scenario_dir), bound, timeout) as answer:
            return gathered(answer)

    def finalize(self) -> None:
        """Free the hosts; what was saved stays. Does nothing when nothing is held, or another process holds it.

        A launch of another thread that is at work is waited for; those that wait for their turn are refused.

        Raises:
            StateError: something may still be booked; the message says how to free it.
        """
        if self._experiment is None or os.getpid() != self._pid:
            return
        self._ending = True
        try:
            with self._turn:
                if self._experiment is None:
                    return
                try:
                    releasing.destroy(self.scenario_dir, self._observe or _log).require(self.scenario_dir)
                finally:
                    self._let_go()
        finally:
            self._ending = False

    def _execute(
        self, experiment: Experiment, run: Run, variables: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        failure: E2CError | None = None
        try:
            with guarded(experiment, _RELEASE):  # from Ctrl-C and faults of ours, not from a run that fails
                try:
                    runs.execute(experiment, run, self._pace, extra_vars=variables, environment=environment)
                except E2CError as error:
                    failure = reservations.explained(experiment, error) or error
        finally:
            if experiment.state.released:
                self._let_go()
        if failure is not None:
            raise failure

    def _let_go(self) -> None:
        self._experiment = None
        self._held.close()

    def _prepared(self, what: str) -> Experiment:
        if self._experiment is None:
            hint = "Call prepare() first, or use `with Optimizer(...) as optimizer:`"
            raise StateError(f"{what}: the optimizer holds no hosts", where=str(self.scenario_dir), hint=hint)
        self._at_home(what)
        return self._experiment

    def _at_home(self, what: str) -> None:
        """See that this is the process that holds the hosts; before a turn is waited for, because after a fork whoever
        had it is not there to give it back.

        Raises:
            StateError: it is another one.
        """
        if self._experiment is not None and os.getpid() != self._pid:
            raise StateError(
                f"{what}: the hosts belong to another process, {self._pid}",
                where=str(self.scenario_dir),
                hint="Launch from that process, with threads if need be; see docs/howto/optimizer.md",
            )

    def __enter__(self) -> Optimizer:
        if self._experiment is None:
            self.prepare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finalize()

    def __getstate__(self) -> dict[str, Any]:
        if self._experiment is not None:
            raise StateError(
                "an optimizer that holds hosts cannot be sent to another process",
                where=str(self.scenario_dir),
                hint="Send it before prepare(), or launch from threads; see docs/howto/optimizer.md",
            )
        own = ("_turn", "_latest", "_experiment", "_held", "_pid", "_ending")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def _next_trial(experiment: Experiment) -> str:
    labels = {record.run.label.partition("/")[0] for record in experiment.state.runs}
    return f"{TRIAL}-{1 + sum(label.startswith(TRIAL) for label in labels)}"


def _log(event: Event) -> None:
    level = logging.INFO
    if event.kind == "wait":
        level = logging.DEBUG
    elif event.kind == "warning" or event.failed:
        level = logging.WARNING
    logger.log(level, "%s: %s", event.phase, event.text)
