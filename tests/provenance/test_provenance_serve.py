"""The whole service: real broker, real database, real ProvLight, and what happens when parts of it are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from provenance_parts import Device, Publisher, Service, begin, end

from e2c.errors import ProvenanceError
from e2c.provenance.folder import DataFolder
from e2c.provenance.queries import ask
from e2c.provenance.reporting.status import drain, report, stop

pytestmark = [pytest.mark.broker, pytest.mark.monetdb]

APPLICATION = """
import sys
from provlight.workflow import Workflow
from provlight.task import Task
from provlight.data import Data
topic, workflow = sys.argv[1], Workflow(sys.argv[2])
workflow.begin()
for i in range(1, 10):
    task = Task(int(topic + str(i)), workflow, "training", dependencies=[int(topic + str(i - 1))] if i > 1 else [])
    task.begin([Data("training_input", workflow.id, [], {"model_hyperparameters": [i, 2 * i, 1, 2]})])
    task.end([Data("training_output", workflow.id, [], {"model_performance": [0.8 + i / 45, i / 3]})])
workflow.end()
"""


def run(*arguments: str, data: DataFolder, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "e2c.provenance", arguments[0], "--data", str(data.root), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=check)


def rows(folder: DataFolder, sql: str) -> list[tuple[Any, ...]]:
    with ask(folder, sql) as answer:
        return list(answer.rows)


def application(service: Service, address: str, topic: int, workflow: str, tmp_path: Path) -> None:
    credentials = tmp_path / f"credentials{topic}"
    credentials.write_text("edge\nsecret-of-edge\n")
    credentials.chmod(0o600)
    environment = {
        "PROVLIGHT_SERVER_URL": address,
        "PROVLIGHT_SERVER_PORT": str(service.port),
        "PROVLIGHT_SERVER_TOPIC": str(topic),
        "PROVLIGHT_CREDENTIALS": str(credentials),
        "PROVLIGHT_FLUSH_TIMEOUT": "30",
    }
    done = subprocess.run(
        [sys.executable, "-c", APPLICATION, str(topic), workflow],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""


def test_the_tutorial_end_to_end(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve("--bind", "127.0.0.1", "--bind", "::1", "--partitions", "2")
    application(service, "127.0.0.1", 1, "model_training", tmp_path)
    application(service, "::1", 2, "1", tmp_path)
    run("drain", "--timeout", "30", data=service.folder)

    assert rows(service.folder, "select count(*) from task where status = 'FINISHED'") == [(18,)]
    inputs = rows(service.folder, "select * from training_input")
    assert len(inputs) == 18
    with ask(service.folder, "select * from training_input") as answer:
        assert answer.columns == (
            *("id", "training_task_id", "kernel_size", "num_kernels", "length_of_strides", "pooling_size"),
        )
    joined = rows(
        service.folder,
        "select i.kernel_size, o.accuracy from training_input i, training_output o "
        "where i.training_task_id = o.training_task_id and o.accuracy > 0.9 order by o.accuracy, i.kernel_size",
    )
    assert joined == [(float(i), 0.8 + i / 45) for i in range(5, 10) for _ in range(2)]
    assert rows(service.folder, "select count(*) from model_training.training_output") == [(18,)]
    # Each training but the first depends on the one before, of the same client.
    assert rows(
        service.folder,
        "select count(*), min(t.identifier - o.identifier), max(t.identifier - o.identifier) from task_dependency d "
        "join task t on t.id = d.task_id join task o on o.id = d.dependency_id",
    ) == [(16, 1, 1)]

    asked = run("query", "--format", "json", "select task_id, task_id, endtime from performance", data=service.folder)
    found = json.loads(asked.stdout)
    assert len(found) == 18
    assert list(found[0]) == ["task_id", "task_id_2", "endtime"]
    table = run("query", "select status, count(*) as n from task group by status", data=service.folder).stdout
    assert table.splitlines() == ["status     n", "--------  --", "FINISHED  18"]
    listed = run("query", "--format", "csv", "select 'a,b' as x, null as y, 1e0/3", data=service.folder).stdout
    assert listed.splitlines()[1] == '"a,b",,0.3333333333333333'
    status = json.loads(run("status", "--format", "json", data=service.folder).stdout)
    assert status["healthy"]
    assert [(one["user"], one["received"], one["stored"], one["rejected"]) for one in status["clients"]] == [
        ("edge", 20, 20, 0)
    ] * 2
    refused = run("query", "drop table task", data=service.folder, check=False)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)

    assert run("stop", data=service.folder).stderr == ""
    assert service.process.wait(30) == 0
    after = run("status", data=service.folder, check=False)
    assert (after.returncode, after.stdout.splitlines()[0]) == (1, "not healthy")
    assert not service.folder.service.exists()


def test_no_record_is_lost_or_doubled_when_parts_are_killed(serve: Callable[..., Service]) -> None:
    service = serve()
    device = Device()
    publisher = Publisher(device, "127.0.0.1", service.port)
    try:
        for number in range(60):
            for name, when in (("broker", 10), ("database", 22), ("translator", 34)):
                if number == when:
                    os.kill(service.children()[name], signal.SIGKILL)
            publisher.send(device.batch(*_trainings(number)))
            publisher.pause(0.01)
        publisher.finish(40)
    finally:
        publisher.close()
    _check(service.folder, device, 60)
    children = {child["name"]: child for child in report(service.folder)["children"]}
    assert {name: child["restarts"] for name, child in children.items()} == {
        "broker": 1,
        "database": 1,
        "translator": 1,
    }


def test_a_killed_supervisor_takes_its_children_along_and_loses_nothing(serve: Callable[..., Service]) -> None:
    first = serve()
    device = Device()
    publisher = Publisher(device, "127.0.0.1", first.port)
    try:
        for number in range(20):
            publisher.send(device.batch(*_trainings(number)))
        publisher.pause(0.05)
        pids = list(first.children().values())
        first.end(signal.SIGKILL)
        second = serve(port=first.port)  # at once: it waits for the end of the orphans
        assert not set(second.children().values()) & set(pids)
        for number in range(20, 30):
            publisher.send(device.batch(*_trainings(number)))
        publisher.finish(40)
    finally:
        publisher.close()
    _check(second.folder, device, 30)
    # The same declaration again is no new version, and ids are what they were.
    assert rows(second.folder, "SELECT version, df_id FROM dataflow_version") == [(1, 1)]


def test_drain_waits_for_what_the_broker_has(serve: Callable[..., Service]) -> None:
    service = serve()
    device = Device()
    publisher = Publisher(device, "127.0.0.1", service.port)
    try:
        publisher.send(device.batch(begin("first")))
        publisher.finish(20)
        os.kill(service.children()["database"], signal.SIGSTOP)
        publisher.send(device.batch(begin("second")))
        publisher.pause(0.3)
        with pytest.raises(ProvenanceError, match="not everything is stored after"):
            drain(service.folder, 0.5)
        os.kill(service.children()["database"], signal.SIGCONT)
        drain(service.folder, 30)
        assert rows(service.folder, "SELECT count(*) FROM task") == [(2,)]
    finally:
        publisher.close()


def test_a_data_folder_with_an_awkward_name(tmp_path: Path) -> None:
    awkward = tmp_path / "my 'data' \u00e9 # $HOME"
    awkward.mkdir()
    service = Service(awkward)
    try:
        device = Device()
        publisher = Publisher(device, "127.0.0.1", service.port)
        try:
            publisher.send(device.batch(begin(1, 1, 2, 3, 4)))
            publisher.finish(20)
        finally:
            publisher.close()
        assert rows(service.folder, "SELECT kernel_size FROM training_input") == [(1.0,)]
        assert report(service.folder)["healthy"]
    finally:
        assert service.end() == 0


def test_stop_of_nothing_says_so(tmp_path: Path) -> None:
    assert stop(DataFolder(tmp_path / "nothing")) is False
    done = run("stop", data=DataFolder(tmp_path / "nothing"))
    assert "nothing is running" in done.stderr


def _trainings(number: int) -> list[Any]:
    """Half of the tasks end in the batch in which they begin, half in the next."""
    at = 1_767_323_045_000_000 + number * 1000
    return [
        begin(f"a{number}", number, 1, 2, 3, at=at),
        end(f"a{number}", number / 60, 1, at=at + 10),
        begin(f"b{number}", number, 1, 2, 3, at=at),
        *([end(f"b{number - 1}", 0.5, 1, at=at)] if number else []),
    ]


def _check(folder: DataFolder, device: Device, batches: int) -> None:
    total = 2 * batches
    assert rows(folder, "SELECT count(*), count(DISTINCT key) FROM task") == [(total, total)]
    assert rows(folder, "SELECT count(*) FROM task WHERE status = 'RUNNING'") == [(1,)]
    assert rows(folder, "SELECT count(*), sum(kernel_size) FROM training_input") == [
        (total, float(batches * (batches - 1)))
    ]
    assert rows(folder, "SELECT count(*), count(DISTINCT training_task_id) FROM training_output") == [
        (total - 1, total - 1)
    ]
    assert rows(folder, "SELECT last_seq, received, stored, rejected, lost FROM client") == [
        (batches, 4 * batches - 1, 4 * batches - 1, 0, 0)
    ]
    assert device.seq == batches
