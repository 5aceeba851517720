"""A stage on real hosts of which one dies: it is told at once, the others go on, and what they have is kept."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2c.environments.local import registry
from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError, RemoteError
from e2c.experiment import background, lasting, work
from e2c.experiment.choice import Choice
from e2c.experiment.events import Event
from e2c.experiment.record import OUTPUT_FILE
from e2c.experiment.state import BackgroundTask
from e2c.model.host import Host
from e2c.model.plan import PlannedHost, PlannedPlay, Stage
from e2c.remote import shell
from e2c.remote.results import TaskResult

pytestmark = pytest.mark.netns

KEYS = tuple(f"edge.worker.1.{number}" for number in (1, 2, 3))
DYING = KEYS[1]
LIMIT_S = 60
LONG = "for i in $(seq 30); do [ -e /tmp/go ] && break; sleep 0.1; done"
PLAYS = (
    PlannedPlay(
        index=0,
        selector=DYING,
        hosts=(DYING,),
        stages={"finalize": ({"name": "fetch alone", "shell": "cat /tmp/result"},)},
    ),
    PlannedPlay(
        index=1,
        selector="edge",
        hosts=KEYS,
        stages={
            "launch": (
                {"name": "train", "shell": f"{LONG}; echo trained; echo words >&2", "async": 60, "poll": 0},
                {"name": "long", "shell": LONG},
                {"name": "result", "shell": "hostname >/tmp/result"},
            ),
            "finalize": ({"block": [{"ansible.builtin.shell": "cat /tmp/result; cat /proc/$PPID/cmdline"}]},),
        },
    ),
)


@dataclass
class Launched:
    """What was told and what came of a stage, and how its hosts are reached."""

    hosts: tuple[Host, ...]
    folder: Path
    pid: int
    killed: float = 0
    told: list[Event] = field(default_factory=list)
    outcome: list[TaskResult] = field(default_factory=list)

    def watch(self, event: Event) -> None:
        self.told.append(event)
        if event.host == DYING and event.task == "long" and not self.killed:
            self.killed = time.time()
            os.kill(self.pid, signal.SIGKILL)

    def run(self, stage: Stage, **more: Any) -> list[TaskResult]:
        outcome: list[TaskResult] = []
        work.run_stage(
            PLAYS,
            stage,
            self.hosts,
            folder=self.folder,
            extra_vars={},
            variables=work.play_variables(PLAYS, self.hosts),
            observe=self.watch,
            outcome=outcome,
            **more,
        )
        return outcome


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Three hosts; the second is killed while a task of the launch runs there."""
    local = LocalProvider()
    try:
        local.check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("stage")
    claim = local.claim(experiment=str(folder), scenario=str(folder), job_name="test", walltime_s=60, settings={})
    planned = [PlannedHost(key=key, layer="edge", service="worker", testbed="local", provider="local") for key in KEYS]
    try:
        hosts = local.acquire(claim, planned, lambda _: None).hosts  # type: ignore[arg-type]
        record = registry.read(str(claim.resources["testbed"]))
        assert record is not None
        numbers = {host.hostname: host.index for host in record.layout.hosts}
        dying = next(host for host in hosts if host.key == DYING)
        made = Launched(tuple(hosts), folder, record.processes[numbers[dying.hostname]].pid)
        made.outcome = made.run("launch")
        yield made
    finally:
        local.release(claim, lambda _: None)  # type: ignore[arg-type]


def test_its_death_is_told_by_name_while_the_others_are_at_work(launched: Launched) -> None:
    lost = [event for event in launched.told if event.state == "lost"]
    assert [event.host for event in lost] == [DYING]
    assert lost[0].failed
    assert f"{DYING}: does not answer any more" in lost[0].text
    ends = [event for event in launched.told if event.task == "long" and event.kind == "task" and not event.failed]
    assert {event.host for event in ends} == {KEYS[0], KEYS[2]}
    assert lost[0].time < min(event.time for event in ends)


