"""The links of a deployed experiment: shaped as the plan says, measured, changed by hand, shown, set back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from e2c.config.assignments import read_change
from e2c.config.load import read_scenario
from e2c.emulation import apply, constraint, measure, showing
from e2c.emulation.constraint import Constraint
from e2c.emulation.exempt import exemptions
from e2c.errors import E2CError, StateError
from e2c.experiment import report
from e2c.experiment.changes import FOLDER as FOLDER
from e2c.experiment.changes import Ledger, confirmed, difference, words
from e2c.experiment.check import files
from e2c.experiment.events import Event, Observer
from e2c.experiment.experiment import Experiment, living, provider
from e2c.experiment.lock import locked
from e2c.experiment.log import attach
from e2c.model.link import PlannedChange, PlannedLink
from e2c.plan.build import build

PHASE = "emulate"
CHANGED = "changed since"
"""Verdict on a link that was changed after it was measured."""


def emulate(experiment: Experiment, *, rate: bool = False, verify: bool = True) -> None:
    """Shape the links of the plan, then measure them and compare.

    May be called again: only what differs is sent to the hosts, and changes by hand or by a schedule are undone.

    Args:
        rate: measure rates, too.
        verify: a link that is not as asked is an error, not only told.

    Raises:
        EmulationError: a link is not what was asked; the measurement is in ``network-validate/``.
    """
    with experiment.phase(PHASE) as changes:
        say = experiment.progress(PHASE)
        plan, hosts = experiment.plan, experiment.state.hosts
        asked = constraint.constraints(plan.links, hosts, exemptions(plan, hosts))
        if asked or plan.changes:
            changes["netem"] = _enable(experiment, say)
        _shape(experiment, asked, say)
        measured = measure.measure(asked, hosts, experiment.folder / FOLDER, say, rate=rate, verify=verify)
        changes["links"] = tuple(measured)


def tell_done(experiment: Experiment) -> None:
    """Tell that the links are shaped already, and whether they are still as the rules say."""
    experiment.progress(PHASE)("done already")
    made = [record for record in Ledger(experiment.folder).sum().made if record.kind == "set"]
    if made:
        changes = "a change by `network set` holds" if len(made) == 1 else f"{len(made)} changes by `network set` hold"
        text = f"{changes}; for links as in network.yaml: e2clab network {experiment.scenario}"
        experiment.observe(Event("warning", PHASE, text))


def _shape(experiment: Experiment, asked: Sequence[Constraint], say: Callable[[str], None]) -> None:
    ledger = Ledger(experiment.folder)
    if not asked and not ledger.records():
        apply.apply(asked, experiment.state.hosts, say)  # nothing was shaped before, so there is nothing to remember
        return
    with ledger.held():
        sent = time.time()
        apply.apply(asked, experiment.state.hosts, say)
        ledger.add(confirmed("applied", sent=sent, links=experiment.plan.links))


def _enable(experiment: Experiment, say: Callable[[str], None]) -> str | None:
    """Make ``tc ... netem`` work on the hosts. Returns how, as the last testbed says."""
    how = None
    for claim in experiment.state.claims:
        mine = [host for host in experiment.state.hosts if host.provider == claim.provider]
        how = provider(claim.provider).enable_netem(claim, mine, say)
    return how


def deployed(scenario: Path, observe: Observer) -> Experiment:
    """The deployed experiment as it is, whatever the files of the scenario say by now.

    Raises:
        StateError: nothing is deployed.
    """
    experiment = living(scenario, observe)
    attach(experiment)
    return experiment


def reset_links(experiment: Experiment) -> None:
    """Remove the shaping of all links; what ran over them has to run again.

    Raises:
        EmulationError: a host's links are still shaped.
        RemoteError: a host does not answer; all others shape nothing any more.
    """
    ledger = Ledger(experiment.folder)
    with ledger.held():
        sent, silent = time.time(), apply.Silent()
        apply.reset(experiment.state.hosts, silent=silent)
        ledger.add(confirmed("reset", sent=sent, missed=tuple(silent)))
    phases = tuple(record for record in experiment.state.phases if record.phase != PHASE)
    experiment.update(links=(), phases=phases)
    if silent:
        raise apply.unanswered(silent, others=len(silent) < len(experiment.state.hosts))
    experiment.progress("network")("no link is shaped any more")


def change(
    scenario: Path, src: str, dst: str, values: Sequence[str], *, symmetric: bool, observe: Observer
) -> dict[str, Any]:
    """Change links now; other values stay, and nothing is measured. Another command may be at work meanwhile.

    Args:
        src, dst: selectors.
        values: ``KEY=VALUE`` each, as :func:`e2c.config.assignments.read_change` takes them.
        symmetric: the way back, too.

    Returns:
        The record of the change, with how many ``pairs`` of hosts it concerns and which ``words`` say it.

    Raises:
        ScenarioError: a value is wrong.
        StateError: there are no hosts, or a selector chooses none.
        EmulationError: the values do not go together, or a host refuses them.
        RemoteError: a host does not answer; what all others send is changed.
    """
    asked = read_change(src, dst, values, symmetric=symmetric)
    experiment = report.reachable(scenario)
    attach(experiment)
    sources, destinations = (_keys(experiment, selector) for selector in (src, dst))
    made = PlannedChange(
        at_s=0,
        src=src,
        dst=dst,
        sources=sources,
        destinations=destinations,
        symmetric=symmetric,
        reason="network set",
        **asked.values().named,
    )
    if len({*sources, *destinations}) < 2:
        raise StateError(
            f"{src} and {dst} both choose {sources[0]} alone", where=str(scenario), hint="A link has two ends"
        )
    if experiment.state.netem is None:
        _prepare(scenario, observe)
    hosts = experiment.state.hosts
    exempt = exemptions(experiment.plan, hosts)
    ledger = Ledger(experiment.folder)
    with ledger.held():
        before = ledger.sum().constraints(hosts, exempt)
        # also what was asked before: a host may have missed it
        new = constraint.concerned(constraint.changed(before, made, hosts, exempt), made)
        sent, silent = time.time(), apply.Silent()
        apply.change(new, hosts, silent=silent)
        reached = [one for one in new if one.source not in silent]
        record = confirmed("set", sent=sent, change=made, missed=tuple(silent))
        if reached:
            ledger.add(record)
    if silent:
        raise apply.unanswered(silent, others=bool(reached))
    pairs = len({(one.source, one.destination) for one in difference(before, new)})
    text = f"{src} to {dst}: {words(made)} ({pairs} {'pair' if pairs == 1 else 'pairs'} of hosts)"
    experiment.observe(Event("step", "network", text, seconds=time.time() - sent))
    return {**record.model_dump(mode="json", exclude_defaults=True), "words": words(made), "pairs": pairs}


def _keys(experiment: Experiment, selector: str) -> tuple[str, ...]:
    hosts, boards = report.choose(experiment, selector)
    if boards:
        raise StateError(
            f"selector {selector!r} chooses {boards[0].key}, which is a board",
            where=str(experiment.scenario),
            why="links of boards cannot be shaped",
        )
    return tuple(host.key for host in hosts)


def _prepare(scenario: Path, observe: Observer) -> None:
    """Make netem work where no rule has asked for it yet; no other command may be at work then.

    Raises:
        BusyError: one is.
    """
    with locked(scenario):
        experiment = deployed(scenario, observe)
        experiment.update(netem=_enable(experiment, experiment.progress(PHASE)))


def shown(scenario: Path) -> dict[str, Any]:
    """What is asked of links, what ``tc`` says now and what was measured last; nothing is changed.

    Returns:
        JSON values with keys ``folder``; ``applied``: when the rules were; ``edited``: network.yaml says something else
        by now; ``playing``: the run whose schedule is being played, or was cut off; ``links``: rows of
        :func:`e2c.emulation.showing.show`, what is asked with all changes in it; and ``changes`` made since the rules
        were applied, by hand or by that schedule; ``silent``: hosts that do not answer, and why.

    Raises:
        StateError: there are no hosts.
    """
    experiment = report.reachable(scenario)
    hosts, exempt = experiment.state.hosts, exemptions(experiment.plan, experiment.state.hosts)
    found = Ledger(experiment.folder).sum()
    asked = found.constraints(hosts, exempt)
    silent = apply.Silent()
    told = apply.read_back(asked, hosts, silent=silent)
    rows = showing.show(asked, told, experiment.state.links, silent)
    changed = difference(constraint.constraints(found.links, hosts, exempt), asked)
    ends = {frozenset((one.source, one.destination)) for one in changed}
    for row in rows:
        if frozenset((row["from"], row["to"])) in ends:  # the measurement was of what it was before
            row.update(measured="", verdict=CHANGED)
    return {
        "folder": str(experiment.folder / FOLDER),
        "applied": found.applied or None,
        "edited": bool(found.applied) and _edited(experiment, found.links),
        "playing": found.playing,
        "silent": silent,
        "links": rows,
        "changes": [
            {"at": one.at, "by": one.kind, "src": one.change.src, "dst": one.change.dst, "words": words(one.change)}
            | {"symmetric": one.change.symmetric}
            for one in found.made
            if one.change is not None
        ],
    }


def _edited(experiment: Experiment, applied: Sequence[PlannedLink]) -> bool:
    """Whether network.yaml gives other rules by now; not while it is wrong."""
    flows = experiment.plan.provenance.dataflows if experiment.plan.provenance else ()
    need = files(experiment.scenario, "network")
    try:
        plan = build(
            read_scenario(experiment.scenario, None, need=need), testbed=experiment.state.testbed, dataflows=flows
        )
    except E2CError:
        return False
    return plan.links != tuple(applied)
