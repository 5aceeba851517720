"""Puts constraints on hosts, one ssh each, and makes sure that they are there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from e2c.emulation import commands
from e2c.emulation.constraint import Constraint
from e2c.emulation.readback import Shape, shapes
from e2c.errors import EmulationError
from e2c.model.host import Host
from e2c.remote import shell, traces

Progress = Callable[[str], None]
Interface = tuple[str, str]
"""A host's key and the name of the interface there."""

_LIMIT_S = 120.0
_SHOWN = 200  # characters of what one host said
_NEEDED = "Hosts need `tc` (package iproute2), the rights of root, and netem, htb and u32 in their kernel"
_FAILED_LINE = re.compile(r"Command failed -:(\d+)")


def apply(asked: Sequence[Constraint], hosts: Sequence[Host], progress: Progress) -> None:
    """Make the constraints, all and only these, hold on the hosts; may be called again, with others too.

    Raises:
        EmulationError: ``tc`` refused, or a host has not what it was given.
        RemoteError: a host does not answer.
    """
    by_interface = _by_interface(asked)
    sources = {constraint.source for constraint in asked}
    reset([host for host in hosts if host.key not in sources])
    if not asked:
        return
    progress(f"shaping what {len(sources)} of {len(hosts)} hosts send ({len(asked)} constraints)")
    scripts = {
        (key, device): commands.script(device, own) + commands.listing(device)
        for (key, device), own in by_interface.items()
    }
    verify(asked, _told(scripts, hosts, "shaping links"))


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
    results = shell.run_each(dict.fromkeys(scripts, commands.REMOVAL), stdin=scripts, timeout_s=_LIMIT_S)
    _require_answers(results, "removing the shaping of links")
    left = {key: result for key, result in results.items() if result.rc > 1 or "qdisc netem" in result.stdout}
    _refuse({key: _words(result.stdout, "") for key, result in left.items()}, "removing the shaping of links", _NEEDED)


def read_back(asked: Sequence[Constraint], hosts: Sequence[Host]) -> dict[tuple[str, str, str], Shape]:
    """What ``tc`` reports on every shaped interface: by host, device and destination address.

    Raises:
        EmulationError: ``tc`` fails.
        RemoteError: a host does not answer.
    """
    scripts = {interface: commands.listing(interface[1]) for interface in _by_interface(asked)}
    return _told(scripts, hosts, "reading the shaping of links back")


def verify(asked: Sequence[Constraint], found: Mapping[tuple[str, str, str], Shape]) -> None:
    """Compare what is asked with what ``tc`` reports.

    Raises:
        EmulationError: they differ; names the first pair.
    """
    for constraint in asked:
        for target in constraint.targets:
            shape = found.get((constraint.source, constraint.device, target))
            if shape is None or not _agrees(constraint, shape):
                raise EmulationError(
                    f"the link from {constraint.source} to {constraint.destination} is not shaped as asked",
                    where=f"{constraint.device} of {constraint.source}, to {target}",
                    why=f"asked {describe(constraint)}, tc says {shape.words if shape else 'that no netem is there'}",
                    hint="The kernel of that host may lack netem: try `tc qdisc add dev lo root netem delay 1ms` there",
                )


def describe(constraint: Constraint) -> str:
    """A constraint in a few words: ``delay 28ms loss 0.1% rate 1gbit``."""
    words = [f"delay {constraint.delay}" if constraint.delay_ms is not None else ""]
    words.append(f"loss {constraint.loss}" if constraint.loss else "")
    words.append(f"rate {constraint.rate}" if constraint.rate_kbit is not None else "")
    return " ".join(word for word in words if word) or "nothing"


def _agrees(constraint: Constraint, shape: Shape) -> bool:
    """Equal but for the steps in which ``tc`` stores and prints: microseconds, 2^-32 of loss, four digits of rate."""

    def near(asked: float | None, found: float, step: float) -> bool:
        return abs((asked or 0) - found) <= step + 0.01 * (asked or 0)

    rate = constraint.rate_kbit is None or near(constraint.rate_kbit, shape.rate_kbit, 0.5)
    return (
        rate
        and near(constraint.delay_ms, shape.delay_ms, 0.01)
        and near(constraint.loss_percent, shape.loss_percent, 1e-4)
    )


def _by_interface(asked: Sequence[Constraint]) -> dict[Interface, list[Constraint]]:
    found: dict[Interface, list[Constraint]] = {}
    for constraint in asked:
        found.setdefault((constraint.source, constraint.device), []).append(constraint)
    return found


def _told(scripts: Mapping[Interface, str], hosts: Sequence[Host], doing: str) -> dict[tuple[str, str, str], Shape]:
    """Run scripts that end with a listing; hosts that have one interface, as most have, are asked all at once."""
    known = {host.key: host for host in hosts}
    found = {}
    for device in sorted({device for _, device in scripts}):
        texts = {known[key]: text for (key, other), text in scripts.items() if other == device}
        inputs = {host: text.encode() for host, text in texts.items()}
        results = shell.run_each(dict.fromkeys(texts, _batch(device)), stdin=inputs, timeout_s=_LIMIT_S)
        _require_answers(results, doing)
        said = {host.key: _words(results[host.key].stderr, text) for host, text in texts.items()}
        _refuse({key: words for key, words in said.items() if not results[key].ok}, doing, _NEEDED)
        for key, result in results.items():
            found.update({(key, device, target): shape for target, shape in shapes(result.stdout).items()})
    return found


def _batch(device: str) -> str:
    """Command that runs ``tc`` on what it is given; the host can undo what is shaped by itself from then on."""
    undo = f"! tc qdisc show dev {device} | grep -q '^qdisc htb 1: root' || "
    undo += f"{{ tc qdisc del dev {device} root && echo 'shaping of {device}'; }}"
    return f"{traces.leave(f'links-{device}', undo)}; {commands.BATCH}"


def _require_answers(results: Mapping[str, shell.Result], doing: str) -> None:
    shell.require({k: r for k, r in results.items() if r.rc in (shell.SSH_FAILED, shell.TIMED_OUT)}, doing)


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
    words = "; ".join(line for line in lines if not _FAILED_LINE.fullmatch(line))[:_SHOWN] or "tc failed without a word"
    failed = [int(found[1]) for line in lines if (found := _FAILED_LINE.fullmatch(line))]
    commanded = script.splitlines()[failed[0] - 1 :][:1] if failed else []
    return f"{words} (tc {commanded[0]})" if commanded else words
