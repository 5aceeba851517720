"""An application whose threads capture one task after the other, with short pauses.

``python faults_million_client.py SLOT RUN JOURNAL``; the settings of provlight come from the environment. Each thread
keeps a journal, with a line of fixed length for each task whose ``end()`` returned. Thread ``n`` calls itself run
``RUN * 100 + n``, and its journal has that number too. Ends at SIGTERM.
"""

import os
import random
import signal
import sys
import threading
import time

from provlight import Data, Task, Workflow

DATAFLOW, TRANSFORMATION = "faults", "step"
THREADS = 4
"""Their records share each waiting for the disk."""

PAUSE_S = 0.012
"""Longest: clients are to leave the processor to the service, which has no other in this test."""

LINE = b"%08d\n"
stopping = threading.Event()


def capture(workflow, slot, run, journal):
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    chance, number = random.Random(run), 0
    while not stopping.is_set():
        number += 1
        given = {"slot": slot, "run": run, "number": number}
        task = Task(f"{run}-{number}", workflow, TRANSFORMATION)
        task.begin([Data("step_input", DATAFLOW, [], given)])
        task.end([Data("step_output", DATAFLOW, [], dict(given, square=float(number) ** 2))])
        os.write(descriptor, LINE % number)
        time.sleep(chance.random() * PAUSE_S)


def main(slot, run, journal):
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    workflow = Workflow(DATAFLOW).begin()
    threads = []
    for number in range(run * 100, run * 100 + THREADS):
        path = os.path.join(os.path.dirname(journal), f"journal-{slot}-{number}")
        threads.append(threading.Thread(target=capture, args=(workflow, slot, number, path)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    workflow.end()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
