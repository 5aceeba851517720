"""Chained sets through the whole service: with applications of their own, without a pause, and with parts that die."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_parts import CHAINED, begins, ends
from provenance_parts import Device, Publisher, Service, begin, end

from e2c.provenance.folder import DataFolder
from e2c.provenance.queries import ask
from e2c.provenance.reporting.status import drain

pytestmark = [pytest.mark.broker, pytest.mark.monetdb]

CONSUMER = """
from provlight.data import Data
from provlight.task import Task
from provlight.workflow import Workflow
flow = Workflow("chained")
task = Task("c", flow, "use", dependencies=["p1", "p2"])
task.begin()
task.end(Data("y", flow.id, [], {"v": 3}))
with Task("seen", flow, "look", dependencies=["p1"]) as look:
    look.used("x", {})
"""

PRODUCER = """
from provlight.data import Data
from provlight.task import Task
from provlight.workflow import Workflow
flow = Workflow("chained")
for number in (1, 2):
    with Task("p{}".format(number), flow, "make") as task:
        task.generated(Data("x", flow.id, [], {"v": 10 * number}))
with Task("l", flow, "last", dependencies=["c"]):
    pass
"""


def application(service: Service, text: str, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("edge\nsecret-of-edge\n")
    credentials.chmod(0o600)
    environment = {
        "PROVLIGHT_SERVER_URL": "127.0.0.1",
        "PROVLIGHT_SERVER_PORT": str(service.port),
        "PROVLIGHT_CREDENTIALS": str(credentials),
        "PROVLIGHT_FLUSH_TIMEOUT": "30",
    }
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""


def rows(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    with ask(folder, sql) as answer:
        return list(answer.rows)


def links(folder: DataFolder, table: str, producer: str, consumer: str) -> set[tuple[Any, ...]]:
    return set(
        rows(
            folder,
            f"SELECT s.v, p.key, c.key FROM {table} AS s JOIN task AS p ON p.id = s.{producer}_task_id "
            f"LEFT JOIN task AS c ON c.id = s.{consumer}_task_id",
        )
    )


@pytest.fixture
def chained(serve: Callable[..., Service], tmp_path: Path) -> Service:
    declared = tmp_path / "chained.json"
    declared.write_text(json.dumps({"dataflows": [CHAINED]}))
    return serve("--dataflow", str(declared))


@pytest.mark.parametrize("kill", ["", "translator", "database"])
def test_two_applications_of_which_the_consumer_comes_first(chained: Service, tmp_path: Path, kill: str) -> None:
    application(chained, CONSUMER, tmp_path)
    if kill:
        os.kill(chained.children()[kill], signal.SIGKILL)
    application(chained, PRODUCER, tmp_path)
    if kill:
        os.kill(chained.children()[kill], signal.SIGKILL)
    drain(chained.folder, 60)
    assert links(chained.folder, "x", "make", "use") == {(10.0, "p1", "c"), (20.0, "p2", "c")}
    assert links(chained.folder, "x", "make", "look") == {(10.0, "p1", "seen"), (20.0, "p2", None)}
    assert links(chained.folder, "y", "use", "last") == {(3.0, "c", "l")}
    assert rows(chained.folder, "SELECT (SELECT count(*) FROM awaited_task), (SELECT count(*) FROM awaited_set)") == [
        (0, 0)
    ]


def test_links_appear_while_records_come_without_a_pause(chained: Service) -> None:
    chain, busy = Device(), Device()
    publishers = [Publisher(device, "127.0.0.1", chained.port) for device in (chain, busy)]
    try:
        publishers[0].send(chain.batch(begins("use", "c", ["p"])))
        publishers[0].send(chain.batch(begins("make", "p"), ends("make", "p", ("x", [1]))))
        deadline = time.monotonic() + 60
        number = 0
        while links(chained.folder, "x", "make", "use") != {(1.0, "p", "c")}:
            assert time.monotonic() < deadline
            for _ in range(20):  # far more often than the service would call itself idle
                number += 1
                publishers[1].send(busy.batch(begin(number, 1, 1, 1, 1), end(number, 0.5, 1)))
                publishers[1].pause(0.005)
        for publisher in publishers:
            publisher.finish(60)
    finally:
        for publisher in publishers:
            publisher.close()
