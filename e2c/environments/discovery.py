"""What acquired machines are: waits until they answer to ssh, then asks each for its name, addresses and Python."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from e2c.environments import limits
from e2c.environments.base import Progress
from e2c.errors import TestbedError
from e2c.model.frozen import Frozen
from e2c.model.host import Addresses, Host, Interface
from e2c.remote import shell
from e2c.remote.unreachable import reason

AT_ONCE = 100
ATTEMPT_S = 30.0
PAUSE_S = 2.0
SCRIPT = """\
echo "hostname $(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)"
echo "connection $SSH_CONNECTION"
echo "uid $(id -u)"
for python in /usr/bin/python3 /usr/local/bin/python3 "$(command -v python3)"; do
  [ -x "$python" ] && { echo "python $python"; break; }
done
PATH=$PATH:/usr/sbin:/sbin
ip -o addr show | sed 's/^/address /'
ip -4 route show default | sed 's/^/route4 /'
ip -6 route show default | sed 's/^/route6 /'
"""
# One line per address, not JSON: busybox and older iproute2 speak it too.


class Survey(Frozen):
    """What was found of machines.

    Attributes:
        hosts: those that answer, filled in, in the order asked.
        missing: why each other does not answer, by service key.
        users: numeric user id that ssh logs in as, by service key of those that answer.
    """

    hosts: tuple[Host, ...] = ()
    missing: dict[str, str] = {}
    users: dict[str, int] = {}


class SilentError(TestbedError):
    """Machines do not answer to ssh; ``missing`` has the reason for each, by service key."""

    def __init__(self, what: str, missing: Mapping[str, str], *, why: str, hint: str) -> None:
        super().__init__(what, why=why, hint=hint)
        self.missing = dict(missing)


def discover(hosts: Sequence[Host], limit_s: float, waiting: Progress = lambda _: None) -> tuple[Host, ...]:
    """Wait until all machines answer to ssh and give them back filled in, in the same order.

    Args:
        hosts: how to log in; ``hostname``, ``addresses``, ``interfaces`` and ``interpreter`` are replaced by what the
            machine says (``interpreter`` stays where it has no Python), and the addresses of ``monitoring``, whose
            device is never taken for one of the experiment's.
        limit_s: seconds in which all must answer.
        waiting: receives who is missing, again and again.

    Raises:
        SilentError: one or more do not answer; says why for each.
    """
    found = survey(hosts, limit_s, waiting)
    if found.missing:
        raise SilentError(
            f"{len(found.missing)} of {len(hosts)} machines do not answer to ssh within {limit_s:g} s",
            found.missing,
            why=told(hosts, found.missing),
            hint=limits.advice("ssh_timeout"),
        )
    return found.hosts


def survey(hosts: Sequence[Host], limit_s: float, waiting: Progress = lambda _: None) -> Survey:
    """As :func:`discover`, but gives those that do not answer as values. Each is asked at least once."""
    deadline = time.monotonic() + limit_s
    answers: dict[str, shell.Result] = {}
    missing = list(hosts)
    while missing:
        left = deadline - time.monotonic()
        asked = _ask(missing, min(ATTEMPT_S, max(left, shell.CONNECT_TIMEOUT_S)))
        answers |= asked
        missing = [host for host in missing if not asked[host.key].ok]
        if missing:
            waiting(f"{len(hosts) - len(missing)} of {len(hosts)} machines answer to ssh; {_reasons(missing, answers)}")
        pause = min(PAUSE_S, deadline - time.monotonic())
        if not missing or pause <= 0:
            break
        time.sleep(pause)
    return Survey(
        hosts=tuple(_filled(host, answers[host.key].stdout) for host in hosts if answers[host.key].ok),
        missing={host.key: reason(host, answers[host.key]) for host in missing},
        users={host.key: _user(answers[host.key].stdout) for host in hosts if answers[host.key].ok},
    )


def told(hosts: Sequence[Host], missing: Mapping[str, str]) -> str:
    """Who does not answer and why: machines by address, those with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for host in hosts:
        if host.key in missing:
            by_reason.setdefault(missing[host.key], []).append(host.address)
    return "; ".join(f"{shell.some(addresses, ', ')}: {why}" for why, addresses in by_reason.items())


