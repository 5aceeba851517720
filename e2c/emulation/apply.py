"""Puts constraints on hosts, and makes sure that they are there; only what differs is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from e2c.emulation import commands
from e2c.emulation.constraint import Constraint, Direction, percent
from e2c.emulation.difference import Difference, agrees, difference
from e2c.emulation.readback import Layout, Shape, layout
from e2c.errors import EmulationError
from e2c.model.host import Host
from e2c.remote import shell, traces

T = TypeVar("T")
Progress = Callable[[str], None]
Interface = tuple[str, str]
"""A host's key and the name of the interface there."""

_LIMIT_S = 120.0
_SHOWN = 200  # characters of what one host said
_NEEDED = "Hosts need `tc` (package iproute2), the rights of root, and netem, htb and u32 in their kernel"
_FAILED_LINE = re.compile(r"Command failed -:(\d+)")
_SHAPING = "shaping links"
_MIXED = "cannot mix duplicating netems"


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
    by_interface = _by_interface(asked)
    sources = {key for key, _ in by_interface}
    if asked:
        progress(f"shaping what {len(sources)} of {len(hosts)} hosts send ({len(asked)} constraints)")
    everywhere = {(host.key, interface.device) for host in hosts for interface in host.interfaces}
    there = _look(everywhere | set(by_interface), hosts, needed=by_interface)
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


def look(asked: Sequence[Constraint], hosts: Sequence[Host]) -> dict[Interface, Layout]:
    """How the interfaces are shaped that constraints concern, for a :func:`change` that is to take no time.

    Raises:
        EmulationError: a host cannot tell.
        RemoteError: a host does not answer.
    """
    by_interface = _by_interface(asked)
    return _look(list(by_interface), hosts, needed=set(by_interface))


def change(
    asked: Sequence[Constraint], hosts: Sequence[Host], there: Mapping[Interface, Layout] | None = None
) -> Changes:
    """Make these constraints hold, and leave all other links as they are.

    Args:
        there: how the interfaces were shaped when they were looked at last, unless that is to be done now.

    Raises:
        EmulationError: ``tc`` refused, or a host has not what it was given.
        RemoteError: a host does not answer.
    """
    known = look(asked, hosts) if there is None else there
    return _summary(_make(asked, known, hosts, others_stay=True), hosts, [], [])


def reset(hosts: Sequence[Host]) -> None:
    """Remove all shaping from the hosts' interfaces; a second time changes nothing.

    Raises:
        EmulationError: a host's links are still shaped.
        RemoteError: a host does not answer.
    """
    scripts = {
        host: commands.removal(interface.device for interface in host.interfaces).encode()
        for host in hosts
        if host.interfaces
    }
    told = {
        host: f"rm -f {' '.join(_record(interface.device) for interface in host.interfaces)}; {commands.REMOVAL}"
        for host in scripts
    }
    results = shell.run_each(told, stdin=scripts, timeout_s=_LIMIT_S)
    _require_answers(results, "removing the shaping of links")
    left = {key: result for key, result in results.items() if result.rc > 1 or "qdisc netem" in result.stdout}
    _refuse({key: _words(result.stdout, "") for key, result in left.items()}, "removing the shaping of links", _NEEDED)


def read_back(asked: Sequence[Constraint], hosts: Sequence[Host]) -> dict[tuple[str, str, str], Shape]:
    """What ``tc`` reports on every shaped interface: by host, device and destination address.

    Raises:
        EmulationError: ``tc`` fails.
        RemoteError: a host does not answer.
    """
    by_interface = _by_interface(asked)
    return _shapes(_look(by_interface, hosts, needed=set(by_interface), doing="reading the shaping of links back"))


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
    asked: Sequence[Constraint], there: Mapping[Interface, Layout], hosts: Sequence[Host], *, others_stay: bool
) -> dict[Interface, Difference]:
    """Send what differs, and verify all."""
    by_interface = _by_interface(asked)
    found = {
        (key, device): difference(device, there[key, device], own, others_stay=others_stay)
        for (key, device), own in by_interface.items()
    }
    scripts = {interface: made.script for interface, made in found.items() if made.lines}
    after = _run(scripts, hosts)
    verify(asked, _shapes({**there, **after}))
    return {interface: made for interface, made in found.items() if made.lines}


