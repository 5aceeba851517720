"""Measures capture side by side with its peers: ``.venv/bin/python benchmarks/capture``; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cost
import fleet
import footprint
import overhead
import pipeline
import report
import wire
from lab import Lab, standing
from progress import say
from result import Part

RESULTS = Path(__file__).with_name("results")
README = Path(__file__).parents[1] / "README.md"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    cost: cost.Size
    wire_tasks: int
    imports: int
    sending_s: float
    pipeline: tuple[int, tuple[int, ...], int, int]
    overhead: overhead.Size
    fleet: tuple[int, int]


PLANS = {
    "full": Plan(
        cost=cost.Size(runs=5, burst=2000, bursts=4, paced_s=1.2),
        wire_tasks=1000,
        imports=15,
        sending_s=5,
        pipeline=(10000, (1, 2, 4), 200, 3),
        overhead=overhead.Size(durations_s=(0.5, 1, 3.5, 5), turn_s=25, rounds=3, drain_s=60),
        fleet=(64, 100),
    ),
    "quick": Plan(
        cost=cost.Size(runs=1, burst=1000, bursts=3, paced_s=0.3),
        wire_tasks=100,
        imports=2,
        sending_s=0.2,
        pipeline=(2000, (1,), 40, 1),
        overhead=overhead.Size(durations_s=(0.5,), turn_s=5, rounds=1, drain_s=10),
        fleet=(64, 20),
    ),
    "tiny": Plan(
        cost=cost.Size(runs=1, burst=20, bursts=1, paced_s=0.05),
        wire_tasks=20,
        imports=1,
        sending_s=0.05,
        pipeline=(20, (1,), 5, 1),
        overhead=overhead.Size(durations_s=(0.1,), turn_s=1, rounds=1, drain_s=5),
        fleet=(3, 5),
    ),
}


def main() -> None:
    chosen = _arguments()
    plan = PLANS[chosen.size]
    settings = dict(word.split("=", 1) for word in chosen.set)
    say(f"{chosen.size}: {', '.join(chosen.only)}")
    parts = []
    with standing(chosen.peers, settings) as lab:
        for name, measure in _parts(lab, plan, settings).items():
            if name in chosen.only:
                parts.append(measure())
        output = chosen.output or (RESULTS if _whole(chosen) else Path(tempfile.mkdtemp(prefix="e2c-capture-")))
        document = report.write(output, parts, lab, chosen.size, settings)
    if chosen.output is None and _whole(chosen):
        report.put_into(README, document)
        say(f"{README} holds the new tables")
    print(document)
    say(f"written to {output}")


def _parts(lab: Lab, plan: Plan, settings: dict[str, str]) -> dict[str, Callable[[], Part]]:
    return {
        "cost": lambda: cost.measure(lab, plan.cost),
        "wire": lambda: wire.measure(lab, plan.wire_tasks),
        "footprint": lambda: footprint.measure(lab, plan.imports, plan.sending_s),
        "pipeline": lambda: pipeline.measure(lab, *plan.pipeline),
        "overhead": lambda: overhead.measure(plan.overhead, settings),
        "fleet": lambda: fleet.measure(lab, *plan.fleet),
    }


def _whole(chosen: argparse.Namespace) -> bool:
    """Only what is complete replaces the figures of the documentation."""
    return chosen.size == "full" and chosen.peers and not chosen.set and len(chosen.only) == len(_NAMES)


_NAMES = ("cost", "wire", "footprint", "pipeline", "overhead", "fleet")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="capture", description=__doc__)
    parser.set_defaults(size="full")
    sizes = parser.add_mutually_exclusive_group()
    for size, text in (("quick", "less of everything, under 2 minutes"), ("tiny", "only whether it works")):
        sizes.add_argument(f"--{size}", dest="size", action="store_const", const=size, help=text)
    parser.add_argument(
        "--only", type=_names, default=_NAMES, metavar="PARTS", help=f"some of {','.join(_NAMES)}, with commas"
    )
    parser.add_argument(
        "--without-peers", dest="peers", action="store_false", help="install nothing; no plot is made either"
    )
    parser.add_argument(
        "--set", action="append", default=[], type=_setting, metavar="PROVLIGHT_X=Y", help="a setting of ProvLight"
    )
    parser.add_argument(
        "--output", type=Path, help="folder to write into (default: results beside the program for a full run)"
    )
    chosen = parser.parse_args()
    if shutil.which("mosquitto") is None:
        parser.error("mosquitto is not installed, and the provenance service needs it")
    return chosen


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in _NAMES:
            raise argparse.ArgumentTypeError(f"there is no part {name}; parts are {', '.join(_NAMES)}")
    return names


def _setting(text: str) -> str:
    if "=" not in text or not text.startswith("PROVLIGHT_"):
        raise argparse.ArgumentTypeError("a setting is written PROVLIGHT_NAME=VALUE")
    return text


if __name__ == "__main__":
    main()
