"""From the rules and the schedule of network.yaml to links between hosts, and changes of them."""

from __future__ import annotations

from e2c.config.network import Change, Network, Rule
from e2c.model.link import PlannedChange, PlannedLink
from e2c.plan.selectors import Roster


def link(network: Network, roster: Roster, boards: frozenset[str] = frozenset()) -> tuple[PlannedLink, ...]:
    """The links, in the order of the file.

    Args:
        network: the rules.
        roster: the planned hosts.
        boards: keys that no link may have.

    Raises:
        SelectorError: a pattern cannot be read.
    """
    return tuple(_link(number, rule, roster, boards) for number, rule in enumerate(network.networks or (), 1))


def changes(network: Network, roster: Roster, boards: frozenset[str] = frozenset()) -> tuple[PlannedChange, ...]:
    """The changes of the schedule, in the order of time; as :func:`link` otherwise."""
    made = [_change(number, change, roster, boards) for number, change in enumerate(network.schedule, 1)]
    return tuple(sorted(made, key=lambda change: change.at_s))


def _link(number: int, rule: Rule, roster: Roster, boards: frozenset[str]) -> PlannedLink:
    return PlannedLink(
        src=rule.src,
        dst=rule.dst,
        sources=roster.select_but(rule.src, boards),
        destinations=roster.select_but(rule.dst, boards),
        symmetric=rule.symmetric,
        back=rule.back and rule.back.values(),
        reason=f"rule {number} of network.yaml",
        **rule.values().named,
    )


def _change(number: int, change: Change, roster: Roster, boards: frozenset[str]) -> PlannedChange:
    return PlannedChange(
        at_s=change.at,
        src=change.src,
        dst=change.dst,
        sources=roster.select_but(change.src, boards),
        destinations=roster.select_but(change.dst, boards),
        symmetric=change.symmetric,
        reason=f"change {number} of the schedule in network.yaml",
        **change.values().named,
    )
