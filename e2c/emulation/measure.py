"""Measures shaped links between the hosts themselves and compares them with what was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from e2c.emulation import apply, writing
from e2c.emulation.constraint import Constraint
from e2c.emulation.judging import NO_WAY, NOT_MET, OK, SLOW, judge
from e2c.emulation.pairs import Pair, by_rule, unshaped
from e2c.emulation.probing import Answer, affordable, duration_s, patience_s, probe_patiently
from e2c.emulation.rate import Flow, measure_rates
from e2c.emulation.rate import flows as wanted_flows
from e2c.emulation.rows import Measured, Row, Told, pair_rows, rule_row
from e2c.errors import EmulationError
from e2c.model.host import Host
from e2c.remote import shell

Progress = Callable[[str], None]


def measure(
    asked: Sequence[Constraint],
    hosts: Sequence[Host],
    folder: Path,
    progress: Progress,
    *,
    rate: bool = False,
    verify: bool = True,
) -> list[Row]:
    """Measure some pairs of every rule, and a few pairs that no rule concerns; write ``folder``.

    What ``tc`` says is compared for all pairs, round trips and losses (fping) for those that are measured, IPv4 and
    IPv6 alike: see :func:`e2c.emulation.judging.judge`. Pairs in doubt are probed again, because a busy machine is slow
    and chance is chance. Between testbeds, a family that leads nowhere while the other does is reported as ``no way``.

    Writes ``summary.yaml``, ``summary.txt``, ``links.svg`` and what fping and iperf3 printed,
    ``<src>-<dst>-{symmetric|asymmetric}/<host>.fpout``.

    Args:
        rate: measure rates, too (iperf3); takes a few seconds for each.
        verify: a rule that is not met is an error; else it is only told.

    Returns:
        One row per rule, with keys ``src``, ``dst``, ``verdict``, ``asked``, ``expected_rtt_ms``, ``measured_rtt_ms``
        (of the pair furthest off), ``pairs`` and, where they were measured, ``rates``.

    Raises:
        EmulationError: a rule is not met; names the pair, what was asked and what was measured.
        MissingToolError: neither fping nor ping, or no iperf3, is on a host.
        RemoteError: a host does not answer.
    """
    writing.clear(folder)
    if not asked:
        return []
    told = apply.read_back(asked, hosts)
    faults = _faults(asked, told)
    rules, others = by_rule(asked, hosts), unshaped(asked, hosts)
    pairs = [pair for found in rules.values() for pair in found]
    seconds = duration_s(affordable([*pairs, *others])) + patience_s(pairs)
    progress(f"measuring {len(pairs)} {'pair' if len(pairs) == 1 else 'pairs'} of hosts, for about {seconds:.0f} s")

    def doubtful(pair: Pair, answer: Answer) -> bool:
        """Something is not met, and tc does not say why."""
        verdicts = judge(pair, answer.found).values()
        return not pair.directions & faults.keys() and any(one.whole in (NOT_MET, SLOW) for one in verdicts)

    answers = probe_patiently([*pairs, *others], doubtful, progress=progress)
    flows: dict[tuple[Constraint, ...], list[Flow]] = {
        constraints: wanted_flows(found, constraints[0].rule, lambda pair: _families(pair, answers)) if rate else []
        for constraints, found in rules.items()
    }
    sent = measure_rates([flow for found in flows.values() for flow in found], progress)
    measured = Measured(told, faults, answers, sent)
    rows = []
    for constraints, found in rules.items():
        writing.write_raw(folder, constraints, found, answers, {flow: sent[flow] for flow in flows[constraints]})
        rows.append(rule_row(constraints, found, flows[constraints], measured))
    writing.write_answers(folder / "unshaped", others, answers)
    other_rows = [row for pair in others for row in pair_rows(pair, measured)]
    writing.write_summary(folder, rows, other_rows)
    _tell(rows, other_rows, progress)
    _judge(rows, folder, progress, verify)
    return rows


def _faults(asked: Sequence[Constraint], told: Told) -> dict[tuple[str, str], str]:
    """What ``tc`` says that is not what was asked, by source and destination: sentences."""
    found: dict[tuple[str, str], str] = {}
    for constraint in asked:
        try:
            apply.verify([constraint], told)
        except EmulationError as error:
            found.setdefault((constraint.source, constraint.destination), str(error))
    return found


def _families(pair: Pair, answers: Mapping[Pair, Answer]) -> list[str]:
    """Those that lead from one to the other and back."""
    reached = pair.reached(answers[pair].found)
    own = pair.source.addresses
    there = {"v4": own.v4, "v6": own.v6}
    return [family for family, address in pair.addresses.items() if address in reached and there[family]]


def _tell(rows: Sequence[Row], others: Sequence[Row], progress: Progress) -> None:
    """What the verdicts alone do not say."""
    pairs = [pair for row in rows for pair in row["pairs"]]
    for pair in pairs:
        if pair["verdict"] == NO_WAY:
            progress(f"no packet gets from {pair['from']} to {pair['to']} ({pair['address']}): the other family does")
    unjudged = [*pairs, *(one for row in rows for one in row.get("rates", ()))]
    for reason in dict.fromkeys(_unjudged(row) for row in unjudged):
        if reason:
            ends = [f"{row['from']} to {row['to']} {row['family']}" for row in unjudged if _unjudged(row) == reason]
            progress(f"{reason}: {shell.some(ends, ', ')}")
    slow = [f"{row['from']} to {row['to']} {row['family']}" for row in others if row["verdict"] == SLOW]
    if slow:
        progress(f"round trips that no rule concerns take {SLOW}: {shell.some(slow, ', ')}")


def _unjudged(row: Row) -> str:
    kinds = {"loss": row.get("loss_verdict"), "duplicates": row.get("duplicates_verdict")}
    if "loss_verdict" not in row:
        kinds = {"rate": row["verdict"]}
    return ", ".join(f"{kind} {verdict}" for kind, verdict in kinds.items() if str(verdict).startswith("not judged"))


def _judge(rows: Sequence[Row], folder: Path, progress: Progress, verify: bool) -> None:
    errors = [_error(row, folder) for row in rows if row["verdict"] == NOT_MET]
    if errors and verify:
        first, more = errors[0], len(errors) - 1
        what = f"{first.what}, nor are {more} more" if more else first.what
        raise EmulationError(what, where=first.where, why=first.why, hint=first.hint)
    for error in errors:
        progress(f"{error.where}: {error.what}: {error.why}" if error.where else f"{error.what}: {error.why}")


def _error(row: Row, folder: Path) -> EmulationError:
    """What is wrong with a rule: what ``tc`` says, else the first pair, else the first rate."""
    hint = f"All measurements are in {folder / writing.TABLE}; on a loaded machine, try again"
    what = f"the link from {row['src']} to {row['dst']} is not as asked"
    if row.get("tc_faults"):
        return EmulationError(what, why=row["tc_faults"][0].partition(". ")[0], hint=hint)
    pair = next((one for one in row["pairs"] if one["verdict"] == NOT_MET), None)
    if pair is not None:
        where = f"{pair['from']} to {pair['to']} ({pair['address']})"
        return EmulationError(what, where=where, why=_why(pair), hint=hint)
    flow = next(one for one in row["rates"] if one["verdict"] == NOT_MET)
    why = f"asked {row['asked']}; measured {flow['measured_rate_kbit']:.4g} kbit of {flow['asked_rate_kbit']:g} kbit"
    return EmulationError(what, where=f"{flow['from']} to {flow['to']} ({flow['family']})", why=why, hint=hint)


def _why(pair: Row) -> str:
    """What was asked of a pair and what was measured: of its round trips, or of its losses."""
    asked, got = f"asked {pair['asked']}", pair["measured_rtt_ms"]
    if pair["expected_rtt_ms"] is None:
        return f"{asked}, so no answer; {pair['probes'] - pair['lost']} of {pair['probes']} probes were answered"
    if got is None:
        wish = f"so a round trip of {pair['expected_rtt_ms']:g} ms"
        return f"{asked}, {wish}; none of {pair['probes']} probes was answered"
    if pair["rtt_verdict"] == NOT_MET and "quartiles_ms" in pair:
        wished, found = (_slashed(pair[key]) for key in ("expected_quartiles_ms", "quartiles_ms"))
        return f"{asked}, so quartiles of round trips of {wished} ms; measured {found} ms"
    if pair["rtt_verdict"] == NOT_MET:
        return f"{asked}, so a round trip of {pair['expected_rtt_ms']:g} ms; measured {got:g} ms"
    if pair["loss_verdict"] == OK and pair.get("duplicates_verdict") == NOT_MET:
        low, high = pair["duplicates_bounds_percent"]
        return (
            f"{asked}, so {pair['expected_duplicates_percent']:g} % of probes answered twice; measured "
            f"{pair['measured_duplicates_percent']:g} % of {pair['probes']} (99 % interval {low:g} to {high:g} %)"
        )
    low, high = pair["loss_bounds_percent"]
    return (
        f"{asked}, so {pair['expected_loss_percent']:g} % of round trips lost; measured "
        f"{pair['measured_loss_percent']:g} % of {pair['probes']} (99 % interval {low:g} to {high:g} %)"
    )


def _slashed(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.3g}" for value in values)
