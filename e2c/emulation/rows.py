"""What was asked and what was measured, put side by side: the rows of summaries, tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from e2c.emulation import apply, binomial
from e2c.emulation.constraint import Constraint
from e2c.emulation.expectation import QUARTILES
from e2c.emulation.judging import NO_WAY, NOT_MET, OK, Verdict, judge
from e2c.emulation.pairs import Pair
from e2c.emulation.probe import RoundTrips
from e2c.emulation.probing import Answer
from e2c.emulation.rate import Flow, Throughput
from e2c.emulation.readback import Shape

Row = dict[str, Any]
Told = Mapping[tuple[str, str, str], Shape]


@dataclass
class Measured:
    """All that is known about the links.

    Attributes:
        told: what ``tc`` says, by host, device and destination address.
        faults: where it says something else than was asked, by source and destination: the sentence.
        answers: of the pairs that were probed.
        rates: of the flows that were sent.
    """

    told: Told
    faults: Mapping[tuple[str, str], str]
    answers: Mapping[Pair, Answer] = field(default_factory=dict)
    rates: Mapping[Flow, Throughput] = field(default_factory=dict)


def rule_row(
    constraints: Sequence[Constraint], pairs: Sequence[Pair], flows: Sequence[Flow], measured: Measured
) -> Row:
    """One row of the summary: a rule, its pairs that were measured and the verdict on all."""
    first = constraints[0]
    rows = [row for pair in pairs for row in pair_rows(pair, measured)]
    rates = [_rate_row(flow, measured.rates[flow]) for flow in flows]
    faults = [
        measured.faults[ends]
        for ends in dict.fromkeys((c.source, c.destination) for c in constraints)
        if ends in measured.faults
    ]
    judged = [row for row in rows if row["verdict"] != NO_WAY]
    worst = max(judged, key=_off)
    met = not faults and all(row["verdict"] != NOT_MET for row in [*rows, *rates])
    return {
        "src": first.src,
        "dst": first.dst,
        "symmetric": first.symmetric,
        "asked": apply.describe(first),
        "hosts": len({(c.source, c.destination) for c in constraints}),
        "expected_rtt_ms": worst["expected_rtt_ms"],
        "measured_rtt_ms": worst["measured_rtt_ms"],
        "verdict": OK if met else NOT_MET,
        "pairs": rows,
        **({"rates": rates} if rates else {}),
        **({"tc_faults": faults} if faults else {}),
    }


def pair_rows(pair: Pair, measured: Measured) -> list[Row]:
    """One row for each address of a pair."""
    answer = measured.answers[pair]
    verdicts = judge(pair, answer.found)
    fault = bool(pair.directions & measured.faults.keys())
    return [
        _pair_row(pair, family, address, answer, verdicts[address], fault, measured.told)
        for family, address in pair.addresses.items()
    ]


def _pair_row(pair: Pair, family: str, address: str, answer: Answer, verdict: Verdict, fault: bool, told: Told) -> Row:
    trips = answer.found.get(address, RoundTrips())
    expected = pair.expected
    ordered = sorted(trips.times_ms)
    varying: Row = {}
    if expected.quartiles_ms:
        found = [ordered[int(share * len(ordered))] for share in QUARTILES] if ordered else None
        varying = {
            "expected_quartiles_ms": [round(one, 2) for one in expected.quartiles_ms],
            "quartiles_ms": found,
            "overtaking": trips.overtaking(answer.period_ms),
        }
    duplicates: Row = {"duplicates": trips.repeated}
    if expected.answered and expected.repeated[1]:
        share = binomial.interval(trips.repeated, trips.sent)
        duplicates |= {
            "expected_duplicates_percent": round(100 * expected.repeated[1], 4),
            "measured_duplicates_percent": round(100 * trips.repeated / trips.sent, 3) if trips.sent else None,
            "duplicates_bounds_percent": [round(100 * bound, 3) for bound in share],
            "duplicates_verdict": verdict.duplicates,
        }
    least: Row = {}
    if expected.loss[0] < expected.loss[1]:
        least = {"least_expected_loss_percent": round(100 * expected.loss[0], 4)}
    return {
        "from": pair.source.key,
        "to": pair.destination.key,
        "family": family,
        "address": address,
        "asked": words(pair),
        "tc": _tc(pair, address, told),
        "expected_rtt_ms": round(expected.rtt_ms, 3) if expected.answered else None,
        "measured_rtt_ms": trips.median_ms if expected.quartiles_ms else trips.best_ms,
        "median_rtt_ms": trips.median_ms,
        "longest_rtt_ms": max(trips.times_ms, default=None),
        **varying,
        **least,
        "expected_loss_percent": round(100 * expected.loss[1], 4),
        "measured_loss_percent": round(100 * trips.lost / trips.sent, 3) if trips.sent else None,
        "loss_bounds_percent": [round(100 * bound, 3) for bound in verdict.bounds],
        "probes": trips.sent,
        "lost": trips.lost,
        **duplicates,
        "rtt_verdict": verdict.rtt,
        "loss_verdict": verdict.loss,
        "verdict": NOT_MET if fault and verdict.whole == OK else verdict.whole,
    }


def words(pair: Pair) -> str:
    """What is asked of a pair: one way, and back where that is something else."""
    there, back = (apply.describe(way) if way else "nothing" for way in (pair.there, pair.back))
    if there == back:
        return f"{there} each way" if pair.shaped else "nothing"
    return f"{there}, back {back}" if pair.back else there


def _rate_row(flow: Flow, found: Throughput) -> Row:
    return {
        "from": flow.source.key,
        "to": flow.destination.key,
        "family": flow.family,
        "protocol": flow.protocol,
        "asked_rate_kbit": flow.rate_kbit,
        "measured_rate_kbit": None if found.kbit is None else round(found.kbit, 1),
        "verdict": found.verdict(flow),
    }


def _off(row: Row) -> float:
    if row["expected_rtt_ms"] is None:
        return 0.0
    return abs(float(row["measured_rtt_ms"] or 1e9) - float(row["expected_rtt_ms"]))


def _tc(pair: Pair, address: str, told: Told) -> str:
    if pair.there is None:
        return ""
    shape = told.get((pair.source.key, pair.there.device, address))
    return shape.words if shape else ""