def _reasons(missing: Sequence[Host], answers: Mapping[str, shell.Result]) -> str:
    return told(missing, {host.key: reason(host, answers[host.key]) for host in missing})


def _ask(hosts: Sequence[Host], limit_s: float) -> dict[str, shell.Result]:
    shell.open_jumps(hosts)
    with ThreadPoolExecutor(min(AT_ONCE, len(hosts)), thread_name_prefix="ssh") as pool:
        answers = pool.map(lambda host: shell.run(host, "sh -s", stdin=SCRIPT.encode(), timeout_s=limit_s), hosts)
        return {host.key: answer for host, answer in zip(hosts, answers, strict=True)}


def _lines(text: str, word: str) -> list[list[str]]:
    return [line.split()[1:] for line in text.splitlines() if line.startswith(f"{word} ")]


def _user(text: str) -> int:
    return next((int(words[0]) for words in _lines(text, "uid") if words), -1)


def _filled(host: Host, text: str) -> Host:
    everything = _addresses(text)
    apart = host.monitoring
    found = {device: addresses for device, addresses in everything.items() if apart is None or device != apart.device}
    reached = next((words[2] for words in _lines(text, "connection") if len(words) == 4), "")
    reached = reached.partition("%")[0].removeprefix("::ffff:")
    main, main6 = _main(found, reached, text)
    v4 = [address for address in found.get(main, []) if ":" not in address]
    v6 = [address for address in found.get(main6, []) if ":" in address]
    devices = [device for device in dict.fromkeys((main, main6)) if found.get(device)]
    return host.model_copy(
        update={
            "hostname": next((words[0] for words in _lines(text, "hostname") if words), host.address),
            "addresses": Addresses(v4=_chosen(v4, reached), v6=_chosen(v6, reached)),
            "interfaces": tuple(Interface(device=device, addresses=tuple(found[device])) for device in devices),
            "monitoring": apart and Interface(device=apart.device, addresses=tuple(everything.get(apart.device, ()))),
            "interpreter": next((words[0] for words in _lines(text, "python") if words), host.interpreter),
        }
    )


def _addresses(text: str) -> dict[str, list[str]]:
    """Addresses with prefix length by device, IPv4 first: global ones that last."""
    found: dict[str, list[str]] = {}
    for words in _lines(text, "address"):
        device, family, *rest = [word.rstrip(":") if place == 1 else word for place, word in enumerate(words)][1:]
        if family not in ("inet", "inet6") or device == "lo" or "global" not in rest:
            continue
        if {"temporary", "deprecated", "dadfailed"} & set(rest):
            continue
        address = rest[0]
        if "peer" in rest[:2]:  # point to point: `10.0.0.1 peer 10.0.0.2/32`
            address = f"{address.partition('/')[0]}/{rest[2].rpartition('/')[2]}"
        found.setdefault(device.partition("@")[0], []).append(address)
    return {device: sorted(addresses, key=lambda address: ":" in address) for device, addresses in found.items()}


def _main(found: Mapping[str, list[str]], reached: str, text: str) -> tuple[str, str]:
    """The interface that carries the experiment: where ssh arrives, else the default route; and that of IPv6.

    Where ssh arrives goes first: a machine behind address translation (Vagrant's ``10.0.2.15``) has its default route
    on an interface that no other machine can reach.
    """
    plain = {address.partition("/")[0]: device for device, addresses in found.items() for address in addresses}
    routes = [_route(text, word) for word in ("route4", "route6")]
    candidates = [plain.get(reached, ""), *routes, *found]
    main = next((device for device in candidates if device in found), "")
    with_v6 = [device for device in (main, routes[1]) if any(":" in address for address in found.get(device, []))]
    return main, with_v6[0] if with_v6 else main


def _route(text: str, word: str) -> str:
    for words in _lines(text, word):
        if "dev" in words[:-1]:
            return words[words.index("dev") + 1]
    return ""


def _chosen(addresses: Sequence[str], reached: str) -> str | None:
    plain = [address.partition("/")[0] for address in addresses]
    return reached if reached in plain else next(iter(plain), None)
