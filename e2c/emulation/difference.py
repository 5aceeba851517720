"""What must be changed on an interface so that constraints hold there: pure, from its layout to commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from e2c.emulation import commands
from e2c.emulation.constraint import Constraint, Exemption
from e2c.emulation.readback import Filter, Layout, Shape


@dataclass(frozen=True)
class Difference:
    """Commands for one interface, and what they change.

    Attributes:
        lines: the commands; none where everything holds already.
        words: what each class and its netem are told, afterwards.
        added, changed: constraints that were not there, or otherwise.
        removed: addresses that are not shaped any more.
        anew: something else shaped the interface, which is replaced.
    """

    lines: list[str] = field(default_factory=list)
    words: dict[int, tuple[str, str]] = field(default_factory=dict)
    added: list[Constraint] = field(default_factory=list)
    changed: list[Constraint] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    anew: bool = False

    @property
    def script(self) -> str:
        """The commands, with the record of what holds afterwards."""
        return commands.text(self.lines, self.words)


def difference(device: str, there: Layout, asked: Sequence[Constraint], *, others_stay: bool = False) -> Difference:
    """What is to be told so that the constraints hold on an interface.

    Destinations that need no change are not touched: their packets under way stay under way.

    Args:
        device: the interface.
        there: how it is shaped.
        asked: the constraints, at most one for each destination.
        others_stay: destinations that they do not name are left as they are; else they are shaped no more.
    """
    if not there.ours:
        return Difference(
            lines=commands.layout(device, asked),
            words={number: words(constraint) for number, constraint in enumerate(asked, start=1)},
            added=list(asked),
            anew=not there.bare,
        )
    made = Difference(words=dict(there.record))
    numbers = {targets: number for number, targets in there.targets.items()}
    named = {target for constraint in asked for target in constraint.targets}
    places = [numbers.get(frozenset(constraint.targets)) for constraint in asked]
    taken = set(there.shapes)
    for number, targets in there.targets.items():
        if number not in places and not (others_stay and targets and targets.isdisjoint(named)):
            taken.remove(number)
            _remove(made, device, there, number)
    _stop_copying(made, device, there, asked)
    free = (number for number in count(1) if number not in taken)
    wanted = list(zip(asked, places, strict=True))
    for constraint, place in wanted:
        if place is not None:
            _change(made, device, there, place, constraint)
    for constraint, place in wanted:
        if place is None:
            number = next(free)
            made.lines.extend(commands.addition(device, number, constraint))
            made.words[number] = words(constraint)
            made.added.append(constraint)
    return made


def agrees(constraint: Constraint, shape: Shape) -> bool:
    """Whether what ``tc`` reports is what is asked.

    Equal but for the steps in which ``tc`` stores and prints: a microsecond and three digits of times, 2^-32 and six
    digits of shares, four digits of rates.
    """

    def near(asked: float | None, found: float, step: float) -> bool:
        return abs((asked or 0) - found) <= step + 0.01 * (asked or 0)

    return (
        (constraint.rate_kbit is None or near(constraint.rate_kbit, shape.rate_kbit, 0.5))
        and near(constraint.delay_ms, shape.delay_ms, 0.01)
        and near(constraint.jitter_ms, shape.jitter_ms, 0.01)
        and near(constraint.lost_percent, shape.loss_percent, 1e-4)
        and near(constraint.duplicate_percent, shape.duplicate_percent, 1e-4)
        and near(constraint.reorder_percent, shape.reorder_percent, 1e-4)
        and near(constraint.corrupt_percent, shape.corrupt_percent, 1e-4)
        and commands.limit(constraint) == shape.limit_packets
        and constraint.spread == shape.distribution
    )


def words(constraint: Constraint) -> tuple[str, str]:
    """What the class of a destination and the netem below it are told."""
    return commands.class_words(constraint), commands.netem_words(constraint)


def _remove(made: Difference, device: str, there: Layout, number: int) -> None:
    """A class goes once nothing leads to it, and its netem with it."""
    gone = {one.address for one in there.filters if one.number == number}
    made.lines.extend(_removal(device, one) for one in there.filters if one.address in gone)
    made.lines.append(f"class del dev {device} classid 1:{number:x}")
    made.words.pop(number, None)
    made.removed.extend(sorted(gone))


def _stop_copying(made: Difference, device: str, there: Layout, asked: Sequence[Constraint]) -> None:
    """Filters that send copies, of links that are asked for and duplicate nothing (any more)."""
    single = {target: one for one in asked for target in one.targets if not one.duplicate_percent}
    kept = {target for one in asked for target in one.targets} - single.keys()
    gone = [
        one
        for one in there.filters
        if one.copier is not None
        and one.address not in made.removed
        and (one.address in single or (one.address in kept and one.copier != commands.copier(device)))
    ]
    made.lines.extend(_removal(device, one) for one in gone)
    addresses = {one.address for one in gone}
    made.changed.extend(one for one in asked if not addresses.isdisjoint(one.targets))


def _change(made: Difference, device: str, there: Layout, number: int, constraint: Constraint) -> None:
    asked, told = words(constraint), there.record.get(number)
    shape = there.shapes[number].duplicating(constraint.duplicate_percent or 0)  # which is not up to this netem
    lines: list[str] = []
    if told != asked or not agrees(constraint, shape):
        lines.append(f"class change dev {device} parent 1: classid 1:{number:x} htb {asked[0]}")
        lines += _netem(device, number, constraint, there)
    for target in constraint.targets:
        exempt = {one.exempt: one for one in there.filters if one.address == target and one.exempt is not None}
        lines += [_removal(device, one) for traffic, one in exempt.items() if traffic not in constraint.exempt]
        missing: list[Exemption] = [traffic for traffic in constraint.exempt if traffic not in exempt]
        lines += [commands.exemption(device, target, traffic) for traffic in missing]
        if constraint.duplicate_percent and there.copied.get(target) != commands.copier(device):
            lines.append(commands.copy(device, target))
    if lines:
        made.lines.extend(lines)
        made.changed.append(constraint)
        made.words[number] = asked


def _netem(device: str, number: int, constraint: Constraint, there: Layout) -> list[str]:
    """A netem does not forget its table, so another distribution takes another netem."""

    def command(verb: str, leaf: int, words: str) -> str:
        return f"qdisc {verb} dev {device} parent 1:{number:x} handle {leaf:x}: netem {words}"

    before, after = there.leaves[number], commands.leaf(number, constraint)
    words = commands.netem_words(constraint, whole=True)
    return [command("change" if before == after else "replace", after, words)]


def _removal(device: str, one: Filter) -> str:
    return f"filter del dev {device} parent 1: protocol {one.protocol} pref {one.pref} handle {one.handle} u32"
