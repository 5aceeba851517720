"""One measured process: ``python worker.py JSON`` runs what the argument asks for and prints its figures as JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from subjects import SUBJECTS, Values, numbers, workload

Call = Callable[[int, Values], None]


def main() -> None:
    asked = json.loads(sys.argv[1])
    modes = {"cost": cost, "send": send, "stamps": stamps, "overhead": overhead}
    print(json.dumps(modes[asked["mode"]](asked)))


class Run:
    """A subject, what its tasks use, and their identities."""

    def __init__(self, asked: dict[str, Any]) -> None:
        attributes = asked["attributes"]
        self.used, work = workload(attributes, asked.get("seed", 1), asked.get("duration_s", 0.0))
        self.subject = SUBJECTS[asked["subject"]](work, attributes, asked)
        self.numbers = numbers()

    def loop(self, call: Call, count: int, period_s: float = 0.0) -> tuple[list[float], float]:
        """Call so many times; returns the seconds of each call, and the CPU seconds of this thread for all."""
        used, variants, number, now = self.used, len(self.used), self.numbers, time.perf_counter
        spent = []
        own = time.thread_time()
        due = now()
        for position in range(count):
            if period_s:
                due += period_s
                left = due - now()
                if left > 0:
                    time.sleep(left)
            values = used[position % variants]
            identity = next(number)
            began = now()
            call(identity, values)
            spent.append(now() - began)
        return spent, time.thread_time() - own


def cost(asked: dict[str, Any]) -> dict[str, Any]:
    """Cost of capture: back to back and paced, each beside the same loop without capture."""
    run = Run(asked)
    run.loop(run.subject.alone, 100)
    run.loop(run.subject.task, asked["warm_up"])
    run.subject.flush(60)
    bursts = [_compare(run, asked["burst"], 0.0) for _ in range(asked["bursts"])]
    figures: dict[str, Any] = {
        "burst": {name: statistics.median(burst[name] for burst in bursts) for name in bursts[0]}
    }
    if asked["paced"]:
        figures["paced"] = _compare(run, asked["paced"], 1 / asked["rate"])
    figures["problem"] = run.subject.close()
    return figures


def _compare(run: Run, count: int, period_s: float) -> dict[str, float]:
    """Microseconds per task, less those of the task itself."""
    results = []
    for call in (run.subject.alone, run.subject.task):
        cpu = time.process_time()
        spent, own = run.loop(call, count, period_s)
        run.subject.flush(60)
        cpu = time.process_time() - cpu
        ordered = sorted(spent)
        results.append(
            {
                "wall": statistics.fmean(spent),
                "p50": ordered[count // 2],
                "p99": ordered[count * 99 // 100],
                "thread_cpu": own / count,
                "cpu": cpu / count,
            }
        )
    bare, captured = results
    return {name: (captured[name] - bare[name]) * 1e6 for name in bare}


def send(asked: dict[str, Any]) -> dict[str, Any]:
    """Capture so many tasks, as quickly as possible or paced, and wait until all is delivered."""
    run = Run(asked)
    _await(asked.get("start_at", 0.0))
    began = time.time()
    left = asked["tasks"]
    while left:  # in portions that fit any buffer
        count = min(left, asked.get("portion", left))
        run.loop(run.subject.task, count, asked.get("period_s", 0.0))
        left -= count
        if left:
            run.subject.flush(120)
    captured = time.time()
    delivered = run.subject.flush(120)
    ended = time.time()
    problem = run.subject.close()
    moments = {"began": began, "captured": captured, "ended": ended}
    return {**moments, "delivered": delivered, "problem": problem, "cpu": time.process_time()}


def stamps(asked: dict[str, Any]) -> dict[str, Any]:
    """Capture paced tasks and tell when ``end()`` of each returned, in seconds since 1970."""
    run = Run(asked)
    ended: dict[int, float] = {}

    def call(number: int, values: Values) -> None:
        run.subject.task(number, values)
        ended[number] = time.time()

    run.loop(run.subject.task, 5, asked["period_s"])
    run.subject.flush(60)
    run.loop(call, asked["tasks"], asked["period_s"])
    return {"ended": ended, "problem": run.subject.close()}


def overhead(asked: dict[str, Any]) -> dict[str, Any]:
    """Seconds of tasks that last, with and without capture, in turns."""
    run = Run(asked)
    count, rounds = asked["tasks"], []
    _await(asked["start_at"])
    for _ in range(asked["rounds"]):
        figures: dict[str, Any] = {}
        for name, call in (("without", run.subject.alone), ("with", run.subject.task)):
            cpu, began, done = time.process_time(), time.perf_counter(), 0
            for done in range(1, count + 1):
                call(next(run.numbers), run.used[done % len(run.used)])
                if done >= asked["at_least"] and time.perf_counter() - began > asked["limit_s"]:
                    break
            figures[name] = {
                "tasks": done,
                "wall_s": (time.perf_counter() - began) / done,
                "cpu_s": (time.process_time() - cpu) / done,
            }
        began = time.perf_counter()
        figures["delivered"] = run.subject.flush(asked["drain_s"])
        figures["drain_s"] = time.perf_counter() - began
        rounds.append(figures)
    return {"rounds": rounds, "problem": run.subject.close()}


def _await(moment: float) -> None:
    left = moment - time.time()
    if left > 0:
        time.sleep(left)


if __name__ == "__main__":
    main()
