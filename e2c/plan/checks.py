"""Checks that need the planned hosts: selectors, links that contradict each other, variables that collide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase

from e2c.config.problems import MAX_PROBLEMS, Path, Problem, Severity, bounded, shown
from e2c.config.scenario import Scenario
from e2c.config.workflow import DependsOn
from e2c.plan.boards import check_boards
from e2c.plan.grouping import aggregate_name
from e2c.plan.link_checks import check_links
from e2c.plan.selectors import Roster, Selectable, SelectorError, Term, names, parse

MAX_CHOSEN = 5_000_000
"""Hosts that all selectors together may choose, each host counted as often as it is chosen."""
MAX_SPELLED = 100
"""Hosts of a term of which one must be spelled as the term is."""
NOT_DEPLOYED = ("kwollect",)
"""Sections of layers_services.yaml that nothing fulfils yet."""
MONITORED_BY = "dstat"


def check(scenario: Scenario, roster: Roster) -> list[Problem]:
    """All problems of a scenario on its planned hosts."""
    broken: set[str] = set()
    problems = bounded(_selectors(scenario, roster, broken))
    complete = len(problems) <= MAX_PROBLEMS and not any(problem.code == "plan-too-large" for problem in problems)
    problems += _not_deployed(scenario, roster)
    if complete:  # else some patterns were not even read
        problems += bounded(check_links(scenario, roster, broken))
        problems += bounded(_aggregates(scenario, roster, broken))
        whole = [entry for entry in patterns(scenario) if entry[2] not in broken]
        problems += bounded(check_boards(scenario, roster, whole))
    return problems


def _selectors(scenario: Scenario, roster: Roster, broken: set[str]) -> Iterator[Problem]:
    """Problems of all patterns; ``broken`` receives those that cannot be read."""
    known: dict[str, list[tuple[str, str, str]]] = {}
    chosen = 0
    for name, path, pattern in patterns(scenario):
        if pattern not in known:
            known[pattern] = list(_faults(pattern, roster))
            broken |= {pattern} if any(code == "selector-syntax" for code, _, _ in known[pattern]) else set()
        for code, message, hint in known[pattern]:
            severity: Severity = "warning" if code == "selector-part-empty" else "error"
            message = f"{path[-1]} {shown(pattern)}: {message}"
            yield scenario.problem(name, path, code, message, hint, severity=severity)
        chosen += 0 if pattern in broken else len(roster.select(pattern))
        if chosen > MAX_CHOSEN:
            message = f"the selectors up to here choose more than {MAX_CHOSEN} hosts"
            yield scenario.problem(name, path, "plan-too-large", message, "Write fewer of them, or take fewer hosts")
            return


def _not_deployed(scenario: Scenario, roster: Roster) -> Iterator[Problem]:
    monitoring = scenario.layers_services.monitoring if scenario.layers_services else None
    if monitoring is not None and monitoring.type != MONITORED_BY:
        message = f"monitoring of type {monitoring.type} is not provided by this version: it deploys no Grafana"
        hint = (
            f"Write type: {MONITORED_BY}, which samples CPU, memory, disk and network; finalize fetches the samples "
            "as CSV, and with provenance they are in the database beside the tasks"
        )
        yield scenario.problem("layers_services", ("monitoring", "type"), "not-deployed", message, hint)
    if any(_lacks_network(host) for host in roster.hosts):
        message = "a rehearsal has no private network for monitoring"
        hint = "_self.__monitoring_address__ is empty in it"
        path = ("monitoring", "network")
        yield scenario.problem("layers_services", path, "not-deployed", message, hint, severity="warning", key=True)
    for section in NOT_DEPLOYED:
        if getattr(scenario.layers_services, section, None) is not None:
            message = f"{section} is read and checked, but this version does not deploy it"
            hint = "The experiment runs without it"
            yield scenario.problem(
                "layers_services", (section,), "not-deployed", message, hint, severity="warning", key=True
            )


def _lacks_network(host: Selectable) -> bool:
    rehearsed = getattr(host, "provider", host.testbed) != host.testbed
    return rehearsed and "monitoring_network" in getattr(host, "request", {})


def patterns(scenario: Scenario) -> Iterator[tuple[str, Path, str]]:
    """Every selector of the scenario: file, path, pattern."""
    for index, rule in enumerate((scenario.network and scenario.network.networks) or ()):
        yield "network", ("networks", index, "src"), rule.src
        yield "network", ("networks", index, "dst"), rule.dst
    for index, change in enumerate(scenario.network.schedule if scenario.network else ()):
        yield "network", ("schedule", index, "src"), change.src
        yield "network", ("schedule", index, "dst"), change.dst
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
        hint = f"Did you mean '{near}{_subscript(term)}'?" if near else f"Layers: {', '.join(roster.layers)}"
        if "{{" in term.text:
            hint = "Selectors are not templates; write the hosts themselves"
        yield "selector-part-empty" if chosen else "selector-empty", f"no host matches {shown(term.text)}", hint
    if not chosen and not missed:
        yield "selector-empty", "no host is left", "Exclude fewer, or choose more"
    for term in parse(pattern):
        right = _spelled(term, roster) if term not in missed else None
        if right:
            yield "selector-case", f"the scenario writes {right!r}, not {term.text!r}", f"Write {right!r}"


def _subscript(term: Term) -> str:
    if term.first is None:
        return ""
    end = "" if term.last is None else ":" if term.last == -1 else f":{term.last}"
    return f"[{term.first}{end}]"


def _spelled(term: Term, roster: Roster) -> str | None:
    """How a term should be written that matches only because case is ignored; ``None`` when its spelling is right.

    Lower case is always right, because service keys are; so is the spelling of layers_services.yaml.
    """
    text = term.text
    if text.startswith("~") or text == text.lower():
        return None
    right = any(fnmatchcase(name, text) for host in roster.matching(term)[:MAX_SPELLED] for name in _spellings(host))
    return None if right else text.lower()


def _spellings(host: Selectable) -> Iterator[str]:
    yield from names(host)
    yield host.testbed.capitalize()
    if host.layer is not None:
        _, _, *tail = host.key.split(".")
        yield ".".join((host.layer, host.service, *tail))
        yield ".".join((host.layer.lower(), host.service, *tail))


def _aggregates(scenario: Scenario, roster: Roster, broken: Collection[str]) -> Iterator[Problem]:
    known: dict[str, tuple[str, str] | None] = {}
    for path, dependency in _dependencies(scenario):
        pattern = dependency.service_selector
        if pattern in broken or dependency.grouping != "aggregate":
            continue
        if pattern not in known:
            known[pattern] = _collision(roster.select(pattern))
        found = known[pattern]
        if found:
            variable = shown(aggregate_name(dependency.prefix, found[0]))
            message = f"{found[0]} and {found[1]} would both be the variable {variable}"
            yield scenario.problem(
                "workflow", (*path, "service_selector"), "aggregate-collision", message, "Choose hosts of one layer"
            )


def _collision(keys: Iterable[str]) -> tuple[str, str] | None:
    """The first two service keys that ``aggregate`` would give one name."""
    seen: dict[str, str] = {}
    for key in keys:
        first = seen.setdefault(aggregate_name("", key), key)
        if first != key:
            return first, key
    return None
