"""Checks of network.yaml across keys: rules that do nothing or cannot be done, and the order of the schedule."""

from __future__ import annotations

from collections.abc import Iterator

from e2c.config.document import Document
from e2c.config.network import Change, Network, Rule, Values
from e2c.config.problems import Path, Problem, shown
from e2c.config.units import has_unit

_HINTS = {
    "jitter": "Add delay: 28ms",
    "reorder": "Add delay: 28ms",
    "distribution": "Add jitter: 2ms",
}


def check_network(network: Network, document: Document) -> Iterator[Problem]:
    """Problems of the rules and of the schedule, each judged by itself."""
    for place, rule in enumerate(network.networks or ()):
        yield from _rule(rule, document, ("networks", place))
    latest = 0.0
    for place, change in enumerate(network.schedule):
        path: Path = ("schedule", place)
        yield from _change(change, document, path)
        if change.at < latest:
            message = f"the change lies before the one above it, at {latest:g} s"
            yield document.problem(
                (*path, "at"), "schedule-order", message, "Write the changes in the order in which they happen"
            )
        latest = max(latest, change.at)


def _rule(rule: Rule, document: Document, path: Path) -> Iterator[Problem]:
    yield from _does_something(rule, document, path)
    yield from _values(rule, document, path)
    yield from _feasible(rule, document, path)
    if rule.back is not None:
        back = (*path, "back")
        if _names_nothing(rule.back):
            message = "back has no values, so nothing is shaped on the way back"
            yield document.problem(back, "rule-empty", message, "Add delay: 28ms", severity="warning")
        yield from _values(rule.back, document, back)
        yield from _feasible(rule.back, document, back)
        if rule.symmetric:
            message = "symmetric says that the way back is the same, and back that it is not"
            yield document.problem((*path, "symmetric"), "rule-both-ways", message, "Keep one of them", key=True)
    yield from _itself(rule, document, path)


def _change(change: Change, document: Document, path: Path) -> Iterator[Problem]:
    if _names_nothing(change):
        message = "the change names no value, so it changes nothing"
        yield document.problem(path, "change-empty", message, "Add down: true, or delay: 28ms")
    yield from _values(change, document, path)
    yield from _itself(change, document, path)


def _does_something(rule: Rule, document: Document, path: Path) -> Iterator[Problem]:
    missing = [key for key in ("delay", "rate") if getattr(rule, key) is None]
    if _names_nothing(rule):
        message = "the rule has no delay, rate or loss, so it does nothing"
        if rule.back is not None:
            message = "the rule has no values of its own, so nothing is shaped on the way there"
        yield document.problem(path, "rule-empty", message, "Add delay: 28ms", severity="warning")
    elif not rule.down:
        for key in missing:
            what = "does not delay" if key == "delay" else "does not limit the rate"
            hint = f"Add {key}: {'28ms' if key == 'delay' else '1gbit'}"
            message = f"the rule has no {key}, so it {what}"
            yield document.problem(path, "rule-incomplete", message, hint, severity="warning")


def _names_nothing(values: Values) -> bool:
    return all(value is None for value in values.values().named.values())


def _values(values: Values, document: Document, path: Path) -> Iterator[Problem]:
    """Quantities that may not be what was meant."""
    for key, unit, example in (
        ("delay", "milliseconds", "ms"),
        ("jitter", "milliseconds", "ms"),
        ("rate", "bit per second", "bit"),
    ):
        node = document.node((*path, key))
        if node is not None and not has_unit(node.text):
            hint = f'Write the unit: "{node.text.strip()}{example}"'
            message = f"{key} has no unit, so it is taken as {unit}"
            yield document.problem((*path, key), "unit-missing", message, hint, severity="warning")
    if values.jitter and values.delay and values.jitter > values.delay:
        message = "jitter is larger than the delay, so many packets are not delayed at all"
        yield document.problem(
            (*path, "jitter"), "jitter-large", message, "Write a smaller jitter or a larger delay", severity="warning"
        )


def _feasible(values: Values, document: Document, path: Path) -> Iterator[Problem]:
    fault = values.values().fault
    if fault is not None:
        key, message = fault
        yield document.problem((*path, key), "rule-impossible", message, _HINTS[key], key=True)


def _itself(rule: Rule | Change, document: Document, path: Path) -> Iterator[Problem]:
    if rule.src == rule.dst:
        what = "change changes" if isinstance(rule, Change) else "rule shapes"
        message = f"src and dst are both {shown(rule.src)}, so the {what} traffic inside it"
        yield document.problem((*path, "dst"), "rule-self", message, "Make sure that this is meant", severity="warning")
