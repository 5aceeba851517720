"""Trials on local hosts: what plays get, what the database says, what failures do, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2c import Optimizer
from e2c.errors import QueryError, RemoteError, StateError
from e2c.experiment import folder as folders
from e2c.experiment import state as states
from e2c.experiment.events import Event
from e2c.services import provenance

pytestmark = [pytest.mark.root, pytest.mark.netns]

LAYERS: dict[str, Any] = {
    "environment": {"local": {}},
    "layers": [{"name": "edge", "services": [{"name": "Trainer", "environment": "local", "roles": ["provenance"]}]}],
}
DATAFLOW = """
from provlight.dataflow import Attribute, AttributeType, Dataflow, Set, SetType, Transformation
training = Transformation("training")
number = AttributeType.NUMERIC
chosen = Set("chosen", SetType.INPUT, [Attribute("rate", number)])
training.set_sets([chosen, Set("result", SetType.OUTPUT, [Attribute("accuracy", number), Attribute("repeat", number)])])
flow = Dataflow("flow")
flow.add_transformation(training)
flow.save()
"""
TRAIN = """
import json, os
from provlight import Task, Workflow
chosen = json.loads(os.environ["E2C_OPTIMIZATION_CONFIG"])
with Workflow("flow") as flow, Task(1, flow, "training") as task:
    task.used("chosen", {"rate": chosen.get("rate")})
    task.generated("result", {"accuracy": 1 - chosen["rate"], "repeat": int(os.environ["E2C_REPEAT"])})
"""
FAILING = 2.0
PLAYS = [
    {
        "hosts": "edge.*",
        "prepare": [{"copy": {"src": "{{ working_dir }}/train.py", "dest": "/tmp/train.py"}}],
        "launch": [
            {
                "assert": {
                    "that": [
                        "env_rate == optimization_config.rate",
                        "env_rate | type_debug == 'float'",
                        "optimization_config.layers | default([8, 16]) | sum == 24",
                    ]
                }
            },
            {"name": "train", "shell": f"test {{{{ env_rate }}}} != {FAILING} && python3 /tmp/train.py"},
        ],
        "finalize": [{"shell": "echo {{ env_rate }} > /tmp/last"}],
    }
]


def scenario_in(folder: Path, plays: Any, captured: bool) -> Path:
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    (folder / "flow.py").write_text(DATAFLOW)
    layers = {**LAYERS, "provenance": {"provider": "local", "dataflow_spec": "flow.py"}} if captured else LAYERS
    for name, content in (("layers_services", layers), ("network", {"networks": []}), ("workflow", plays)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder


def released(scenario: Path) -> bool:
    folder = folders.latest(scenario)
    return folder is not None and states.load(folder).released


@contextmanager
def turn_taken(optimizer: Optimizer) -> Iterator[None]:
    """Another thread is at work with the optimizer."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with optimizer._turn:
            taken.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    try:
        yield
    finally:
        done.set()
        holder.join()


@pytest.fixture(scope="module")
def optimizer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Optimizer]:
    scenario = scenario_in(tmp_path_factory.mktemp("optimizer") / "scenario", PLAYS, captured=True)
    refused: list[str] = []

    def launch() -> None:
        try:
            prepared.launch({"rate": 0.5})
        except StateError as error:
            refused.append(str(error))

    with Optimizer(scenario, scenario) as prepared:
        yield prepared
        with turn_taken(prepared):  # whoever waits for a turn while hosts are given back does not get one
            threads = [threading.Thread(target=what) for what in (launch, prepared.finalize)]
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join()
    assert re.search("is being finalized|holds no hosts", refused[0])
    assert released(scenario)
    prepared.finalize()  # once more: nothing


@pytest.fixture(scope="module")
def first(optimizer: Optimizer) -> Path:
    return optimizer.launch({"rate": 0.25, "layers": [8, 16]})


