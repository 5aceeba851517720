"""How much passes a link, by iperf3."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from e2c.emulation.constraint import Constraint
from e2c.emulation.judging import NOT_MET, OK
from e2c.emulation.pairs import Pair
from e2c.errors import MissingToolError
from e2c.model.host import Host
from e2c.remote import shell

Progress = Callable[[str], None]

TOLERANCE_SHARE = 0.1
SURE_KBIT = 50_000
"""Every host sends as much as this; where more is asked and less passes, the hosts may be to blame."""

NO_ANSWER = "not judged: iperf3 got no connection"
TOO_SLOW = "not judged: the hosts send less"

_LOOKS = 3
_TOGETHER_KBIT = 100_000  # of flows at the same time: hosts may share a machine or a cable
_NO_PROGRAM = 127
_FIRST_PORT, _PORTS = 29170, 1000  # one after the other: a server that was left alone dies only after a while
_ALONE_S = 15
_INTERVAL_S = 0.25
_BLOCK_MS = 20  # what is read at once counts at once, so it must be little
_PAUSE_MS = 50  # of a busy machine, in which one stream alone would not keep a quick link full
_QUEUE_MS = 250  # of data waits to be sent, for the same reason
_LEAST_WINDOW, _MOST_WINDOW = 32_768, 200_000  # bytes; no system refuses as much
_STREAM, _MOST_STREAMS = 50_000, 16  # bytes under way that TCP dares to have soon after its slow start
_LEAST_BLOCK, _MOST_BLOCK, _DATAGRAM = 1_024, 131_072, 1_400
_OVERLOAD = 1.2
_HEADERS = {("v4", "tcp"): 14 + 20 + 32, ("v6", "tcp"): 14 + 40 + 32, ("v4", "udp"): 14 + 28, ("v6", "udp"): 14 + 48}
_SEGMENT = {"v4": 1448, "v6": 1428}


@dataclass(frozen=True)
class Flow:
    """Data that one host sends to another as fast as it can.

    Attributes:
        constraint: what shapes it.
        family: ``v4`` or ``v6``.
        rtt_ms: round trips that it has to wait for.
    """

    source: Host
    destination: Host
    constraint: Constraint
    family: str
    rtt_ms: float

    @property
    def rate_kbit(self) -> float:
        """The rate asked."""
        return self.constraint.rate_kbit or 0.0

    @property
    def address(self) -> str:
        """The sender's: the receiver connects to it."""
        own = self.source.addresses
        return (own.v4 if self.family == "v4" else own.v6) or ""

    @property
    def protocol(self) -> str:
        """TCP, but UDP where TCP would slow down by itself: links that lose, double, or change the order of packets."""
        way = self.constraint
        lossy = way.loss_percent or way.corrupt_percent or way.limit_packets
        return "udp" if lossy or way.reorder_percent or way.duplicate_percent or way.jitter_ms else "tcp"

    @property
    def ramp_s(self) -> float:
        """Time that TCP takes to come up to speed."""
        return 0.5 + 10 * self.rtt_ms / 1000

    @property
    def seconds(self) -> int:
        """How long to send."""
        return math.ceil(self.ramp_s + 1.5)


@dataclass(frozen=True)
class Throughput:
    """What came through.

    Attributes:
        kbit: kilobit per second on the wire, with all headers, as ``tc`` counts; ``None`` where nothing was measured.
        raw: what iperf3 printed.
    """

    kbit: float | None
    raw: str

    def verdict(self, flow: Flow) -> str:
        """``ok`` within 10 %, ``not met``, or why it is not judged."""
        if self.kbit is None:
            return NO_ANSWER
        if self.kbit >= flow.rate_kbit * (1 - TOLERANCE_SHARE):
            return OK if self.kbit <= flow.rate_kbit * (1 + TOLERANCE_SHARE) else NOT_MET
        return NOT_MET if flow.rate_kbit <= SURE_KBIT else TOO_SLOW


def flows(pairs: Sequence[Pair], rule: int, families: Callable[[Pair], Sequence[str]]) -> list[Flow]:
    """What to measure of a rule: each different rate that it asks for once, between one pair of hosts.

    Args:
        pairs: of the rule.
        rule: its number.
        families: those of a pair over which packets get through.
    """
    found: dict[object, list[Flow]] = {}
    for pair in pairs:
        if not pair.expected.answered:
            continue
        ways = (pair.there, pair.source, pair.destination), (pair.back, pair.destination, pair.source)
        for way, source, destination in ways:
            if way and way.rate_kbit and way.rule == rule:
                made = [Flow(source, destination, way, family, pair.expected.delay_ms) for family in families(pair)]
                found.setdefault(tuple(way.named.values()), made)
    return [flow for made in found.values() for flow in made]


