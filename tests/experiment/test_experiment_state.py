from __future__ import annotations

import hashlib
import json
import os
import re
from datetime import datetime
from pathlib import Path

import pytest

from e2c.errors import BusyError, StateError
from e2c.experiment import folder, lock, state
from e2c.experiment.experiment import Experiment
from e2c.experiment.saving import describe
from e2c.experiment.state import State
from e2c.model.plan import Plan

STATE = State(experiment="20260101-000000", scenario="/s", plan_digest="d")


def test_state_survives_a_round_trip(tmp_path: Path) -> None:
    later = STATE.after("acquire", 1.23456, netem="kernel")
    state.save(tmp_path, later)
    assert state.load(tmp_path) == later
    assert later.done("acquire")
    assert not later.done("serve")
    assert later.phases[0].seconds == 1.235
    assert [path.name for path in tmp_path.iterdir()] == [state.STATE_FILE]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ("", "cannot be read"),
        ("[]", "format None"),
        (json.dumps({"version": 99}), "format 99"),
        (json.dumps({"version": 1, "experiment": 3}), "wrong fields"),
    ],
)
def test_a_damaged_state_is_one_sentence_with_the_remedy(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / state.STATE_FILE).write_text(content)
    with pytest.raises(StateError) as caught:
        state.load(tmp_path)
    assert says in str(caught.value)
    assert f"e2clab destroy {tmp_path.parent}" in str(caught.value)


def test_the_manifest_tells_what_decided_the_experiment_and_nothing_of_its_results(tmp_path: Path) -> None:
    scenario, old, output = (tmp_path / name for name in ("s", "s/20260101-000000", "s/20260102-000000"))
    for place in (old, output):
        place.mkdir(parents=True)
        state.save(place, STATE)
        (place / "dump.sql").write_text("large")
    (tmp_path / "app.py").write_text("print()")
    plan = Plan(job_name="j", walltime_s=1, testbeds={}, hosts=())
    here = STATE.model_copy(update={"scenario": str(scenario), "artifacts": str(tmp_path)})
    describe(Experiment(output, here, plan, lambda _: None))
    inputs = json.loads((output / "manifest.json").read_text())["inputs"]
    assert inputs == {"artifacts/app.py": hashlib.sha256(b"print()").hexdigest()}


@pytest.mark.root
def test_a_full_disk_keeps_the_old_state_whole(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a tiny file system needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    assert os.system(f"mount -t tmpfs -o size=16k tiny {disk}") == 0
    try:
        state.save(disk, STATE)
        big = STATE.model_copy(update={"links": tuple({"text": "x" * 1000} for _ in range(50))})
        with pytest.raises(StateError, match="No space left"):
            state.save(disk, big)
        assert state.load(disk) == STATE
        assert [path.name for path in disk.iterdir()] == [state.STATE_FILE]
    finally:
        assert os.system(f"umount {disk}") == 0


def test_folders_are_named_by_their_start_and_never_shared(tmp_path: Path) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5)
    made = [folder.create(tmp_path, moment) for _ in range(3)]
    assert [path.name for path in made] == ["20260102-030405", "20260102-030405-2", "20260102-030405-3"]
    assert folder.latest(tmp_path) is None
    for path in made[:2]:
        state.save(path, STATE)
    (tmp_path / "20990101-000000x").mkdir()
    assert folder.latest(tmp_path) == made[1]


def test_missing_scenario_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no such scenario folder"):
        folder.latest(tmp_path / "absent")
    with pytest.raises(StateError, match="no such scenario folder"), lock.locked(tmp_path / "absent"):
        pass


def test_the_second_command_is_refused_and_told_who_holds_the_scenario(tmp_path: Path) -> None:
    with lock.locked(tmp_path):
        with pytest.raises(BusyError) as caught, lock.locked(tmp_path):
            pass
        assert re.search(rf"process {os.getpid()} since \d\d:\d\d:\d\d: `\S", str(caught.value))
    with lock.locked(tmp_path):
        assert list(tmp_path.iterdir()) == []
