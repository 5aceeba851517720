"""From workflow.yaml to plays on hosts."""

from __future__ import annotations

from e2c.config.workflow import DependsOn, Play, Workflow
from e2c.model.plan import STAGES, PlannedDependency, PlannedPlay
from e2c.plan.selectors import Roster


def plays(workflow: Workflow, roster: Roster, boards: frozenset[str] = frozenset()) -> tuple[PlannedPlay, ...]:
    """The plays, in the order of the file.

    Args:
        workflow: the plays as written.
        roster: the planned hosts.
        boards: keys that no play may have.

    Raises:
        SelectorError: a pattern cannot be read.
    """
    return tuple(_play(index, play, roster, boards) for index, play in enumerate(workflow.plays))


def _play(index: int, play: Play, roster: Roster, boards: frozenset[str]) -> PlannedPlay:
    return PlannedPlay(
        index=index,
        selector=play.hosts,
        hosts=roster.select_but(play.hosts, boards),
        depends_on=tuple(_dependency(dependency, roster, boards) for dependency in play.depends_on),
        stages={stage: getattr(play, stage) for stage in STAGES if getattr(play, stage)},
        keywords=play.metadata(),
    )


def _dependency(dependency: DependsOn, roster: Roster, boards: frozenset[str]) -> PlannedDependency:
    return PlannedDependency(
        selector=dependency.service_selector,
        hosts=roster.select_but(dependency.service_selector, boards),
        grouping=dependency.grouping,
        prefix=dependency.prefix,
        array_info=dependency.array_info,
    )
