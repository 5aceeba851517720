"""(c) What the library weighs: time of its import and peak memory of the process."""

from __future__ import annotations

import json
import random
from dataclasses import asdict

from lab import ATTRIBUTES, HERE, LABELS, Lab, Spread
from light import IMPORTS
from progress import say
from result import Part, Table, Target

PACED = 300
KB_IN_MB = 1e6 / 1024


def measure(lab: Lab, runs: int, seconds: float) -> Part:
    """Imports in fresh processes, interleaved; then processes that capture for a while."""
    ways = [way for way in IMPORTS if way == "bare" or way in lab.subjects]
    for way in ways:
        _light(lab, way)  # compiles what is not compiled yet
    imports: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(runs):
        random.Random(runs).shuffle(ways)
        for way in ways:
            imports[way].append(_light(lab, way))
    bare_kb = Spread.of(run["import_kb"] for run in imports["bare"]).median
    figures: dict[str, dict[str, object]] = {}
    rows = []
    for way in (way for way in IMPORTS if way in ways):
        time_ms = Spread.of(run["import_ms"] for run in imports[way])
        over = Spread.of((run["import_kb"] - bare_kb) / KB_IN_MB for run in imports[way])
        figures[f"{way} import"] = {"ms": asdict(time_ms), "mb_over_bare": asdict(over)}
        label = "Python alone" if way == "bare" else LABELS[way]
        rows.append([label, time_ms.show(), over.show()])
    say("import time and memory")
    tables = [Table("Import, before the first record", ["", "ms", "MB over bare Python"], rows)]
    worst = 0.0
    rows = []
    for way in (way for way in IMPORTS if way in ways and way != "bare"):
        for attributes in ATTRIBUTES:
            paced = _light(lab, way, attributes, int(PACED * seconds), 1 / PACED)["peak_kb"] / KB_IN_MB
            burst = _light(lab, way, attributes, int(PACED * seconds), 0.0)["peak_kb"] / KB_IN_MB
            figures[f"{way} {attributes} sending"] = {"paced_mb": paced, "burst_mb": burst}
            rows.append([LABELS[way], str(attributes), f"{paced:.1f}", f"{burst:.1f}"])
            worst = max(worst, paced, burst) if way == "provlight" else worst
    say("memory while sending")
    columns = ["", "attributes", f"{PACED} tasks/s", "back to back"]
    title = f"Peak memory in all, in MB, after {int(PACED * seconds)} tasks ({bare_kb / KB_IN_MB:.1f} is Python alone)"
    tables.append(Table(title, columns, rows))
    ours = imports["provlight"]
    targets = [
        Target.below("import: ms", Spread.of(run["import_ms"] for run in ours).median, 25),
        Target.below(
            "import: MB over bare Python", Spread.of((run["import_kb"] - bare_kb) / KB_IN_MB for run in ours).median, 3
        ),
        Target.at_most("peak in all while sending, worst case: MB", worst, 24),
    ]
    return Part("footprint", tables, figures, targets)


def _light(lab: Lab, way: str, *arguments: float) -> dict[str, float]:
    words = [str(HERE / "light.py"), way, *map(str, arguments)]
    if arguments:
        words.append(str(lab.http_port))
    done = lab.process(way, words)
    out, err = done.communicate(timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"{way} failed:\n{err.strip()}")
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    return found
