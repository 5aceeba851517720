"""From the rules of network.yaml to links between hosts."""

from __future__ import annotations

from e2c.config.network import Network, Rule
from e2c.model.plan import PlannedLink
from e2c.plan.selectors import Roster


def link(network: Network, roster: Roster) -> tuple[PlannedLink, ...]:
    """The links, in the order of the file.

    Raises:
        SelectorError: a pattern cannot be read.
    """
    return tuple(_link(number, rule, roster) for number, rule in enumerate(network.networks or (), 1))


def _link(number: int, rule: Rule, roster: Roster) -> PlannedLink:
    return PlannedLink(
        src=rule.src,
        dst=rule.dst,
        sources=roster.select(rule.src),
        destinations=roster.select(rule.dst),
        delay_ms=rule.delay,
        rate_kbit=rule.rate,
        loss_percent=rule.loss,
        symmetric=rule.symmetric,
        reason=f"rule {number} of network.yaml",
    )
