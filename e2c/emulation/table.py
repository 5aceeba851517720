"""What was asked and measured as a table of plain text."""

from __future__ import annotations

from collections.abc import Sequence

from e2c.emulation.judging import NO_WAY, NOT_ASKED, OK, UNSHAPED_MS
from e2c.emulation.rows import Row

HEADINGS = ("rule", "pair", "asked", "measured", "verdict")


def table(rows: Sequence[Row], others: Sequence[Row]) -> str:
    """One line for each address of each pair, and each rate, that was measured; those no rule concerns come last."""
    lines: list[tuple[str, ...]] = []
    for row in rows:
        rule = f"{row['src']} {'and' if row['symmetric'] else 'to'} {row['dst']}"
        lines += [(rule, _pair(one), _asked(one), measured(one), verdict(one)) for one in row["pairs"]]
        lines += [
            (rule, _pair(one), f"rate {_rate(one['asked_rate_kbit'])}", measured(one), one["verdict"])
            for one in row.get("rates", ())
        ]
    lines += [("(no rule)", _pair(one), f"RTT under {UNSHAPED_MS:g} ms", measured(one), verdict(one)) for one in others]
    faults = [f"tc: {fault}\n" for row in rows for fault in row.get("tc_faults", ())]
    return _laid_out([HEADINGS, *lines]) + ("\n" + "".join(faults) if faults else "")


def measured(row: Row) -> str:
    """What was measured, in a few words: of a pair, or of a rate."""
    if "measured_rate_kbit" in row:
        return _rate(row["measured_rate_kbit"])
    if row["measured_rtt_ms"] is None:
        return f"none of {row['probes']} probes answered"
    found = [f"RTT {_number(row['measured_rtt_ms'])} ms"]
    if row.get("quartiles_ms"):
        first, _, third = row["quartiles_ms"]
        found[0] += f" ({_number(first)} to {_number(third)})"
    if row["lost"] or row["expected_loss_percent"]:
        low, high = row["loss_bounds_percent"]
        share = _number(row["measured_loss_percent"])
        found.append(f"loss {share} % ({_number(low)} to {_number(high)}, {row['probes']} probes)")
    if "duplicates_verdict" in row:
        low, high = row["duplicates_bounds_percent"]
        share = _number(row["measured_duplicates_percent"])
        found.append(f"duplicates {share} % ({_number(low)} to {_number(high)})")
    elif row["duplicates"]:
        found.append(f"{row['duplicates']} duplicates")
    found += [f"{row['overtaking']} overtaking"] if row.get("overtaking") else []
    return ", ".join(found)


def verdict(row: Row) -> str:
    """The verdict on a pair; where it is met, what could not be judged."""
    if row["verdict"] != OK:
        return str(row["verdict"])
    kinds = {"loss": row["loss_verdict"], "duplicates": row.get("duplicates_verdict", OK)}
    unjudged = [f"{kind} {said}" for kind, said in kinds.items() if said not in (OK, NOT_ASKED)]
    return ", ".join([OK, *unjudged])


def _asked(row: Row) -> str:
    if row["verdict"] == NO_WAY:
        return "nothing in this family"
    if row["expected_rtt_ms"] is None:
        return "no answer"
    found = [f"RTT {_number(row['expected_rtt_ms'])} ms"]
    if row.get("expected_quartiles_ms"):
        first, _, third = row["expected_quartiles_ms"]
        found[0] += f" ({_number(first)} to {_number(third)})"
    if row["expected_loss_percent"]:
        least = row.get("least_expected_loss_percent")
        least = f"{_number(least)} to " if least else ""
        found.append(f"loss {least}{_number(row['expected_loss_percent'])} %")
    if "duplicates_verdict" in row:
        found.append(f"duplicates {_number(row['expected_duplicates_percent'])} %")
    return ", ".join(found)


def _pair(row: Row) -> str:
    return f"{row['from']} to {row['to']} {row['family']}"


def _rate(kbit: float | None) -> str:
    if kbit is None:
        return "nothing"
    return f"{_number(kbit / 1000)} mbit" if kbit >= 1000 else f"{_number(kbit)} kbit"


def _number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _laid_out(lines: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ruled = [lines[0], tuple("-" * width for width in widths), *lines[1:]]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in ruled
    )
