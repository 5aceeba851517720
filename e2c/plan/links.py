"""From the rules of network.yaml to links between hosts."""

from __future__ import annotations

from e2c.config.network import Network, Rule
from e2c.model.plan import PlannedLink
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


def _link(number: int, rule: Rule, roster: Roster, boards: frozenset[str]) -> PlannedLink:
    return PlannedLink(
        src=rule.src,
        dst=rule.dst,
        sources=roster.select_but(rule.src, boards),
        destinations=roster.select_but(rule.dst, boards),
        delay_ms=rule.delay,
        rate_kbit=rule.rate,
        loss_percent=rule.loss,
        symmetric=rule.symmetric,
        reason=f"rule {number} of network.yaml",
    )
