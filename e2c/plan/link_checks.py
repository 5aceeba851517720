"""Rules of network.yaml that meet on the same hosts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product

from e2c.config.network import Rule
from e2c.config.problems import Path, Problem
from e2c.config.scenario import Scenario
from e2c.plan.selectors import Roster

MAX_PAIRS = 1_000_000
"""Pairs of hosts that all rules together are compared on; rules beyond are compared as wholes only."""

Ends = tuple[tuple[str, ...], tuple[str, ...]]


def check_links(scenario: Scenario, roster: Roster, broken: Collection[str]) -> Iterator[Problem]:
    """Rules that say the same as an earlier one (warning) or something else (error).

    Args:
        scenario: with its network.
        roster: the planned hosts.
        broken: patterns that cannot be read.
    """
    rules = (scenario.network and scenario.network.networks) or ()
    whole: dict[tuple[str, str], int] = {}
    pairs = _Pairs()
    first_to_choose: dict[tuple[str, ...], str] = {}
    stands_for: dict[str, str] = {}
    for place, rule in enumerate(rules):
        if rule.src in broken or rule.dst in broken:
            continue
        for pattern in (rule.src, rule.dst):
            if pattern not in stands_for:
                stands_for[pattern] = first_to_choose.setdefault(roster.select(pattern), pattern)
        ends = stands_for[rule.src], stands_for[rule.dst]
        directions = [ends, (ends[1], ends[0])] if rule.symmetric else [ends]
        earlier = next((whole[way] for way in directions if way in whole), None)
        if earlier is None:
            earlier = pairs.meeting([(roster.select(src), roster.select(dst)) for src, dst in directions], place)
        if earlier is not None:
            yield _problem(scenario, rules[earlier], earlier, rule, place)
        for way in directions:
            whole.setdefault(way, place)


class _Pairs:
    """The pairs of hosts that rules were seen on."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str], int] = {}
        self.left = MAX_PAIRS

    def meeting(self, directions: list[Ends], place: int) -> int | None:
        """The earlier rule on a pair of hosts of this one."""
        found: int | None = None
        for sources, destinations in directions:
            self.left -= len(sources) * len(destinations)
            if self.left < 0:
                return found
            for pair in product(sources, destinations):
                earlier = self.first.setdefault(pair, place)
                if earlier != place and pair[0] != pair[1] and found is None:
                    found = earlier
        return found


def _problem(scenario: Scenario, first: Rule, first_place: int, rule: Rule, place: int) -> Problem:
    path: Path = ("networks", place)
    document = scenario.documents.get("network")
    line = document.position(("networks", first_place))[0] if document else first_place + 1
    values = [(found.delay, found.rate, found.loss) for found in (first, rule)]
    if values[0] == values[1]:
        message = f"the rule says the same of some hosts as the one in line {line}"
        return scenario.problem("network", path, "rule-twice", message, "Remove one of them", severity="warning")
    message = f"the rule contradicts the one in line {line} for some hosts"
    return scenario.problem("network", path, "rule-conflict", message, "Keep one rule for each source and destination")
