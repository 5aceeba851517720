"""Measures shaped links between the hosts themselves and compares them with what was asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

from e2c.emulation import apply, probe
from e2c.emulation.constraint import Constraint
from e2c.emulation.probe import RoundTrips
from e2c.emulation.readback import Shape
from e2c.errors import EmulationError, MissingToolError
from e2c.model.host import Host
from e2c.remote import shell

Progress = Callable[[str], None]
Direction = tuple[str, str]

PAIRS_PER_RULE = 3
UNSHAPED_PAIRS = 3
TOLERANCE_MS = 2.0
TOLERANCE_SHARE = 0.03
_ATTEMPTS = 3
_PROBES = 12
_MOST_PROBES = 200
_ENOUGH_LOSSES = 10
_NO_WAY = "no way"
_FRAME_BITS = 8 * (probe.PAYLOAD_BYTES + 8 + 40 + 14)
"""An IPv6 probe on the wire: payload, ICMP, IPv6 and Ethernet headers."""


@dataclass(frozen=True)
class Pair:
    """A measurement: round trips that ``source`` sees to ``destination``, over IPv4 and IPv6.

    ``there`` and ``back`` are the constraints of the two directions, where there are any.
    """

    source: Host
    destination: Host
    there: Constraint | None
    back: Constraint | None

    @property
    def addresses(self) -> dict[str, str]:
        """The destination's addresses by family, ``v4`` and ``v6``."""
        both = {"v4": self.destination.addresses.v4, "v6": self.destination.addresses.v6}
        return {family: address for family, address in both.items() if address}

    def reached(self, found: Mapping[str, RoundTrips]) -> set[str]:
        """Those of the addresses that packets must get to: all within a testbed.

        From one testbed to another one family may lead nowhere (Grid'5000 and FIT IoT-LAB have private IPv4 addresses)
        as long as the other does.
        """
        both = set(self.addresses.values())
        answered = {address for address in both if address in found and found[address].best_ms is not None}
        return answered if answered and self.source.provider != self.destination.provider else both

    @property
    def delay_ms(self) -> float:
        """What is asked of a round trip: the delays of both directions."""
        return sum(way.delay_ms or 0 for way in (self.there, self.back) if way)

    @property
    def tolerance_ms(self) -> float:
        """How far off a round trip may be."""
        return max(TOLERANCE_MS, TOLERANCE_SHARE * self.delay_ms)

    @property
    def slack_ms(self) -> float:
        """What rate limits may add: the time a probe takes at those rates."""
        return sum(_FRAME_BITS / way.rate_kbit for way in (self.there, self.back) if way and way.rate_kbit)

    @property
    def loss_share(self) -> float:
        """Probability that a probe or its answer is lost."""
        kept = 1.0
        for way in (self.there, self.back):
            kept *= 1 - (way.loss_percent or 0) / 100 if way else 1
        return 1 - kept

    @property
    def probes(self) -> int:
        """Enough to see about ten losses, where that takes a bounded time."""
        share = self.loss_share
        return min(_MOST_PROBES, max(_PROBES, round(_ENOUGH_LOSSES / share))) if share >= 0.01 else _PROBES


