"""A process for memory: ``python light.py WAY ATTRIBUTES TASKS PERIOD`` imports and captures, then tells its peak.

It imports as little as it can itself, so that what is counted belongs to the library.
"""

from __future__ import annotations

import sys
import time

IMPORTS = {
    "bare": "pass",
    "provlight": "import provlight",
    "flowcept": "from flowcept import Flowcept, flowcept_task",
    "openlineage": "from openlineage.client import OpenLineageClient, event_v2\n"
    "from openlineage.client.transport.async_http import AsyncHttpTransport",
    "http": "import http.client, json",
    "http-requests": "import requests, json",
}


def main() -> None:
    began = time.perf_counter()
    exec(IMPORTS[sys.argv[1]])
    milliseconds = (time.perf_counter() - began) * 1000
    after_import = peak_kb()
    if len(sys.argv) > 2:
        send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]))
    print('{"import_ms": %f, "import_kb": %d, "peak_kb": %d}' % (milliseconds, after_import, peak_kb()))  # noqa: UP031


def send(subject: str, attributes: int, tasks: int, period_s: float, port: int) -> None:
    from subjects import SUBJECTS, workload

    used, work = workload(attributes, 3)
    chosen = SUBJECTS[subject](work, attributes, {"host": "127.0.0.1", "port": port})
    due = time.perf_counter()
    for number in range(1, tasks + 1):
        due += period_s
        left = due - time.perf_counter()
        if left > 0:
            time.sleep(left)
        chosen.task(number, used[number % len(used)])
    chosen.flush(60)
    chosen.close()


def peak_kb() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