@pytest.mark.broker
@pytest.mark.monetdb
@pytest.mark.xdist_group("optimizer")
class TestTrials:
    """On the same hosts."""

    BEST = "SELECT r.accuracy FROM result r JOIN task t ON t.id = r.training_task_id WHERE t.run = :run"

    def test_a_trial_is_a_run_with_its_own_folder_and_objective(self, optimizer: Optimizer, first: Path) -> None:
        assert first.name == "trial-1"
        assert json.loads((first / "optimization_config.json").read_text()) == {"rate": 0.25, "layers": [8, 16]}
        assert "train" in (first / "workflow-validate.out").read_text()
        assert "trial-1" in (first / "provenance-data" / "task.csv").read_text()
        dumps = [path.relative_to(first.parent) for path in first.parent.rglob(provenance.DUMP)]
        assert dumps == [Path("provenance-data") / provenance.DUMP], "one for all runs"
        where = (first / "provenance-data" / provenance.ELSEWHERE).read_text().splitlines()[-1]
        assert (first / "provenance-data" / where).resolve() == first.parent / dumps[0]
        assert optimizer.query(self.BEST).value == 0.75
        assert optimizer.query("SELECT count(*) FROM task WHERE run IN :runs").value == 1
        with pytest.raises(QueryError, match="1 rows and 2 columns"):
            _ = optimizer.query("SELECT 1, 2").value

    @pytest.mark.usefixtures("first")
    def test_threads_take_turns_and_each_sees_its_own_run_and_its_own_failure(self, optimizer: Optimizer) -> None:
        found: dict[float, tuple[str, list[Any], list[float]]] = {}

        def attempt(rate: float) -> None:
            why = ""
            try:
                optimizer.launch({"rate": rate})
            except RemoteError as error:
                why = str(error)
            rows = [
                tuple(row) for row in optimizer.query("SELECT run, count(*) FROM task WHERE run = :run GROUP BY run")
            ]
            found[rate] = why, rows, [rate + row.accuracy for row in optimizer.query(self.BEST)]

        threads = [threading.Thread(target=attempt, args=[rate]) for rate in (0.0625, FAILING)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        # the hosts are kept after the failure, whichever of the two came first
        (own,) = found[0.0625][1]
        assert found[0.0625] == ("", [own], [1])
        assert own in (("trial-2", 1), ("trial-3", 1))
        assert "train" in found[FAILING][0]
        assert found[FAILING][1:] == ([], [])
        assert optimizer.query(self.BEST, run="trial-1").value == 0.75
        runs = optimizer.query("SELECT run, count(*) FROM task GROUP BY run ORDER BY run")
        assert [tuple(row) for row in runs] == [("trial-1", 1), own]

    def test_its_hosts_belong_to_one_process_and_one_command(self, optimizer: Optimizer) -> None:
        with pytest.raises(StateError, match="cannot be sent to another process"):
            pickle.dumps(optimizer)
        with pytest.raises(StateError, match="prepared already"):
            optimizer.prepare()
        with pytest.raises(StateError, match="another command works on this scenario"):
            Optimizer(optimizer.scenario_dir, optimizer.artifacts_dir).prepare()
        with turn_taken(optimizer):  # nobody in the child ever gives the turn back
            child = os.fork()
            if not child:
                try:
                    optimizer.finalize()  # nothing, for the hosts are its parent's
                    optimizer.launch({"rate": 0.5})
                except StateError as error:
                    os._exit(7 if "belong to another process" in str(error) else 1)
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert optimizer.query("SELECT 1").value == 1


PROGRAM = """
import sys
from e2c import Optimizer
from e2c.errors import StateError

def observe(event):
    if event.kind == "phase" and event.phase == "launch":
        sys.stdout.write("launching\\n" * (not told))
        sys.stdout.flush()
        told.append(event)

told = []

class Mine(Optimizer):
    def run(self):
        self.prepare()
        folder = self.launch({"seconds": float(sys.argv[2])})
        print(folder.name, sorted(path.name for path in folder.glob("repeat-*")))
        try:
            self.query("SELECT 1")
        except StateError as error:
            print(error, flush=True)

Mine(sys.argv[1], sys.argv[1], repeat=1, observe=observe).run()
"""
SLEEP = [{"hosts": "edge.*", "launch": [{"name": "wait", "shell": "sleep {{ env_seconds }}"}]}]


def until_launched(scenario: Path, seconds: int) -> subprocess.Popen[str]:
    """A program that never calls finalize."""
    command = [sys.executable, "-c", PROGRAM, str(scenario), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=scenario)
    assert process.stdout is not None
    assert process.stdout.readline() == "launching\n", process.communicate()
    return process


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()


def test_ctrl_c_frees_the_hosts(tmp_path: Path) -> None:
    scenario = scenario_in(tmp_path / "scenario", SLEEP, captured=False)

    def interrupt(event: Event) -> None:
        if event.kind == "phase" and event.phase == "launch":
            os.kill(os.getpid(), signal.SIGINT)

    optimizer = Optimizer(scenario, scenario, observe=interrupt)
    optimizer.prepare()
    with pytest.raises(KeyboardInterrupt):
        optimizer.launch({"seconds": 600})
    assert released(scenario)
    with pytest.raises(StateError, match="holds no hosts"):
        optimizer.launch({"seconds": 0})
    optimizer.finalize()


def test_a_program_that_was_killed_is_gone_on_with_and_a_signal_frees_the_hosts(tmp_path: Path) -> None:
    scenario = scenario_in(tmp_path / "scenario", SLEEP, captured=False)
    process = until_launched(scenario, 600)
    process.kill()
    process.communicate()
    assert not released(scenario)
    held = folders.latest(scenario)
    assert held is not None

    process = until_launched(scenario, 600)
    process.send_signal(signal.SIGTERM)
    output, errors = ended(process)
    assert released(scenario), errors
    assert process.returncode == 128 + signal.SIGTERM
    assert output == ""
    assert folders.latest(scenario) == held
    assert [(held / f"trial-{n}" / "optimization_config.json").exists() for n in (1, 2)] == [True, True]


def test_the_end_of_a_program_frees_the_hosts(tmp_path: Path) -> None:
    scenario = scenario_in(tmp_path / "scenario", SLEEP, captured=False)
    process = until_launched(scenario, 0)
    output, errors = ended(process)
    assert process.returncode == 0, errors
    trial, why = output.splitlines()
    assert trial == "trial-1 ['repeat-1', 'repeat-2']"
    assert "captures no provenance" in why
    assert released(scenario), errors
    assert "released" in errors
