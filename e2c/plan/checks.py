"""Checks that need the planned hosts: selectors, links that contradict each other, variables that collide."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from e2c.config.problems import Path, Problem, Severity, shown
from e2c.config.scenario import Scenario
from e2c.config.workflow import DependsOn
from e2c.plan.grouping import aggregate_name
from e2c.plan.link_checks import check_links
from e2c.plan.selectors import Roster, Selectable, SelectorError, Term, names, parse

NOT_DEPLOYED = ("monitoring", "monitoring_iotlab", "kwollect")
"""Sections of layers_services.yaml that nothing fulfils yet."""


def check(scenario: Scenario, roster: Roster) -> list[Problem]:
    """All problems of a scenario on its planned hosts."""
    problems: list[Problem] = []
    known: dict[str, list[tuple[str, str, str]]] = {}
    for name, path, pattern in patterns(scenario):
        if pattern not in known:
            known[pattern] = list(_faults(pattern, roster))
        for code, message, hint in known[pattern]:
            severity: Severity = "warning" if code == "selector-part-empty" else "error"
            problems.append(
                scenario.problem(name, path, code, f"{path[-1]} {shown(pattern)}: {message}", hint, severity=severity)
            )
    broken = {pattern for pattern, faults in known.items() if any(code == "selector-syntax" for code, _, _ in faults)}
    problems += check_links(scenario, roster, broken)
    problems += _not_deployed(scenario)
    for path, dependency in _dependencies(scenario):
        if dependency.service_selector not in broken and dependency.grouping == "aggregate":
            problems += _aggregate(scenario, path, dependency, roster)
    return problems


def _not_deployed(scenario: Scenario) -> Iterator[Problem]:
    for section in NOT_DEPLOYED:
        if getattr(scenario.layers_services, section, None) is not None:
            message = f"{section} is read and checked, but this version does not deploy it"
            hint = "The experiment runs without it"
            yield scenario.problem(
                "layers_services", (section,), "not-deployed", message, hint, severity="warning", key=True
            )


def patterns(scenario: Scenario) -> Iterator[tuple[str, Path, str]]:
    """Every selector of the scenario: file, path, pattern."""
    for index, rule in enumerate((scenario.network and scenario.network.networks) or ()):
        yield "network", ("networks", index, "src"), rule.src
        yield "network", ("networks", index, "dst"), rule.dst
    for index, play in enumerate(scenario.workflow.plays if scenario.workflow else ()):
        yield "workflow", (index, "hosts"), play.hosts
    for path, dependency in _dependencies(scenario):
        yield "workflow", (*path, "service_selector"), dependency.service_selector


def _dependencies(scenario: Scenario) -> Iterator[tuple[Path, DependsOn]]:
    for index, play in enumerate(scenario.workflow.plays if scenario.workflow else ()):
        for place, dependency in enumerate(play.depends_on):
            yield (index, "depends_on", place), dependency


def _faults(pattern: str, roster: Roster) -> Iterator[tuple[str, str, str]]:
    try:
        chosen, missed = roster.select(pattern), roster.unmatched(pattern)
    except SelectorError as error:
        yield "selector-syntax", error.what + (f": {error.why}" if error.why else ""), error.hint or ""
        return
    for term in missed:
        near = roster.proposal(term.text)
        layers = dict.fromkeys(host.layer for host in roster.hosts if host.layer)
        hint = f"Did you mean {near!r}?" if near else f"Layers: {', '.join(layers)}"
        yield "selector-part-empty" if chosen else "selector-empty", f"no host matches {shown(term.text)}", hint
    if not chosen and not missed:
        yield "selector-empty", "no host is left", "Exclude fewer, or choose more"
    for term in parse(pattern):
        right = _spelled(term, roster) if term not in missed else None
        if right:
            yield "selector-case", f"the scenario writes {right!r}, not {term.text!r}", f"Write {right!r}"


def _spelled(term: Term, roster: Roster) -> str | None:
    """How a term should be written that matches only because case is ignored; ``None`` when its spelling is right.

    Lower case is always right, because service keys are; so is the spelling of layers_services.yaml.
    """
    text = term.text
    if text.startswith("~") or text == text.lower():
        return None
    right = any(fnmatchcase(name, text) for host in roster.hosts for name in _spellings(host))
    return None if right else text.lower()


def _spellings(host: Selectable) -> Iterator[str]:
    yield from names(host)
    yield host.testbed.capitalize()
    if host.layer is not None:
        _, _, *tail = host.key.split(".")
        yield ".".join((host.layer, host.service, *tail))
        yield ".".join((host.layer.lower(), host.service, *tail))


def _aggregate(scenario: Scenario, path: Path, dependency: DependsOn, roster: Roster) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for key in roster.select(dependency.service_selector):
        variable = aggregate_name(dependency.prefix, key)
        if variable in seen:
            message = f"{seen[variable]} and {key} would both be the variable {shown(variable)}"
            yield scenario.problem(
                "workflow", (*path, "service_selector"), "aggregate-collision", message, "Choose hosts of one layer"
            )
            return
        seen[variable] = key