def _summary(
    made: Mapping[Interface, Difference], hosts: Sequence[Host], gone: Sequence[Direction], others: Sequence[str]
) -> Changes:
    keys = {address: host.key for host in hosts for address in (host.addresses.v4, host.addresses.v6) if address}
    removed = [*gone, *((key, target) for (key, _), one in made.items() for target in one.removed)]
    return Changes(
        added=_unique((one.source, one.destination) for each in made.values() for one in each.added),
        changed=_unique((one.source, one.destination) for each in made.values() for one in each.changed),
        removed=_unique((key, keys.get(target, target)) for key, target in removed),
        replaced=_unique([*(key for (key, _), one in made.items() if one.anew), *others]),
    )


def _unique(found: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(found))


def _shapes(there: Mapping[Interface, Layout]) -> dict[tuple[str, str, str], Shape]:
    return {
        (*interface, one.address): found.shapes[one.number]
        for interface, found in there.items()
        for one in found.filters
        if one.number is not None and one.number in found.shapes
    }


def _look(
    interfaces: Iterable[Interface], hosts: Sequence[Host], *, needed: Collection[Interface], doing: str = _SHAPING
) -> dict[Interface, Layout]:
    """How interfaces are shaped. Those that are not needed may be on hosts that cannot tell: nothing shapes them."""
    scripts = {(key, device): commands.listing(device) for key, device in interfaces}
    return _told(scripts, lambda device: f"cat {_record(device)} 2>/dev/null; {commands.BATCH}", hosts, doing, needed)


def _run(scripts: Mapping[Interface, str], hosts: Sequence[Host]) -> dict[Interface, Layout]:
    """Run scripts, and tell how the interfaces are shaped then."""
    whole = {(key, device): script + commands.listing(device) for (key, device), script in scripts.items()}
    return _told(whole, _keeping, hosts, _SHAPING, set(scripts))


def _told(
    scripts: Mapping[Interface, str],
    command: Callable[[str], str],
    hosts: Sequence[Host],
    doing: str,
    needed: Collection[Interface],
) -> dict[Interface, Layout]:
    """Run scripts that end with a listing; hosts that have one interface, as most have, are asked all at once."""
    known = {host.key: host for host in hosts}
    found: dict[Interface, Layout] = {}
    for device in sorted({device for _, device in scripts}):
        texts = {known[key]: text for (key, other), text in scripts.items() if other == device}
        inputs = {host: text.encode() for host, text in texts.items()}
        results = shell.run_each(dict.fromkeys(texts, command(device)), stdin=inputs, timeout_s=_LIMIT_S)
        _require_answers(results, doing)
        said = {host.key: _words(results[host.key].stderr, text) for host, text in texts.items()}
        wrong = {key for key, result in results.items() if not result.ok}
        _refuse({key: said[key] for key in results if key in wrong and (key, device) in needed}, doing, _NEEDED)
        for key, result in results.items():
            found[key, device] = Layout(bare=True) if key in wrong else layout(result.stdout)
    return found


def _keeping(device: str) -> str:
    """Command that runs ``tc`` on what it is given and keeps the record of it; the host can undo it from then on."""
    record = _record(device)
    undo = f"rm -f {record}; ! tc qdisc show dev {device} | grep -q '^qdisc htb 1: root' || "
    undo += f"{{ tc qdisc del dev {device} root && echo 'shaping of {device}'; }}"
    return (
        f"{traces.leave(f'links-{device}', undo)}; rm -f {record}; script=$(cat); "
        f"printf '%s\\n' \"$script\" | {commands.BATCH} || exit; "
        f"printf '%s\\n' \"$script\" | sed -n '/^{commands.RECORD}/p' >{record} && cat {record}"
    )


def _record(device: str) -> str:
    """Where a host keeps what an interface was told."""
    return f"{traces.HOME}/links-{device}"


def _require_answers(results: Mapping[str, shell.Result], doing: str) -> None:
    shell.require({k: r for k, r in results.items() if r.rc in (shell.SSH_FAILED, shell.TIMED_OUT)}, doing)


def _refuse(said: Mapping[str, str], doing: str, hint: str) -> None:
    if any(_MIXED in words for words in said.values()):
        hint = "Newer kernels duplicate packets only on hosts with no other shaped link: leave the others away there"
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
