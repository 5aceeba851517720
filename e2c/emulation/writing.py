"""The folder ``network-validate/``: what the measurement leaves behind for people and programs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

import yaml

from e2c.emulation import plot, table
from e2c.emulation.constraint import Constraint
from e2c.emulation.pairs import Pair
from e2c.emulation.probing import LOSS_LIMIT_S, PROBES_PER_S, Answer
from e2c.emulation.rate import Flow, Throughput
from e2c.emulation.rows import Row

SUMMARY = "summary.yaml"
TABLE = "summary.txt"
PLOT = "links.svg"
_LONGEST_NAME = 200  # file systems take 255 bytes

_HEAD = f"""\
# What network.yaml asks of links, and what was measured between hosts.
#
# Round trips (fping): expected is the sum of the delays of both directions. The quickest must be within 2 ms or 3 % of
# it, and what a rate limit adds to a probe. Where jitter or reordering vary them, their quartiles are compared, and the
# median is shown.
# Loss: what is asked must lie in the exact binomial 99 % interval (Clopper and Pearson 1934) of the probes. These are
# so many that none lost would contradict what is asked, as long as all together are sent within {LOSS_LIMIT_S:g} s
# ({PROBES_PER_S} a second); else "too few probes" were sent.
# Duplicates: the same of the probes that were answered more than once.
# Rates (iperf3): with all headers, they must be within 10 %.
# tc: what the source's tc says of the way there; it must say what was asked.
# What was not met was looked at again with fresh probes, at least twice, and the last look is shown.
"""


def clear(folder: Path) -> None:
    """Remove what an earlier measurement left: its rules may have been others."""
    for pattern in ("*/*.fpout", "*/*.iperf3.json", SUMMARY, TABLE, PLOT):
        for file in folder.glob(pattern):
            file.unlink()
    for place in folder.glob("*"):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def write_raw(
    folder: Path,
    constraints: Sequence[Constraint],
    pairs: Sequence[Pair],
    answers: Mapping[Pair, Answer],
    rates: Mapping[Flow, Throughput],
) -> None:
    """fping's own lines about the pairs of a rule, one file per source, and what iperf3 printed."""
    first = constraints[0]
    place = folder / _name(f"{first.src}-{first.dst}-{'symmetric' if first.symmetric else 'asymmetric'}")
    write_answers(place, pairs, answers)
    for flow, found in rates.items():
        name = f"{flow.source.key}-{flow.destination.key}-{flow.family}.iperf3.json"
        (place / name).write_text(found.raw, encoding="utf-8")


def write_answers(place: Path, pairs: Sequence[Pair], answers: Mapping[Pair, Answer]) -> None:
    """fping's own lines, one file per source."""
    place.mkdir(parents=True, exist_ok=True)
    by_source: dict[str, list[str]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source.key, []).append(answers[pair].raw)
    for key, lines in by_source.items():
        (place / f"{key}.fpout").write_text("".join(lines), encoding="utf-8")


def write_summary(folder: Path, rows: Sequence[Row], others: Sequence[Row]) -> None:
    """The same three times: as data, as a table, as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    measured_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    document = {"measured_at": measured_at, "links": list(rows), "unshaped": list(others)}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    (folder / SUMMARY).write_text(_HEAD + text, encoding="utf-8")
    (folder / TABLE).write_text(f"Measured at {measured_at}\n\n{table.table(rows, others)}", encoding="utf-8")
    (folder / PLOT).write_text(plot.plot(rows), encoding="utf-8")


def _name(text: str) -> str:
    """A folder's name that tells the rule, however long its selectors are."""
    plain = re.sub(r"[^\w.-]", "_", text, flags=re.ASCII)
    if len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[:_LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
