"""Loads the provenance service and measures it: ``.venv/bin/python benchmarks/load``; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "capture"))  # tables, targets and the service are those of the other benchmark

import clients  # noqa: E402
import curve  # noqa: E402
import latency  # noqa: E402
import peer  # noqa: E402
import report  # noqa: E402
import through  # noqa: E402
from lab import DISK  # noqa: E402
from progress import say  # noqa: E402
from result import Part  # noqa: E402
from stand import Stand  # noqa: E402

RESULTS = HERE / "results"
README = HERE.parent / "README.md"
BEGIN, END = "<!-- load: written by benchmarks/load -->", "<!-- load: end -->"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rate: through.Size
    clients: clients.Size
    curve: curve.Size
    messages: int


PLANS = {
    "full": Plan(
        rate=through.Size(records=200_000, rounds=5, peer_messages=400),
        clients=clients.Size(tasks=50_000, clients=(1, 2, 4), rounds=3),
        curve=curve.Size(points=(10_000, 100_000, 1_000_000, 3_000_000, 10_000_000), window=10_240, rounds=8),
        messages=200,
    ),
    "quick": Plan(
        rate=through.Size(records=50_000, rounds=2, peer_messages=100),
        clients=clients.Size(tasks=5_000, clients=(1, 2), rounds=1),
        curve=curve.Size(points=(10_000, 100_000), window=10_240, rounds=2),
        messages=20,
    ),
    "tiny": Plan(
        rate=through.Size(records=1000, rounds=1, peer_messages=4),
        clients=clients.Size(tasks=100, clients=(1,), rounds=1),
        curve=curve.Size(points=(2_000, 4_000), window=256, rounds=1),
        messages=2,
    ),
}
NAMES = ("rate", "clients", "curve", "latency")


def main() -> None:
    chosen = _arguments()
    say(f"{chosen.size}: {', '.join(chosen.only)}")
    python = peer.environment() if chosen.peers else None
    parts = [_measured(name, PLANS[chosen.size], python) for name in chosen.only]
    whole = chosen.size == "full" and chosen.peers and chosen.only == NAMES
    output = chosen.output or (RESULTS if whole else Path(tempfile.mkdtemp(prefix="e2c-load-")))
    document = _write(output, parts, chosen.size, python)
    if chosen.output is None and whole:
        report.put_into(README, document, BEGIN, END)
        say(f"{README} holds the new tables")
    print(document)
    say(f"written to {output}")


def _measured(name: str, plan: Plan, python: Path | None) -> Part:
    """Each part has a service of its own, empty at first."""
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="e2c-load-", dir=DISK)))
        stand = Stand(folder)
        cleanup.callback(stand.close)
        other = cleanup.enter_context(peer.standing(stand, python)) if python and name == "rate" else None
        measure: dict[str, Callable[[], Part]] = {
            "rate": lambda: through.measure(stand, plan.rate, other),
            "clients": lambda: clients.measure(stand, plan.clients),
            "curve": lambda: curve.measure(stand, plan.curve),
            "latency": lambda: latency.measure(stand, plan.messages),
        }
        return measure[name]()


def _write(output: Path, parts: Sequence[Part], size: str, python: Path | None) -> str:
    output.mkdir(parents=True, exist_ok=True)
    facts = report.about(size, python is not None, {})
    document = report.document(parts, [], facts)
    figures = {
        "about": facts,
        "targets": [asdict(target) for part in parts for target in part.targets],
        "parts": {part.name: part.figures for part in parts},
        "tables": [asdict(table) for part in parts for table in part.tables],
    }
    (output / "load.json").write_text(json.dumps(figures, indent=1) + "\n")
    (output / "load.md").write_text(document + "\n")
    if python is not None:
        for name in ("load.svg", "load.png"):
            command = [str(python), str(HERE / "drawing.py"), str(output / "load.json"), str(output / name)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                say(f"no plot: {done.stderr.strip()}")
    return document


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.set_defaults(size="full")
    sizes = parser.add_mutually_exclusive_group()
    for size, text in (("quick", "less of everything, about a minute"), ("tiny", "only whether it works")):
        sizes.add_argument(f"--{size}", dest="size", action="store_const", const=size, help=text)
    parser.add_argument(
        "--only", type=_names, default=NAMES, metavar="PARTS", help=f"some of {','.join(NAMES)}, with commas"
    )
    parser.add_argument(
        "--without-peers", dest="peers", action="store_false", help="install nothing; no plot is made either"
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
        if name not in NAMES:
            raise argparse.ArgumentTypeError(f"there is no part {name}; parts are {', '.join(NAMES)}")
    return names


if __name__ == "__main__":
    main()
