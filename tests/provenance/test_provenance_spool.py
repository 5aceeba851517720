"""A capturing process that is killed again and again, against the whole service: nothing is lost or stored twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from provenance_parts import Asker, Service

from e2c.provenance.connections import connect
from provlight.settings import Settings
from provlight.spool import drain

pytestmark = [pytest.mark.broker, pytest.mark.monetdb]

PROGRAM = """
import itertools, sys
from provlight import Data, Task
for number in itertools.count(int(sys.argv[1])):
    task = Task(number, "model_training", "training")
    task.begin([Data("training_input", "w", [], {"kernel_size": number, "num_kernels": 1, "length_of_strides": 1,
                                                   "pooling_size": 1})])
    task.end([Data("training_output", "w", [], {"accuracy": 0.5, "training_time": number})])
    sys.stdout.write("%d\\n" % number)
    sys.stdout.flush()
"""


def test_a_killed_client_a_killed_translator_and_a_killed_database_lose_nothing(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    service = serve()
    credentials = tmp_path / "credentials"
    credentials.write_text("edge\nsecret-of-edge\n")
    spool = tmp_path / "spool"
    address = f"127.0.0.1:{service.port}"
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PROVLIGHT_")},
        "PROVLIGHT_SERVER_URL": address,
        "PROVLIGHT_CREDENTIALS": str(credentials),
        "PROVLIGHT_SPOOL_DIR": str(spool),
        "PROVLIGHT_DURABILITY": "record",
    }
    expected: list[int] = []
    for life, victim in enumerate(("", "translator", "", "database", "broker", "")):
        command = [sys.executable, "-c", PROGRAM, str(life * 10**6)]
        process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(40)]
        if victim:
            (number,) = [pid for name, pid in service.children().items() if name.startswith(victim)]
            os.kill(number, signal.SIGKILL)
        lines += [process.stdout.readline() for _ in range(20)]
        process.kill()
        rest = process.stdout.read().rpartition("\n")[0]
        process.stdout.close()
        process.wait()
        expected += [int(line) for line in [*lines, *rest.split()]]
    given = {"server_url": address, "credentials": str(credentials), "spool_dir": str(spool)}
    done = drain(Settings(given, {}), 120)
    assert (done.left, done.error) == ([], "")
    with closing(connect(service.folder)) as connection:
        ask = Asker(connection)
        begun = [int(key) for (key,) in ask("SELECT key FROM task ORDER BY id")]
        ended = [int(key) for (key,) in ask("SELECT key FROM task WHERE status = 'FINISHED'")]
        assert len(begun) == len(set(begun))
        assert set(expected) <= set(ended)
        assert len(begun) <= len(expected) + 6  # one call may have been under way at each death
        assert ask("SELECT count(*) FROM loss") == [(0,)]
        rows = ask("SELECT count(*), count(DISTINCT kernel_size) FROM training_input")
        assert rows == [(len(begun), len(begun))]
