"""Runs of a workflow: each is one repetition with one application configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from e2c.model.frozen import Frozen

UNNAMED = "run"
"""Identity of a run that needs no name, because there is no other."""

Outcome = Literal["begun", "launched", "done", "failed"]


class Run(Frozen):
    """One run of a workflow.

    Attributes:
        repeat: which repetition it belongs to, from 1; plays know it as ``current_repeat``.
        app_conf: the application configuration that it runs with; empty: none.
        repeats: how many repetitions there are in all.
        label: the name of the run where somebody gave it one, as the optimizer does; empty: see :attr:`name`.
    """

    repeat: int = 1
    app_conf: str = ""
    repeats: int = 1
    label: str = ""

    @property
    def name(self) -> str:
        """The output folder of the run, below that of the experiment; empty where it is that folder itself.

        ``repeat-2`` where there are several repetitions, ``large`` where it has a configuration, ``repeat-2/large``
        where both are so.
        """
        parts = [f"repeat-{self.repeat}"] if self.repeats > 1 else []
        return self.label or "/".join([*parts, *([self.app_conf] if self.app_conf else [])])

    @property
    def identity(self) -> str:
        """What the run is called in the database; unique among the runs of an experiment."""
        return self.name or UNNAMED


class RunRecord(Frozen):
    """What became of a run.

    Attributes:
        run: which one.
        identity: what it is called in the database: that of the run, with ``~2`` and so on where it was launched again.
        outcome: ``begun`` also says that it was cut off, unless it is at work right now; ``launched``: its launch has
            ended well, its results are not saved yet.
        began, ended: UTC, ISO 8601; ``ended`` is empty as long as it has not.
        folder: its output folder, below that of the experiment; empty where it is that folder itself.
        reason: why it failed, in one sentence.
    """

    run: Run
    identity: str
    outcome: Outcome = "begun"
    began: str = ""
    ended: str = ""
    folder: str = ""
    reason: str = ""


def planned(more: int = 0, configurations: Sequence[str] = ()) -> tuple[Run, ...]:
    """All runs, in their order: repetition after repetition, and in each of them configuration after configuration.

    Args:
        more: how often everything is repeated after the first time.
        configurations: names of application configurations; none: one run without.
    """
    repeats = more + 1
    chosen = tuple(dict.fromkeys(configurations)) or ("",)
    return tuple(
        Run(repeat=repeat, app_conf=name, repeats=repeats) for repeat in range(1, repeats + 1) for name in chosen
    )


def preparation(run: Run) -> Run:
    """What ``prepare`` of a repetition counts as: it comes before all runs of that repetition, and serves them all."""
    return run.model_copy(update={"app_conf": ""})
