"""(d) The same with programs that capture: provlight as deployed, with its spool."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from lab import Spread
from progress import say
from result import Part, Table
from stand import ROOT, Stand

WORKER = ROOT / "benchmarks" / "capture" / "worker.py"
ATTRIBUTES = 5
PORTION = 5000
"""Tasks between two flushes: fewer than what the buffer of a device holds."""


@dataclass(frozen=True)
class Size:
    """Tasks of each client, numbers of clients at once, rounds."""

    tasks: int
    clients: tuple[int, ...]
    rounds: int


def measure(stand: Stand, size: Size) -> Part:
    """From the first ``begin()`` until all clients know that all is committed, and SQL counts it."""
    rows, figures = [], {}
    for number in size.clients:
        runs = [_run(stand, number, size.tasks) for _ in range(size.rounds)]
        rates = Spread.of(run["rate"] for run in runs)
        each = {part: statistics.median(run["cpu_us"][part] for run in runs) for part in runs[0]["cpu_us"]}
        figures[f"{number} clients"] = runs
        rows.append([str(number), str(2 * size.tasks * number), rates.show(0), *(f"{us:.1f}" for us in each.values())])
    say("records per second of real clients")
    columns = ["clients at once", "records", "records/s", "broker's CPU, us a record", "translator's", "database's"]
    columns.append("clients'")
    title = "Programs that capture tasks of 10 attributes as quickly as they can, with spool"
    return Part("clients", [Table(title, columns, rows)], figures)


def _run(stand: Stand, clients: int, tasks: int) -> dict[str, Any]:
    table = f"SELECT count(*) FROM generated{ATTRIBUTES}"
    before = stand.ask(table)[0][0]
    asked = {"mode": "send", "subject": "provlight", "attributes": ATTRIBUTES, "tasks": tasks, "portion": PORTION}
    asked["start_at"] = time.time() + 1 + 0.2 * clients
    environment = {
        **os.environ,
        **stand.environment(),
        "PYTHONPATH": str(ROOT),
        "PROVLIGHT_SPOOL_DIR": str(stand.folder.root.with_name("spool")),
    }
    cpu = stand.cpu()
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), json.dumps({**asked, "seed": number})],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(clients)
    ]
    results = []
    for process in processes:
        out, _ = process.communicate(timeout=600)
        if process.returncode:
            sys.exit(f"a client failed with code {process.returncode}")
        results.append(json.loads(out.splitlines()[-1]))
    stored = stand.ask(table)[0][0] - before
    if stored != clients * tasks or any(result["problem"] for result in results):
        sys.exit(f"{stored} of {clients * tasks} tasks are stored: {[result['problem'] for result in results]}")
    records = 2 * tasks * clients
    spent = {part: seconds - cpu[part] for part, seconds in stand.cpu().items()}
    spent["clients"] = sum(result["cpu"] for result in results)
    ordered = {part: spent[part] / records * 1e6 for part in ("broker", "translator", "database", "clients")}
    seconds = max(result["ended"] for result in results) - min(result["began"] for result in results)
    return {"rate": records / seconds, "cpu_us": ordered}
