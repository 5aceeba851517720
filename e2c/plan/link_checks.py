"""Rules of network.yaml that meet on the same hosts, and changes that those rules leave no room for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from e2c.config.network import Change, Network, Rule
from e2c.config.problems import Path, Problem
from e2c.config.scenario import Scenario
from e2c.model.link import LinkValues
from e2c.plan.selectors import Roster

MAX_PAIRS = 1_000_000
"""Pairs of hosts that all rules together are compared on; rules beyond are compared as wholes only."""

Ends = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class _Way:
    """One direction of a rule: the patterns that stand for its ends, and what it does."""

    place: int
    src: str
    dst: str
    values: LinkValues


def check_links(scenario: Scenario, roster: Roster, broken: Collection[str]) -> Iterator[Problem]:
    """Rules that say the same as an earlier one (warning) or something else (error); changes that cannot be made.

    Args:
        scenario: with its network.
        roster: the planned hosts.
        broken: patterns that cannot be read.
    """
    network = scenario.network
    if network is None:
        return
    yield from _useless(scenario, network)
    rules = network.networks or ()
    whole: dict[tuple[str, str], _Way] = {}
    pairs = _Pairs()
    spelling = _Spelling(roster)
    for place, rule in enumerate(rules):
        if rule.src in broken or rule.dst in broken:
            continue
        ways = _ways(rule, place, spelling)
        yield from _alone(scenario, roster, rule, place)
        if rule.back is not None and rule.back.values() != rule.values():
            yield from _overlapping(scenario, roster, rule, place)
        met = next(((whole[key], way) for way in ways if (key := (way.src, way.dst)) in whole), None)
        if met is None:
            met = pairs.meeting(ways, roster)
        if met is not None:
            yield _problem(scenario, *met)
        for way in ways:
            whole.setdefault((way.src, way.dst), way)
    yield from _changes(scenario, network.schedule, roster, broken, pairs)


def _ways(rule: Rule | Change, place: int, spelling: _Spelling) -> list[_Way]:
    src, dst, values = spelling[rule.src], spelling[rule.dst], rule.values()
    ways = [_Way(place, src, dst, values)]
    back = rule.back.values() if isinstance(rule, Rule) and rule.back is not None else None
    if back is not None or rule.symmetric:
        ways.append(_Way(place, dst, src, back or values))
    return ways


class _Spelling:
    """The first pattern that chose the same hosts as a pattern does."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.first_to_choose: dict[tuple[str, ...], str] = {}
        self.stands_for: dict[str, str] = {}

    def __getitem__(self, pattern: str) -> str:
        if pattern not in self.stands_for:
            self.stands_for[pattern] = self.first_to_choose.setdefault(self.roster.select(pattern), pattern)
        return self.stands_for[pattern]


class _Pairs:
    """The pairs of hosts that rules were seen on."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str], _Way] = {}
        self.left = MAX_PAIRS

    def meeting(self, ways: Sequence[_Way], roster: Roster) -> tuple[_Way, _Way] | None:
        """The earlier rule on a pair of hosts of this one, and the direction of this one that meets it."""
        found: tuple[_Way, _Way] | None = None
        for way in ways:
            for pair in self.of(way, roster):
                earlier = self.first.setdefault(pair, way)
                if earlier.place != way.place and found is None:
                    found = earlier, way
            if self.left < 0:
                return found
        return found

    def of(self, way: _Way, roster: Roster) -> Iterator[tuple[str, str]]:
        """The pairs of a direction, while not too many were looked at."""
        sources, destinations = roster.select(way.src), roster.select(way.dst)
        self.left -= len(sources) * len(destinations)
        if self.left >= 0:
            yield from (pair for pair in product(sources, destinations) if pair[0] != pair[1])


def _changes(
    scenario: Scenario, schedule: Sequence[Change], roster: Roster, broken: Collection[str], pairs: _Pairs
) -> Iterator[Problem]:
    """Follows the values of every pair through the schedule."""
    spelling = _Spelling(roster)
    now: dict[tuple[str, str], LinkValues] = {}
    for place, change in enumerate(schedule):
        if change.src in broken or change.dst in broken:
            continue
        told = False
        for way in _ways(change, place, spelling):
            for pair in pairs.of(way, roster):
                first = pairs.first.get(pair)
                before = now.get(pair) or (first.values if first else LinkValues())
                now[pair] = way.values.over(before)
                fault = now[pair].fault
                if fault is not None and before.fault is None and not told:
                    told = True
                    message = f"{fault[1]}, and the link from {pair[0]} to {pair[1]} has none at that time"
                    hint = "Give it in the change, or in the rule"
                    yield scenario.problem("network", ("schedule", place), "change-conflict", message, hint)


def _useless(scenario: Scenario, network: Network) -> Iterator[Problem]:
    layers = scenario.layers_services
    if network.provenance == "untouched" and layers is not None and layers.provenance is None:
        message = "the scenario has no provenance service whose traffic could be left untouched"
        yield scenario.problem(
            "network", ("provenance",), "untouched-nothing", message, "Remove it", severity="warning", key=True
        )


def _alone(scenario: Scenario, roster: Roster, rule: Rule, place: int) -> Iterator[Problem]:
    """A rule between a host and itself."""
    src, dst = roster.select(rule.src), roster.select(rule.dst)
    if src == dst and len(src) == 1:
        message = f"src and dst both choose {src[0]} alone, so the rule shapes nothing"
        path = ("networks", place, "dst")
        yield scenario.problem("network", path, "rule-empty", message, "A link has two ends", severity="warning")


def _overlapping(scenario: Scenario, roster: Roster, rule: Rule, place: int) -> Iterator[Problem]:
    """A rule with ``back`` between hosts that are on both sides."""
    both = sorted(set(roster.select(rule.src)) & set(roster.select(rule.dst)))
    if len(both) > 1:
        message = f"{both[0]} and {both[1]} are both in src and in dst, so each is the way there and the way back"
        hint = "Write back only between hosts of different sides"
        yield scenario.problem("network", ("networks", place, "back"), "rule-conflict", message, hint, key=True)


def _problem(scenario: Scenario, earlier: _Way, way: _Way) -> Problem:
    path: Path = ("networks", way.place)
    document = scenario.documents.get("network")
    line = document.position(("networks", earlier.place))[0] if document else earlier.place + 1
    if earlier.values == way.values:
        message = f"the rule says the same of some hosts as the one in line {line}"
        return scenario.problem("network", path, "rule-twice", message, "Remove one of them", severity="warning")
    message = f"the rule contradicts the one in line {line} for some hosts"
    return scenario.problem("network", path, "rule-conflict", message, "Keep one rule for each source and destination")