def measure_rates(wanted: Sequence[Flow], progress: Progress) -> dict[Flow, Throughput]:
    """Send, between different hosts at the same time; what is not met again and alone, up to three times in all.

    Raises:
        MissingToolError: a host has no iperf3.
        RemoteError: a host does not answer.
    """
    _require_iperf3({host for flow in wanted for host in (flow.source, flow.destination)})
    found: dict[Flow, Throughput] = {}
    ports = count()
    left = list(wanted)
    for look in range(_LOOKS):
        turns = list(rounds(left)) if look == 0 else [[flow] for flow in left]
        if left:
            seconds = sum(max(flow.seconds for flow in together) for together in turns)
            progress(f"measuring {len(left)} rates with iperf3, for about {seconds} s")
        for together in turns:
            found.update(_send(together, ports))
        left = [flow for flow in left if found[flow].verdict(flow) in (NOT_MET, NO_ANSWER)]
    return found


def rounds(wanted: Sequence[Flow]) -> Iterator[list[Flow]]:
    """Flows that may go at the same time: no host twice, and not too much in all."""
    left = list(wanted)
    while left:
        busy: set[str] = set()
        total = 0.0
        chosen: list[Flow] = []
        for flow in left:
            ends = {flow.source.key, flow.destination.key}
            if not ends & busy and (not chosen or total + flow.rate_kbit <= _TOGETHER_KBIT):
                chosen.append(flow)
                busy |= ends
                total += flow.rate_kbit
        left = [flow for flow in left if flow not in chosen]
        yield chosen


def _send(together: Sequence[Flow], ports: Iterator[int]) -> dict[Flow, Throughput]:
    commands: dict[Host, str] = {}
    for flow in together:
        port = _FIRST_PORT + next(ports) % _PORTS
        commands[flow.source] = f"timeout {flow.seconds + _ALONE_S} iperf3 -s -1 -p {port} >/dev/null 2>&1; true"
        commands[flow.destination] = _client(flow, port)
    longest = max(flow.seconds for flow in together)
    results = shell.run_each(commands, timeout_s=longest + 3 * _ALONE_S, at_once=len(commands))
    lost = {key: result for key, result in results.items() if result.rc in (shell.SSH_FAILED, shell.TIMED_OUT)}
    shell.require(lost, "measuring rates")
    return {flow: read(flow, results[flow.destination.key].stdout) for flow in together}


def _client(flow: Flow, port: int) -> str:
    """The receiver asks the sender to send; until the sender listens, it tries again."""
    if flow.protocol == "udp":
        options = f"-u -l {_DATAGRAM} -b {round(_OVERLOAD * flow.rate_kbit)}k"
    else:
        under_way = flow.rate_kbit * (flow.rtt_ms + _PAUSE_MS) / 8  # bytes
        streams = min(_MOST_STREAMS, max(1, round(under_way / _STREAM)))
        block = min(_MOST_BLOCK, max(_LEAST_BLOCK, round(flow.rate_kbit * _BLOCK_MS / 8 / streams)))
        options = f"-l {block} -P {streams}"
        window = max(_LEAST_WINDOW, round(flow.rate_kbit * (flow.rtt_ms + _QUEUE_MS) / 8))
        if streams == 1 and window <= _MOST_WINDOW:  # else TCP finds a good one, and what waits is soon sent
            options += f" -w {window}"
    iperf3 = f"iperf3 -c {flow.address} -p {port} -R -t {flow.seconds} -i {_INTERVAL_S} -J {options}"
    return f"""\
for attempt in $(seq 50); do
  said=$(timeout {flow.seconds + _ALONE_S} {iperf3} 2>&1)
  case $said in *'unable to connect to server'*) sleep 0.1;; *) break;; esac
done
printf '%s\\n' "$said" """


def read(flow: Flow, text: str) -> Throughput:
    """What iperf3 printed at the receiver, as JSON; what it received while TCP came up to speed does not count."""
    try:
        intervals: list[dict[str, Any]] = [one["sum"] for one in json.loads(text)["intervals"]]
        kept = [one for one in intervals if one["start"] >= flow.ramp_s - _INTERVAL_S / 2]
        seconds = sum(one["seconds"] for one in kept)
        sent = sum(one["bytes"] for one in kept)
    except (ValueError, KeyError, TypeError):
        return Throughput(None, text)
    if seconds <= 0:
        return Throughput(None, text)
    payload = _DATAGRAM if flow.protocol == "udp" else _SEGMENT[flow.family]
    frame = payload + _HEADERS[flow.family, flow.protocol]
    return Throughput(8 * sent / seconds / 1000 * frame / payload, text)


def _require_iperf3(hosts: set[Host]) -> None:
    results: Mapping[str, shell.Result] = shell.run_all(
        sorted(hosts, key=lambda host: host.key), f"command -v iperf3 >/dev/null || exit {_NO_PROGRAM}"
    )
    missing = [key for key, result in results.items() if result.rc == _NO_PROGRAM]
    if missing:
        raise MissingToolError(
            "rates cannot be measured: there is no iperf3",
            where=shell.some(missing, ", "),
            hint="apt-get install iperf3, or measure without --rate",
        )
    shell.require(results, "looking for iperf3")