def measure(
    asked: Sequence[Constraint], hosts: Sequence[Host], folder: Path, progress: Progress
) -> list[dict[str, Any]]:
    """Measure some pairs of every rule, and a few pairs that no rule concerns; write ``folder``.

    The quickest round trip must be the sum of both directions' delays, within 2 ms or 3 %, whichever is more (and what
    a rate limit adds to a probe). Links that seem too slow are measured up to three times, because a busy machine is
    slow, too. Between testbeds, a family that leads nowhere while the other does is reported as ``no way`` and told.
    Loss is reported with its 99.9 % bounds and not judged: few packets prove little. What ``tc`` says is
    judged for all pairs.

    Writes ``summary.yaml`` and fping's own output, ``<src>-<dst>-{symmetric|asymmetric}/<host>.fpout``.

    Returns:
        One row per rule, with keys ``src``, ``dst``, ``verdict``, ``asked``, ``expected_rtt_ms``, ``measured_rtt_ms``
        (the quickest of the pair furthest off) and ``pairs``.

    Raises:
        EmulationError: a rule is not met; names the pair, what was asked and what was measured.
        MissingToolError: neither fping nor ping is on a host.
        RemoteError: a host does not answer.
    """
    if not asked:
        return []
    told = apply.read_back(asked, hosts)
    apply.verify(asked, told)
    by_rule = _pairs_by_rule(asked, hosts)
    unshaped = _unshaped(asked, hosts)
    progress(f"measuring {sum(map(len, by_rule.values()))} pairs of hosts")
    folder.mkdir(parents=True, exist_ok=True)
    output = _probe_patiently([pair for pairs in by_rule.values() for pair in pairs], unshaped)
    rows = []
    for constraints, pairs in by_rule.items():
        first = constraints[0]
        _write_raw(folder / _folder_name(first), pairs, output)
        measured = [row for pair in pairs for row in _rows(pair, output, told)]
        judged = [row for row in measured if row["verdict"] != _NO_WAY]
        for row in measured:
            if row["verdict"] == _NO_WAY:
                progress(f"no packet gets from {row['from']} to {row['to']} ({row['address']}): the other family does")
        worst = max(judged, key=lambda row: abs((row["measured_rtt_ms"] or 1e9) - row["expected_rtt_ms"]))
        rows.append(
            {
                "src": first.src,
                "dst": first.dst,
                "symmetric": first.symmetric,
                "asked": apply.describe(first),
                "hosts": len({(c.source, c.destination) for c in constraints}),
                "expected_rtt_ms": worst["expected_rtt_ms"],
                "measured_rtt_ms": worst["measured_rtt_ms"],
                "verdict": "ok" if all(row["verdict"] == "ok" for row in judged) else "not met",
                "pairs": measured,
            }
        )
    _write_raw(folder / "unshaped", unshaped, output)
    others = [row for pair in unshaped for row in _rows(pair, output, told)]
    for row in others:
        del row["verdict"]  # nothing was asked of them
    _write_summary(folder / "summary.yaml", rows, others)
    _judge(rows, folder)
    return rows


def _pairs_by_rule(asked: Sequence[Constraint], hosts: Sequence[Host]) -> dict[tuple[Constraint, ...], list[Pair]]:
    known = {host.key: host for host in hosts}
    ways: dict[Direction, Constraint] = {(c.source, c.destination): c for c in asked}
    rules: dict[int, list[Constraint]] = {}
    for constraint in asked:
        rules.setdefault(constraint.rule, []).append(constraint)
    found = {}
    for constraints in rules.values():
        directions: list[Direction] = []
        for constraint in constraints:
            direction = constraint.source, constraint.destination
            if direction not in directions and (direction[1], direction[0]) not in directions:
                directions.append(direction)
        found[tuple(constraints)] = [
            Pair(known[a], known[b], ways.get((a, b)), ways.get((b, a))) for a, b in _spread(directions, PAIRS_PER_RULE)
        ]
    return found


def _spread(directions: list[Direction], number: int) -> list[Direction]:
    """First, last and some between."""
    if len(directions) <= number:
        return directions
    return [directions[round(place * (len(directions) - 1) / (number - 1))] for place in range(number)]


def _unshaped(asked: Sequence[Constraint], hosts: Sequence[Host]) -> list[Pair]:
    shaped = {frozenset((c.source, c.destination)) for c in asked}
    found = []
    for index, one in enumerate(hosts):
        for other in hosts[index + 1 :]:
            pair = Pair(one, other, None, None)
            if pair.addresses and frozenset((one.key, other.key)) not in shaped:
                found.append(pair)
                if len(found) == UNSHAPED_PAIRS:
                    return found
    return found


def _folder_name(constraint: Constraint) -> str:
    ends = f"{constraint.src}-{constraint.dst}-{'symmetric' if constraint.symmetric else 'asymmetric'}"
    return re.sub(r"[^\w.-]", "_", ends)


