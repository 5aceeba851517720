"""Puts constraints on hosts, and makes sure that they are there; only what differs is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from e2c.emulation import commands
from e2c.emulation.constraint import Constraint, Direction, percent
from e2c.emulation.copying import copies, making, removing, with_copies
from e2c.emulation.difference import Difference, agrees, difference
from e2c.emulation.readback import Layout, Shape, layout
from e2c.errors import EmulationError, RemoteError
from e2c.model.host import Host
from e2c.remote import shell, traces

T = TypeVar("T")
Progress = Callable[[str], None]
Interface = tuple[str, str]
"""A host's key and the name of the interface there."""
Silent = dict[str, str]
"""Hosts that do not answer: by key, why."""

_LIMIT_S = 120.0
_SHOWN = 200  # characters of what one host said
_NEEDED = "Hosts need `tc` (package iproute2), the rights of root, and netem, htb and u32 in their kernel"
_FAILED_LINE = re.compile(r"Command failed -:(\d+)")
_SHAPING = "shaping links"


@dataclass(frozen=True)
class Changes:
    """What an application has sent.

    Attributes:
        added, changed, removed: directions of links that were not shaped before, or otherwise, or are no more.
        replaced: hosts with something else in the way, which was replaced.
    """

    added: tuple[Direction, ...] = ()
    changed: tuple[Direction, ...] = ()
    removed: tuple[Direction, ...] = ()
    replaced: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was sent."""
        return any((self.added, self.changed, self.removed, self.replaced))

    def __str__(self) -> str:
        numbers = {"added": self.added, "changed": self.changed, "removed": self.removed}
        words = [f"{len(directions)} {what}" for what, directions in numbers.items() if directions]
        if self.replaced:
            words.append(f"what else shaped {shell.some(self.replaced, ', ')} replaced")
        return ", ".join(words) or "nothing to change"


def apply(asked: Sequence[Constraint], hosts: Sequence[Host], progress: Progress) -> Changes:
    """Make the constraints, all and only these, hold on the hosts; may be called again, with others too.

    Hosts are asked how they are shaped, and told what differs: links that stay as they are lose no packet.

    Raises:
        EmulationError: ``tc`` refused, or a host has not what it was given.
        RemoteError: a host does not answer.
    """
    by_interface = _by_interface([*asked, *copies(asked)])
    sources = {key for key, _ in by_interface}
    if asked:
        progress(f"shaping what {len(sources)} of {len(hosts)} hosts send ({len(asked)} constraints)")
    everywhere = {(host.key, interface.device) for host in hosts for interface in host.interfaces}
    there = _look(everywhere | set(by_interface), hosts, needed=_by_interface(asked))
    idle = {key for (key, _), found in there.items() if key not in sources and not found.bare}
    reset([host for host in hosts if host.key in idle])
    changes = _make(asked, {key: found for key, found in there.items() if key[0] not in idle}, hosts, others_stay=False)
    gone = [
        (key, target)
        for (key, _), found in there.items()
        if key in idle
        for targets in found.targets.values()
        for target in sorted(targets)
    ]
    made = _summary(changes, hosts, gone, [key for (key, _), found in there.items() if key in idle and not found.ours])
    if asked or made:
        progress(f"links: {made}")
    return made


def look(
    asked: Sequence[Constraint], hosts: Sequence[Host], *, silent: Silent | None = None
) -> dict[Interface, Layout]:
    """How the interfaces are shaped that constraints concern, for a :func:`change` that is to take no time.

    Args:
        silent: takes the hosts that do not answer; without it they are an error.

    Raises:
        EmulationError: a host cannot tell.
        RemoteError: a host does not answer.
    """
    return _look(_by_interface([*asked, *copies(asked)]), hosts, needed=_by_interface(asked), silent=silent)


def change(
    asked: Sequence[Constraint],
    hosts: Sequence[Host],
    there: Mapping[Interface, Layout] | None = None,
    *,
    silent: Silent | None = None,
) -> Changes:
    """Make these constraints hold, and leave all other links as they are.

    Args:
        there: how the interfaces were shaped when they were looked at last, unless that is to be done now.
        silent: takes the hosts that do not answer, while all others are changed; without it they are an error.

    Raises:
        EmulationError: ``tc`` refused, or a host has not what it was given.
        RemoteError: a host does not answer.
    """
    known = look(asked, hosts, silent=silent) if there is None else there
    return _summary(_make(asked, known, hosts, others_stay=True, silent=silent), hosts, [], [])


def unanswered(silent: Silent, *, others: bool) -> RemoteError:
    """The error that some hosts were not changed, because they do not answer.

    Args:
        others: whether others were.
    """
    return RemoteError(
        f"links were not changed on {shell.some(list(silent), ', ')}",
        why=shell.some([f"{key}: {reason}" for key, reason in silent.items()], "; "),
        hint="What all others send is changed; give the command again when they answer" if others else None,
    )


def reset(hosts: Sequence[Host], *, silent: Silent | None = None) -> None:
    """Remove all shaping from the hosts' interfaces; a second time changes nothing.

    Args:
        silent: takes the hosts that do not answer; without it they are an error.

    Raises:
        EmulationError: a host's links are still shaped.
        RemoteError: a host does not answer.
    """
    scripts = {
        host: commands.removal(interface.device for interface in host.interfaces).encode()
        for host in hosts
        if host.interfaces
    }
    told = {}
    for host in scripts:
        devices = [interface.device for interface in host.interfaces]
        records = [_record(one) for device in devices for one in (device, commands.copier(device))]
        told[host] = f"rm -f {' '.join(records)}; {'; '.join(map(removing, devices))}; {commands.REMOVAL}"
    results = shell.run_each(told, stdin=scripts, timeout_s=_LIMIT_S)
    results = _answered(results, "removing the shaping of links", silent)
    left = {key: result for key, result in results.items() if result.rc > 1 or "qdisc netem" in result.stdout}
    _refuse({key: _words(result.stdout, "") for key, result in left.items()}, "removing the shaping of links", _NEEDED)


def read_back(
    asked: Sequence[Constraint], hosts: Sequence[Host], *, silent: Silent | None = None
) -> dict[tuple[str, str, str], Shape]:
    """What ``tc`` reports on every shaped interface: by host, device and destination address.

    Args:
        silent: takes the hosts that do not answer; without it they are an error.

    Raises:
        EmulationError: ``tc`` fails.
        RemoteError: a host does not answer.
    """
    by_interface = _by_interface([*asked, *copies(asked)])
    doing = "reading the shaping of links back"
    return with_copies(_look(by_interface, hosts, needed=_by_interface(asked), doing=doing, silent=silent))


def verify(asked: Sequence[Constraint], found: Mapping[tuple[str, str, str], Shape]) -> None:
    """Compare what is asked with what ``tc`` reports.

    Raises:
        EmulationError: they differ; names the first pair.
    """
    for constraint in asked:
        for target in constraint.targets:
            shape = found.get((constraint.source, constraint.device, target))
            if shape is None or not agrees(constraint, shape):
                raise EmulationError(
                    f"the link from {constraint.source} to {constraint.destination} is not shaped as asked",
                    where=f"{constraint.device} of {constraint.source}, to {target}",
                    why=f"asked {describe(constraint)}, tc says {shape.words if shape else 'that no netem is there'}",
                    hint="The kernel of that host may lack netem: try `tc qdisc add dev lo root netem delay 1ms` there",
                )


def describe(constraint: Constraint) -> str:
    """A constraint in a few words: ``delay 28ms loss 0.1% rate 1gbit``."""
    shares = {
        "reorder": constraint.reorder_percent,
        "duplicate": constraint.duplicate_percent,
        "corrupt": constraint.corrupt_percent,
    }
    words = ["down" if constraint.down else ""]
    words.append(f"delay {constraint.delay}" if constraint.delay_ms is not None else "")
    words += [f"jitter {constraint.jitter}" if constraint.jitter else "", constraint.spread or ""]
    words.append(f"loss {percent(constraint.loss_percent)}" if constraint.loss_percent else "")
    words += [f"{name} {percent(share)}" for name, share in shares.items() if share]
    words.append(f"rate {constraint.rate}" if constraint.rate_kbit is not None else "")
    words.append(f"limit {constraint.limit_packets}" if constraint.limit_packets is not None else "")
    return " ".join(word for word in words if word) or "nothing"


def _by_interface(asked: Sequence[Constraint]) -> dict[Interface, list[Constraint]]:
    found: dict[Interface, list[Constraint]] = {}
    for constraint in asked:
        found.setdefault((constraint.source, constraint.device), []).append(constraint)
    return found


def _make(
    asked: Sequence[Constraint],
    there: Mapping[Interface, Layout],
    hosts: Sequence[Host],
    *,
    others_stay: bool,
    silent: Silent | None = None,
) -> dict[Interface, Difference]:
    """Send what differs, and verify all."""
    by_interface = _by_interface([*asked, *copies(asked)])
    found = {
        (key, device): difference(device, there[key, device], own, others_stay=others_stay)
        for (key, device), own in by_interface.items()
        if (key, device) in there
    }
    scripts = {interface: made.script for interface, made in found.items() if made.lines}
    after = _run(scripts, hosts, silent)
    verify([one for one in asked if one.source not in (silent or ())], with_copies({**there, **after}))
    return {interface: made for interface, made in found.items() if interface in after}


def _summary(
    made: Mapping[Interface, Difference], hosts: Sequence[Host], gone: Sequence[Direction], others: Sequence[str]
) -> Changes:
    keys = {address: host.key for host in hosts for address in (host.addresses.v4, host.addresses.v6) if address}
    own = {interface: one for interface, one in made.items() if not interface[1].startswith(commands.COPIER)}
    removed = [*gone, *((key, target) for (key, _), one in own.items() for target in one.removed)]
    added = _unique((one.source, one.destination) for each in own.values() for one in each.added)
    # what a copier is told anew is a change of its link
    told = (one.changed if interface in own else (*one.changed, *one.added) for interface, one in made.items())
    return Changes(
        added=added,
        changed=_unique(ends for each in told for one in each if (ends := (one.source, one.destination)) not in added),
        removed=_unique((key, keys.get(target, target)) for key, target in removed),
        replaced=_unique([*(key for (key, _), one in own.items() if one.anew), *others]),
    )


def _unique(found: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(found))


def _look(
    interfaces: Iterable[Interface],
    hosts: Sequence[Host],
    *,
    needed: Collection[Interface],
    doing: str = _SHAPING,
    silent: Silent | None = None,
) -> dict[Interface, Layout]:
    """How interfaces are shaped. Those that are not needed may be on hosts that cannot tell: nothing shapes them."""
    scripts = {(key, device): commands.listing(device) for key, device in interfaces}

    def command(device: str) -> str:
        return f"cat {_record(device)} 2>/dev/null; {commands.BATCH}"

    return _told(scripts, command, hosts, doing, needed, silent)


def _run(scripts: Mapping[Interface, str], hosts: Sequence[Host], silent: Silent | None) -> dict[Interface, Layout]:
    """Run scripts, and tell how the interfaces are shaped then."""
    whole = {(key, device): script + commands.listing(device) for (key, device), script in scripts.items()}
    bases = {commands.copier(one.device): one.device for host in hosts for one in host.interfaces}
    return _told(whole, lambda device: _keeping(device, bases.get(device)), hosts, _SHAPING, set(scripts), silent)


def _told(
    scripts: Mapping[Interface, str],
    command: Callable[[str], str],
    hosts: Sequence[Host],
    doing: str,
    needed: Collection[Interface],
    silent: Silent | None,
) -> dict[Interface, Layout]:
    """Run scripts that end with a listing; hosts that have one interface, as most have, are asked all at once."""
    known = {host.key: host for host in hosts}
    found: dict[Interface, Layout] = {}
    # copiers come first: interfaces send copies there
    for device in sorted({device for _, device in scripts}, key=lambda one: (not one.startswith(commands.COPIER), one)):
        texts = {
            known[key]: text for (key, other), text in scripts.items() if other == device and key not in (silent or ())
        }
        inputs = {host: text.encode() for host, text in texts.items()}
        results = shell.run_each(dict.fromkeys(texts, command(device)), stdin=inputs, timeout_s=_LIMIT_S)
        results = _answered(results, doing, silent)
        said = {host.key: _words(results[host.key].stderr, text) for host, text in texts.items() if host.key in results}
        wrong = {key for key, result in results.items() if not result.ok}
        _refuse({key: said[key] for key in results if key in wrong and (key, device) in needed}, doing, _NEEDED)
        for key, result in results.items():
            found[key, device] = Layout(bare=True) if key in wrong else layout(result.stdout)
    return found


def _keeping(device: str, base: str | None = None) -> str:
    """Command that runs ``tc`` on what it is given and keeps the record of it; the host can undo it from then on.

    Args:
        base: the interface whose copies this one makes, if it does.
    """
    record = _record(device)
    first = f"{making(base)} || exit; " if base else ""
    undo = f"rm -f {record}; ! tc qdisc show dev {device} | grep -q '^qdisc htb 1: root' || "
    undo += f"{{ tc qdisc del dev {device} root && echo 'shaping of {device}'; }}"
    if base:
        undo += f"; ! ip link show {device} >/dev/null 2>&1 || ip link del {device}"
    return (
        f"{first}{traces.leave(f'links-{device}', undo)}; rm -f {record}; script=$(cat); "
        f"printf '%s\\n' \"$script\" | {commands.BATCH} || exit; "
        f"printf '%s\\n' \"$script\" | sed -n '/^{commands.RECORD}/p' >{record} && cat {record}"
    )


def _record(device: str) -> str:
    """Where a host keeps what an interface was told."""
    return f"{traces.HOME}/links-{device}"


def _answered(results: Mapping[str, shell.Result], doing: str, silent: Silent | None) -> dict[str, shell.Result]:
    """What hosts answered; those that did not are an error, or told to whoever asked."""
    missing = {key: result for key, result in results.items() if result.rc in (shell.SSH_FAILED, shell.TIMED_OUT)}
    if silent is None:
        shell.require(missing, doing)
    else:
        silent |= {key: shell.explain(result) for key, result in missing.items()}
    return {key: result for key, result in results.items() if key not in missing}


def _refuse(said: Mapping[str, str], doing: str, hint: str) -> None:
    if said:
        raise EmulationError(
            f"{doing} failed",
            why=shell.some([f"{key}: {words}" for key, words in said.items()], "; "),
            hint=hint,
        )


def _words(said: str, script: str) -> str:
    """What ``tc`` said, and which command of the script it said it of."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    own = dict.fromkeys(line for line in lines if not _FAILED_LINE.fullmatch(line))
    words = "; ".join(own)[:_SHOWN] or "tc failed without a word"
    failed = [int(found[1]) for line in lines if (found := _FAILED_LINE.fullmatch(line))]
    commanded = script.splitlines()[failed[0] - 1 :][:1] if failed else []
    return f"{words} (tc {commanded[0]})" if commanded else words
