"""(f) Many client processes at once: time, CPU, and whether everything is stored exactly once."""

from __future__ import annotations

import math
import time

from lab import ATTRIBUTES, Lab
from pipeline import fresh, seen_all
from progress import say
from result import Part, Table, Target
from servers import Service
from subjects import VARIANTS, workload

ATTRIBUTE_COUNT = ATTRIBUTES[0]


def measure(lab: Lab, clients: int, tasks: int) -> Part:
    """What ought to be stored is computed here, from the seeds of the clients."""
    with lab.served_by(fresh(lab, "fleet")) as service:
        start_at = time.time() + 1 + 0.12 * clients
        asked = {"mode": "send", "subject": "provlight", "attributes": ATTRIBUTE_COUNT, "tasks": tasks}
        before = service.cpu_s()
        processes = [lab.start({**asked, "seed": seed, "start_at": start_at}) for seed in range(clients)]
        ended = seen_all(service, clients * tasks, processes)
        results = [lab.finish(process, "fleet") for process in processes]
        served = service.cpu_s() - before
        wrong = _differences(service, clients, tasks)
    seconds = ended - min(result["began"] for result in results)
    cpu = sum(result["cpu"] for result in results)
    say(f"{clients} clients at once")
    figures = {"seconds": seconds, "clients_cpu_s": cpu, "service_cpu_s": served, "differences": wrong}
    row = [str(clients), str(2 * clients * tasks), f"{seconds:.2f}", f"{cpu:.2f}", f"{served:.2f}"]
    columns = ["clients", "records", "s until all is visible", "CPU s of the clients, import included"]
    columns += ["CPU s of the service", "stored exactly once"]
    table = Table(f"{clients} client processes at once", columns, [[*row, "; ".join(wrong) or "yes, all"]])
    target = Target(f"{clients} clients: all stored exactly once", "all", "; ".join(wrong) or "all", not wrong)
    return Part("fleet", [table], figures, [target])


def _differences(service: Service, clients: int, tasks: int) -> list[str]:
    """What differs from what ought to be there, in words."""
    number = clients * tasks
    expected: dict[str, tuple[int, float]] = {}
    sums = [0.0, 0.0]
    for seed in range(clients):
        used, work = workload(ATTRIBUTE_COUNT, seed)
        for position in range(tasks):
            values = used[position % VARIANTS]
            sums[0] += sum(values.values())
            sums[1] += sum(work(values).values())
    expected = {"used": (number, sums[0]), "generated": (number, sums[1])}
    wrong = []
    distinct = service.ask("SELECT count(*), count(DISTINCT CAST(client_id AS TEXT) || ' ' || key) FROM task")[0]
    if distinct != (number, number):
        wrong.append(f"{distinct[0]} tasks, {distinct[1]} of them distinct, where {number} were captured")
    terms = " + ".join(f"sum(a{column})" for column in range(ATTRIBUTE_COUNT))
    for name, (count, total) in expected.items():
        rows, found = service.ask(f"SELECT count(*), {terms} FROM {name}{ATTRIBUTE_COUNT}")[0]
        if rows != count or not math.isclose(found, total, rel_tol=1e-9):
            wrong.append(f"{name}: {rows} rows that sum up to {found}, where {count} and {total} were captured")
    lost, rejected = service.ask("SELECT sum(lost), sum(rejected) FROM client")[0]
    if lost or rejected:
        wrong.append(f"{lost} lost and {rejected} rejected")
    return wrong
