"""Several scenarios, one after the other: all are checked before the first begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from e2c.config.problems import Problem, ProblemsError, errors
from e2c.errors import E2CError
from e2c.experiment import deployment
from e2c.experiment import folder as folders
from e2c.experiment.check import examine, located
from e2c.experiment.events import Observer
from e2c.experiment.experiment import Experiment
from e2c.experiment.lock import locked
from e2c.plan import build


@dataclass
class Turn:
    """What became of a scenario of a series.

    Attributes:
        scenario: its folder.
        outcome: what became of it.
        folder: the output folder, where there is one.
        seconds: how long it took.
        reason: why it failed.
    """

    scenario: Path
    outcome: Literal["not begun", "begun", "done", "failed", "interrupted"] = "not begun"
    folder: Path | None = None
    seconds: float | None = None
    reason: str = ""


def check(
    scenarios: Sequence[Path], artifacts: Path, *, testbed: str | None, app_conf: Sequence[str], observe: Observer
) -> None:
    """Refuse scenarios that could not be deployed; nothing is acquired.

    Raises:
        ProblemsError: the files of one or several are wrong; it carries all problems.
        E2CError: a testbed, program or library is absent.
    """
    problems: list[Problem] = []
    failures: list[E2CError] = []
    for scenario in scenarios:
        try:
            found = examine(scenario, artifacts, "deploy", testbed=testbed, app_conf=app_conf)
            plan = build.require(found.plan, found.problems)
            if not problems and not failures:
                with located(found.scenario):
                    deployment.preflight(plan, observe)
        except ProblemsError as error:
            problems += error.problems
        except E2CError as error:
            failures.append(error)
    if errors(problems):
        raise ProblemsError(problems)
    if failures:
        raise failures[0]


def run(turns: Sequence[Turn], deploy: Callable[[Path], Experiment], tell: Callable[[Turn], None]) -> None:
    """Deploy one scenario after the other; one that fails does not keep the others from their turn.

    Args:
        turns: what is to be done; each is brought up to date at once, so that an interrupt leaves the truth in them.
        deploy: deploys a scenario from beginning to end.
        tell: called with each turn that has ended.
    """
    for turn in turns:
        turn.outcome, began = "begun", time.monotonic()
        before = folders.latest(turn.scenario)
        try:
            with locked(turn.scenario):
                turn.folder = deploy(turn.scenario).folder
            turn.outcome = "done"
        except E2CError as error:
            turn.outcome, turn.reason = "failed", str(error)
        except BaseException as error:
            turn.outcome = "failed" if isinstance(error, Exception) else "interrupted"
            raise
        finally:
            turn.seconds = time.monotonic() - began
            last = folders.latest(turn.scenario)
            if turn.folder is None and last != before:
                turn.folder = last
        tell(turn)