def _probe(pairs: Sequence[Pair]) -> dict[str, str]:
    """Probe all pairs, all sources at once; fping's output by source."""
    by_source: dict[Host, list[Pair]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(pair)
    commands, limit_s = {}, 0.0
    for source, own in by_source.items():
        count = max(pair.probes for pair in own)
        period = 50 if count <= _PROBES else 20
        timeout = round(max(1000, *(2 * pair.delay_ms + 10 * pair.slack_ms for pair in own)))
        addresses = list(dict.fromkeys(address for pair in own for address in pair.addresses.values()))
        commands[source] = probe.command(addresses, count=count, period_ms=period, timeout_ms=timeout)
        limit_s = max(limit_s, 30 + 2 * count * max(period, len(addresses)) / 1000 + timeout / 1000)
    results = shell.run_each(commands, timeout_s=limit_s)
    found = {}
    for source in by_source:
        result = results[source.key]
        if result.rc == probe.NO_PROGRAM:
            raise MissingToolError(
                "links cannot be measured: there is neither fping nor ping",
                where=source.key,
                hint="apt-get install fping",
            )
        if result.rc == shell.SSH_FAILED or result.rc == shell.TIMED_OUT:
            shell.require({source.key: result}, "measuring links")
        found[source.key] = result.stdout
    return found


def _probe_patiently(shaped: Sequence[Pair], unshaped: Sequence[Pair]) -> dict[str, str]:
    """Probe all pairs, and once or twice more when a round trip is too long."""
    output = _probe([*shaped, *unshaped])
    for _ in range(_ATTEMPTS - 1):
        if not any(_too_slow(pair, output) for pair in shaped):
            break
        output = _probe([*shaped, *unshaped])
    return output


def _too_slow(pair: Pair, output: Mapping[str, str]) -> bool:
    found = probe.parse(output[pair.source.key])
    times = [found[address].best_ms if address in found else None for address in pair.reached(found)]
    return any(best is None or best > pair.delay_ms + pair.tolerance_ms + pair.slack_ms for best in times)


def _write_raw(folder: Path, pairs: Sequence[Pair], output: Mapping[str, str]) -> None:
    """fping's own lines about these pairs, one file per source."""
    wanted: dict[str, set[str]] = {}
    for pair in pairs:
        wanted.setdefault(pair.source.key, set()).update(pair.addresses.values())
    for key, addresses in wanted.items():
        folder.mkdir(parents=True, exist_ok=True)
        lines = [line for line in output[key].splitlines() if line.split(" ")[0] in addresses]
        (folder / f"{key}.fpout").write_text("\n".join(lines) + "\n")


def _rows(pair: Pair, output: Mapping[str, str], told: Mapping[tuple[str, str, str], Shape]) -> list[dict[str, Any]]:
    found = probe.parse(output[pair.source.key])
    reached = pair.reached(found)
    rows = []
    for family, address in pair.addresses.items():
        trips = found.get(address, RoundTrips(0, (), 0))
        best = trips.best_ms
        tolerance = pair.tolerance_ms
        met = best is not None and -tolerance <= best - pair.delay_ms <= tolerance + pair.slack_ms
        low, high = probe.loss_bounds(trips.lost, trips.sent)
        rows.append(
            {
                "from": pair.source.key,
                "to": pair.destination.key,
                "family": family,
                "address": address,
                "tc": _words(pair, address, told),
                "expected_rtt_ms": round(pair.delay_ms, 3),
                "measured_rtt_ms": best,
                "median_rtt_ms": trips.median_ms,
                "longest_rtt_ms": max(trips.times_ms, default=None),
                "expected_loss_percent": round(100 * pair.loss_share, 4),
                "measured_loss_percent": round(100 * trips.lost / trips.sent, 2) if trips.sent else None,
                "loss_bounds_percent": [round(low, 2), round(high, 2)],
                "probes": trips.sent,
                "verdict": _NO_WAY if address not in reached else "ok" if met else "not met",
            }
        )
    return rows


def _words(pair: Pair, address: str, told: Mapping[tuple[str, str, str], Shape]) -> str:
    if pair.there is None:
        return ""
    shape = told.get((pair.source.key, pair.there.device, address))
    return shape.words if shape else ""


def _write_summary(path: Path, rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    document = {
        "measured_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "links": rows,
        "unshaped": others,
    }
    head = (
        "# Round trips between hosts (fping, the quickest of its probes), compared with what network.yaml asks.\n"
        "# Expected is the sum of the delays of both directions; met within 2 ms or 3 %, and what a rate limit adds.\n"
        "# Loss is reported with 99.9 % bounds, not judged. tc: what the source's tc says of the way there.\n"
    )
    path.write_text(
        head + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    )


def _judge(rows: list[dict[str, Any]], folder: Path) -> None:
    missed = [(row, pair) for row in rows for pair in row["pairs"] if pair["verdict"] == "not met"]
    if missed:
        row, pair = missed[0]
        got = pair["measured_rtt_ms"]
        raise EmulationError(
            f"the link from {row['src']} to {row['dst']} is not as asked",
            where=f"{pair['from']} to {pair['to']} ({pair['address']})",
            why=f"asked {row['asked']}, so a round trip of {pair['expected_rtt_ms']:g} ms; "
            + (f"measured {got:g} ms" if got is not None else f"none of {pair['probes']} probes was answered"),
            hint=f"All measurements are in {folder / 'summary.yaml'}; on a loaded machine, try again",
        )
