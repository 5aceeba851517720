"""An application that captures tasks as fast as it may, and keeps a journal of those whose ``end()`` returned.

``python faults_client.py SLOT RUN JOURNAL``; the settings of provlight come from the environment. Ends at SIGTERM.
"""

import os
import random
import signal
import sys
import time

from provlight import Data, Task, Workflow

DATAFLOW, TRANSFORMATION = "faults", "step"
stopping = []


def main(slot, run, journal):
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    chance = random.Random(run)
    workflow = Workflow(DATAFLOW).begin()
    number = 0
    while not stopping:
        number += 1
        given = {"slot": slot, "run": run, "number": number}
        task = Task(number, workflow, TRANSFORMATION, dependencies=[number - 1] if number > 1 else [])
        task.begin([Data("step_input", DATAFLOW, [], given)])
        task.end([Data("step_output", DATAFLOW, [], dict(given, square=float(number) ** 2))])
        os.write(descriptor, b"%d\n" % number)
        time.sleep(chance.random() * 0.004)
    workflow.end()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
