"""From workflow.yaml to plays on hosts."""

from __future__ import annotations

from e2c.config.workflow import DependsOn, Play, Workflow
from e2c.model.plan import STAGES, PlannedDependency, PlannedPlay
from e2c.plan.selectors import Roster


def plays(workflow: Workflow, roster: Roster) -> tuple[PlannedPlay, ...]:
    """The plays, in the order of the file.

    Raises:
        SelectorError: a pattern cannot be read.
    """
    return tuple(_play(index, play, roster) for index, play in enumerate(workflow.plays))


def _play(index: int, play: Play, roster: Roster) -> PlannedPlay:
    return PlannedPlay(
        index=index,
        selector=play.hosts,
        hosts=roster.select(play.hosts),
        depends_on=tuple(_dependency(dependency, roster) for dependency in play.depends_on),
        stages={stage: getattr(play, stage) for stage in STAGES if getattr(play, stage)},
        keywords=play.metadata(),
    )


def _dependency(dependency: DependsOn, roster: Roster) -> PlannedDependency:
    return PlannedDependency(
        selector=dependency.service_selector,
        hosts=roster.select(dependency.service_selector),
        grouping=dependency.grouping,
        prefix=dependency.prefix,
        array_info=dependency.array_info,
    )
