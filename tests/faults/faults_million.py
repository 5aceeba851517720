"""Many records while every part is killed at random: is each stored once, and how soon is each part back?

    python tests/faults/faults_million.py --records 1000000 --seed 1        # as root

Every client runs with ``durability=record``: each task of their journals, which are all that is known of what must be
in the database, has to be there exactly once, in the order of its thread. The parts are taken in turns, in an order
drawn anew for each turn, after pauses of random length, so a part may be killed while another one starts again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults_campaign import Campaign, end_process
from faults_million_client import LINE
from faults_network import Network

CLIENTS = 3
PARTS = ("client", "broker", "translator", "database", "supervisor")
LINE_BYTES = len(LINE % 0)
LIMIT_S = 3.0
"""How soon a part has to be back; judged by whoever reads the report."""

PATIENCE_S = 120.0
POLL_S = 0.01


@dataclass
class Report:
    """What happened, and what is wrong."""

    records: int = 0
    seconds: float = 0.0
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    back_s: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})
    memory_mb: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "kills": self.kills,
            "seconds until ready again, median": {part: _round(statistics.median(each)) for part, each in self._some()},
            "seconds until ready again, most": {part: _round(max(each)) for part, each in self._some()},
            f"all under {LIMIT_S:g} s": all(max(each) < LIMIT_S for _, each in self._some()),
            "resident MB at the end": {part: round(size) for part, size in self.memory_mb.items()},
            "seconds": round(self.seconds, 1),
            "faults": self.faults,
        }

    def _some(self) -> list[tuple[str, list[float]]]:
        return [(part, found) for part, found in self.back_s.items() if found]


class Million(Campaign):
    """Clients that have a goal, and a watch on what is away."""

    def __init__(self, folder: Path, network: Network, seed: int) -> None:
        super().__init__(folder, network, seed, CLIENTS, range(CLIENTS), "faults_million_client.py")
        self.report = Report()
        self._away: dict[str, tuple[float, int]] = {}  # since when, and the process that was killed
        self._turn: list[str] = []

    def captured(self) -> int:
        """Records that clients know to be on the disk."""
        lines = sum(path.stat().st_size // LINE_BYTES for path in self._folder.glob("journal-*"))
        return 2 * lines

    def capture(self, records: int, pause_s: float, progress: bool) -> None:
        """Kill until so many are captured, and every part has been killed."""
        told = 0
        while (done := self.captured()) < records or not all(self.report.kills.values()):
            if progress and done - told >= records // 20:
                told = done
                print(f"{done} records captured, {sum(self.report.kills.values())} kills", file=sys.stderr)
            until = time.monotonic() + self._chance.expovariate(1 / pause_s)
            while time.monotonic() < until:
                self._look()
                time.sleep(POLL_S)
            if not self._turn:
                self._turn = self._chance.sample(PARTS, len(PARTS))
            alive = [part for part in self._turn if part not in self._away]
            if alive:
                self._turn.remove(alive[0])
                self._strike(alive[0])
        began = time.monotonic()
        while self._away and time.monotonic() - began < PATIENCE_S:
            self._look()
            time.sleep(POLL_S)
        self.report.faults += [f"the {part} did not come back" for part in self._away]

    def _strike(self, part: str) -> None:
        self.report.kills[part] += 1
        if part == "client":
            slot = self._chance.randrange(CLIENTS)
            end_process(self._slots[slot], signal.SIGKILL)
            since, run = time.monotonic(), self.outcome.runs + 1
            self.start(slot)
            self._away["client"] = since, run
        elif part == "supervisor":
            assert self._service is not None
            since = time.monotonic()
            end_process(self._service, signal.SIGKILL)
            self.serve()
            self.report.back_s[part].append(time.monotonic() - since)
            self._away = {one: found for one, found in self._away.items() if one == "client"}  # the others died with it
        else:
            pid = self._state()[part]["pid"]
            self._away[part] = time.monotonic(), pid
            os.kill(pid, signal.SIGKILL)

    def _look(self) -> None:
        """Note what is back. A client is when its first task has ended."""
        for part, (since, before) in list(self._away.items()):
            if part == "client":
                back = any(path.stat().st_size for path in self._folder.glob(f"journal-*-{before}0?"))
            else:
                now = self._state()[part]
                back = now["state"] == "ready" and now["pid"] != before
            if back:
                self.report.back_s[part].append(time.monotonic() - since)
                del self._away[part]

    def measure(self) -> None:
        """Memory of the parts, and the records that the journals hold."""
        self.report.records = self.captured()
        for name, child in self._state().items():
            lines = Path(f"/proc/{child['pid']}/status").read_text().splitlines()
            self.report.memory_mb[name] = next(int(one.split()[1]) / 1000 for one in lines if one.startswith("VmRSS:"))

    def _state(self) -> dict[str, dict[str, Any]]:
        state = json.loads((self._folder / "data/run/supervisor.json").read_text())
        return {child["name"]: child for child in state["children"]}


def run(records: int, seed: int, pause_s: float = 1.0, progress: bool = False) -> Report:
    """A whole campaign."""
    began = time.monotonic()
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="e2c-million-", dir="/var/tmp")))
        network = cleanup.enter_context(Network(CLIENTS, 0))
        campaign = Million(folder, network, seed)
        cleanup.callback(campaign.end)
        campaign.serve()
        for slot in range(CLIENTS):
            campaign.start(slot)
        campaign.capture(records, pause_s, progress)
        campaign.settle()
        campaign.measure()
        campaign.verify()
    campaign.report.faults += campaign.outcome.faults
    campaign.report.seconds = time.monotonic() - began
    return campaign.report


def _round(seconds: float) -> float:
    return round(seconds, 2)


def main() -> int:
    """``python tests/faults/faults_million.py``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds between two kills")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args()
    print(f"seed {given.seed}", file=sys.stderr)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaves nothing behind
    report = run(given.records, given.seed, given.pause, progress=True)
    print(json.dumps(report.as_dict(), indent=2))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
