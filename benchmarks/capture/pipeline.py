"""(d) From the device to the database: records per second, and how soon after ``end()`` a task is seen by SQL."""

from __future__ import annotations

import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from lab import ATTRIBUTES, Lab
from progress import say
from result import Part, Table
from servers import Service

FINISHED = "SELECT count(*) FROM task WHERE status = 'FINISHED'"
POLL_S = 0.002
LIMIT_S = 180.0


def measure(lab: Lab, tasks: int, clients: tuple[int, ...], paced: int, runs: int) -> Part:
    """Each figure with a database of its own, empty at first."""
    rows, figures = [], {}
    for number in clients:
        for attributes in ATTRIBUTES:
            count = tasks if attributes == 10 else tasks // 5
            rates = [_rate(lab, number, attributes, count) for _ in range(runs)]
            figures[f"{number} clients, {attributes} attributes"] = rates
            shown = (statistics.median(rates), min(rates), max(rates))
            rows.append([str(number), str(attributes), str(2 * count * number), *(f"{rate:.0f}" for rate in shown)])
    say("records per second, end to end")
    columns = ["clients at once", "attributes", "records", "records/s, median", "least", "greatest"]
    tables = [
        Table("From the first begin() to the last record visible in SQL, as quickly as the clients can", columns, rows)
    ]
    rows = []
    for attributes in ATTRIBUTES:
        delays = sorted(_delays(lab, attributes, paced))
        shown_ms = [1000 * delays[int(len(delays) * part)] for part in (0.5, 0.95)] + [1000 * delays[-1]]
        figures[f"latency ms, {attributes} attributes"] = [1000 * delay for delay in delays]
        rows.append([str(attributes), *(f"{value:.0f}" for value in shown_ms)])
    say("latency from end() to SQL")
    title = f"From the return of end() to visible in SQL, ms ({paced} tasks, 20 a second)"
    tables.append(Table(title, ["attributes", "median", "95 %", "greatest"], rows))
    return Part("pipeline", tables, figures)


def fresh(lab: Lab, name: str) -> Service:
    """A service with an empty database, in place of the lab's own for as long as it lives."""
    folder = Path(lab.folder / f"{name}-{time.monotonic_ns()}")
    folder.mkdir()
    return Service(folder, ATTRIBUTES)


def _rate(lab: Lab, clients: int, attributes: int, tasks: int) -> float:
    with lab.served_by(fresh(lab, "rate")) as service:
        asked = {"mode": "send", "subject": "provlight", "attributes": attributes, "tasks": tasks}
        asked["start_at"] = time.time() + 1 + 0.2 * clients
        processes = [lab.start({**asked, "seed": number}) for number in range(clients)]
        ended = seen_all(service, clients * tasks, processes)
        results = [lab.finish(process, "end to end") for process in processes]
    return 2 * clients * tasks / (ended - min(result["began"] for result in results))


def seen_all(service: Service, tasks: int, processes: list[subprocess.Popen[str]]) -> float:
    """The moment at which so many finished tasks are visible; gives up when a process fails."""
    deadline = time.time() + LIMIT_S
    while service.ask(FINISHED)[0][0] < tasks:
        failed = any(process.poll() for process in processes)
        if failed or time.time() > deadline:
            found = service.ask(FINISHED)[0][0]
            for process in processes:
                process.kill()
            why = "a client failed" if failed else f"{LIMIT_S:g} s have passed"
            raise SystemExit(f"only {found} of {tasks} tasks are in the database: {why}")
        time.sleep(5 * POLL_S)
    return time.time()


def _delays(lab: Lab, attributes: int, tasks: int) -> list[float]:
    """A client's tasks become visible in their order, so their number tells which ones have."""
    with lab.served_by(fresh(lab, "latency")) as service:
        asked: dict[str, Any] = {"mode": "stamps", "subject": "provlight", "attributes": attributes}
        process = lab.start({**asked, "tasks": tasks, "period_s": 0.05})
        moments: list[float] = []
        deadline = time.time() + LIMIT_S
        while len(moments) < tasks + 5 and time.time() < deadline:
            visible = service.ask(FINISHED)[0][0]
            moments += [time.time()] * (visible - len(moments))
            time.sleep(POLL_S)
        ended = lab.finish(process, "latency")["ended"]
    return [moments[int(number) - 1] - moment for number, moment in ended.items()]
