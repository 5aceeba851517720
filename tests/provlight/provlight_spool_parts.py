"""Programs that capture into a spool and are killed, and what arrived."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from provlight_broker import ROOT, Broker, Translator

from provlight.settings import Settings
from provlight.spool import drain
from provlight.wire import TASK_BEGIN

# Prints a task's number once the call that captured it has returned.
ENDLESS = """
import itertools, sys
from provlight import Data, Task
first, count = int(sys.argv[1]), int(sys.argv[2])
for number in itertools.islice(itertools.count(first), count):
    Task(number, "w", "training").begin([Data("training_input", "w", [], {"x": [number, number / 2]})])
    sys.stdout.write("%d\\n" % number)
    sys.stdout.flush()
"""


def environment(broker: Broker, spool: Path, **more: str) -> dict[str, str]:
    return {**broker.environment(), "PROVLIGHT_SPOOL_DIR": str(spool), **more}


def killed(program: str, variables: dict[str, str], first: int, lines: int) -> list[int]:
    """Start a program, kill it after so many lines, and return the numbers it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(first), str(10**9)],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        printed = [int(process.stdout.readline()) for _ in range(lines)]
    finally:
        process.kill()
        rest = process.stdout.read()
        process.stdout.close()
        process.wait()
    # The last line may have been cut.
    return printed + [int(line) for line in rest.rpartition("\n")[0].split()]


def begun(translator: Translator) -> list[int]:
    return [record.task for record in translator.records() if record.kind == TASK_BEGIN]


def contiguous(translator: Translator) -> bool:
    by_client: dict[str, list[int]] = {}
    for batch in translator.batches:
        by_client.setdefault(batch.client, []).append(batch.seq)
    return all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_client.values())


def sent(broker: Broker, spool: Path, timeout: float = 60) -> None:
    """Deliver what the spool holds."""
    settings = Settings({**broker.settings(), "spool_dir": str(spool)}, {})
    done = drain(settings, timeout)
    assert (done.left, done.error) == ([], "")