def test_the_others_go_on_and_a_table_names_all(launched: Launched) -> None:
    done = {(result.host, result.task) for result in launched.outcome if not result.failed}
    assert {(KEYS[0], "result"), (KEYS[2], "result")} <= done
    assert {result.host for result in launched.outcome if result.status == "unreachable"} == {DYING}
    (table,) = [event.rows for event in launched.told if event.kind == "table"]
    assert [(row[0], row[1]) for row in table] == [
        ("host", "outcome"),
        (KEYS[0], "ok"),
        (KEYS[2], "ok"),
        (DYING, "unreachable"),
    ]
    with pytest.raises(RemoteError, match=f"launch failed on {DYING}:\n"):
        work.require(launched.outcome, "launch")
    documents = list(yaml.safe_load_all((launched.folder / OUTPUT_FILE).read_text()))
    assert {"UNREACHABLE", "CHANGED"} == {entry["status"] for entry in documents[0]["RETURN"]}


def test_background_tasks_of_the_others_are_waited_for_and_collected(launched: Launched) -> None:
    saved: list[tuple[BackgroundTask, ...]] = []
    told: list[Event] = []
    begun = background.started(launched.outcome, "launch")
    assert {task.host for task in begun} == set(KEYS)
    ended = background.wait(
        begun,
        {host.key: host for host in launched.hosts},
        folder=launched.folder,
        limit_s=None,
        lost_s=0.5,
        observe=told.append,
        save=saved.append,
    )
    assert {task.host: task.rc for task in ended} == {KEYS[0]: 0, DYING: None, KEYS[2]: 0}
    assert saved[-1] == ended
    (lost,) = [event for event in told if event.state == "lost"]
    assert lost.host == DYING
    assert "it is given up after 0.5 s of silence (E2C_LOST_TIMEOUT)" in lost.text
    place = launched.folder / background.FOLDER
    assert (place / f"{KEYS[0]}-train.out").read_text() == "trained\n"
    assert (place / f"{KEYS[2]}-train.err").read_text() == "words\n"
    with pytest.raises(RemoteError, match=rf"task failed: {DYING}: 'train' its host has not answered for 0.5 s"):
        background.require_ended(ended)
    background.require_ended([task for task in ended if task.host != DYING])
    background.require_ended([task.model_copy(update={"stopped": True}) for task in ended])


def test_a_host_that_is_dead_while_the_run_lasts_is_told(launched: Launched) -> None:
    told: list[Event] = []
    heard = threading.Event()

    def hear(event: Event) -> None:
        told.append(event)
        if event.failed:
            heard.set()

    def pause() -> None:
        assert heard.wait(LIMIT_S)

    lasting.last(launched.hosts, hear, time.time() + 0.1, 0.1, pause)
    assert [event.text.partition(" (")[0] for event in told if event.failed] == [f"{DYING}: does not answer any more"]
    assert any("the run lasts 0.1 s" in event.text for event in told)


def test_finalize_saves_what_the_others_have_although_a_whole_play_is_lost(launched: Launched) -> None:
    outcome = launched.run("finalize")
    fetch = "ansible.builtin.shell"
    assert {(result.host, result.task): result.status for result in outcome} == {
        (DYING, "fetch alone"): "unreachable",
        (KEYS[0], fetch): "changed",
        (KEYS[2], fetch): "changed",
    }
    assert all("-IS" in result.stdout for result in outcome if result.task == fetch), "without Ansible's module"


def test_a_chosen_host_runs_alone(launched: Launched) -> None:
    choice = Choice(frozenset([KEYS[0]]), "result")
    outcome = launched.run("launch", choice=choice)
    assert [(result.host, result.task) for result in outcome] == [(KEYS[0], "result")]


def test_everything_that_a_stage_started_can_be_told_from_what_others_did(launched: Launched) -> None:
    first = launched.hosts[0]
    shell.run(first, "nohup sleep 777801 >/dev/null 2>&1 &")
    name = f"{background.MARK}={background.mark(launched.folder, 'launch')}"
    shell.run(first, f"{name} nohup sleep 777802 >/dev/null 2>&1 &")
    told: list[Event] = []
    background.stop(
        (),
        {first.key: first},
        marks=[background.mark(launched.folder, "launch")],
        folder=launched.folder,
        observe=told.append,
        save=lambda _: None,
    )
    left = shell.run(first, "ps ax -o args | grep -o 'sleep 77780.'").stdout.split()
    assert "777801" in left
    assert "777802" not in left
    assert any(event.text == f"{first.key}: stopped 1 process" for event in told)
