"""(a) What the capture of a task costs the process that captures."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass

from lab import ATTRIBUTES, LABELS, Lab, Spread
from progress import say
from result import Part, Table, Target

SLOW = ("provlight-record", "openlineage", "http", "http-new", "http-requests")
"""These handle each record on its own; fewer tasks are enough."""


@dataclass(frozen=True)
class Size:
    """How much is measured: processes for each subject, tasks in a burst, bursts, seconds of paced tasks."""

    runs: int
    burst: int
    bursts: int
    paced_s: float


RATE = 300
_COLUMNS = {"wall": "caller, wall", "p50": "median call", "thread_cpu": "caller's thread, CPU", "cpu": "process, CPU"}


def measure(lab: Lab, size: Size) -> Part:
    """Interleaved: each round runs every subject once, in an order drawn anew."""
    found: dict[tuple[str, int], list[dict[str, dict[str, float]]]] = {}
    draw = random.Random(4)
    for number in range(size.runs):
        turns = [(subject, attributes) for subject in lab.subjects for attributes in ATTRIBUTES]
        draw.shuffle(turns)
        for subject, attributes in turns:
            found.setdefault((subject, attributes), []).append(_one(lab, size, subject, attributes))
        say(f"cost of a task: round {number + 1} of {size.runs}")
    return _part(lab, found)


def _one(lab: Lab, size: Size, subject: str, attributes: int) -> dict[str, dict[str, float]]:
    burst = max(10, size.burst // 10) if subject in SLOW else size.burst if attributes == 10 else size.burst // 2
    return lab.run(
        {
            "mode": "cost",
            "subject": subject,
            "attributes": attributes,
            "warm_up": min(200, burst),
            "burst": burst,
            "bursts": size.bursts,
            "paced": int(RATE * size.paced_s),
            "rate": RATE,
        }
    )


def _part(lab: Lab, found: dict[tuple[str, int], list[dict[str, dict[str, float]]]]) -> Part:
    tables, figures = [], {}
    for attributes in ATTRIBUTES:
        for pace, title in (("burst", "back to back"), ("paced", f"{RATE} tasks/s")):
            rows = []
            for subject in lab.subjects:
                runs = found[subject, attributes]
                spreads = {name: Spread.of(run[pace][name] for run in runs) for name in _COLUMNS}
                figures[f"{subject} {attributes} {pace}"] = {name: asdict(it) for name, it in spreads.items()}
                rows.append([LABELS[subject], *(spread.show() for spread in spreads.values())])
            heading = f"Cost of a task with {attributes} attributes, {title}, in us"
            tables.append(Table(heading, ["", *_COLUMNS.values()], rows))
    return Part("cost", tables, figures, _targets(lab, figures))


def _targets(lab: Lab, figures: dict[str, dict[str, dict[str, float]]]) -> list[Target]:
    def wall(subject: str, attributes: int) -> float:
        return figures[f"{subject} {attributes} burst"]["wall"]["median"]

    ours = wall("provlight", 10)
    targets = [
        Target.at_most("10 attributes, back to back: us in the caller", ours, 10),
        Target.at_most("100 attributes, back to back: us in the caller", wall("provlight", 100), 40),
    ]
    if "flowcept" in lab.subjects:
        for subject, how in (("flowcept", "an argument for each attribute"), ("flowcept-dict", "one argument")):
            ratio = wall(subject, 10) / ours
            targets.append(Target.at_least(f"10 attributes: times less than Flowcept's decorator, {how}", ratio, 2))
    ratio = wall("http", 10) / ours
    targets.append(Target.at_least("10 attributes: times less than the blocking client, with keep-alive", ratio, 26))
    ratio = wall("http-new", 10) / ours
    targets.append(Target.at_least("10 attributes: times less than the blocking client, new connections", ratio, 26))
    return targets
