from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2c.errors import RemoteError
from e2c.experiment import background, outcome, record, work
from e2c.experiment.events import Event
from e2c.experiment.state import BackgroundTask, now
from e2c.model.host import Host
from e2c.model.plan import PlannedDependency, PlannedPlay
from e2c.remote.results import TaskResult

PLAYS = (
    PlannedPlay(
        index=0,
        selector="cloud.*",
        hosts=("cloud.master.1.1",),
        stages={"prepare": ({"shell": "true"},), "launch": ({"shell": "a"}, {"shell": "b"})},
        keywords={"environment": {"MINE": "1"}, "become": True},
    ),
    PlannedPlay(index=1, selector="edge.*", hosts=("edge.w.1.1", "edge.w.1.2"), stages={"launch": ({"shell": "c"},)}),
)


def test_plays_keep_their_order_keywords_and_the_users_environment_last() -> None:
    prepare = work.ansible_plays(PLAYS, "prepare")
    launch = work.ansible_plays(PLAYS, "launch")
    assert [play["hosts"] for play in prepare] == [["cloud.master.1.1"]]
    assert [play["hosts"] for play in launch] == [["cloud.master.1.1"], ["edge.w.1.1", "edge.w.1.2"]]
    assert launch[0]["become"] is True
    assert launch[0]["environment"][-1] == {"MINE": "1"}
    assert launch[0]["gather_facts"] is False
    assert work.ansible_plays(PLAYS, "finalize") == []


def test_the_record_is_a_stream_that_safe_load_reads(tmp_path: Path) -> None:
    path = tmp_path / record.OUTPUT_FILE
    results = [
        TaskResult(play=0, host="cloud.master.1.1", task="é\ttab", status="failed", rc=3, stdout="a\nb", stderr="\x07"),
        TaskResult(play=1, host="edge.w.1.1", task="c", status="changed", rc=0, job="j1", limit_s=60),
    ]
    plays = work.ansible_plays(PLAYS, "launch")
    record.record(path, "launch", plays, {"working_dir": "/x"}, results)
    record.record(path, "finalize", plays[:1], {}, [])
    first, second, third = yaml.safe_load_all(path.read_text())
    assert first["TASK"] == "LAUNCH"
    assert first["RETURN"] == [
        {"host": "cloud.master.1.1", "task": "é\ttab", "status": "FAILED", "rc": 3, "stdout": "a\nb", "stderr": "\x07"}
    ]
    assert second["HOSTS"] == ["edge.w.1.1", "edge.w.1.2"]
    assert second["RETURN"][0]["ansible_job_id"] == "j1"
    assert third["RETURN"] == []
    assert [task.job for task in background.started(results, "launch")] == ["j1"]


def test_background_tasks_that_failed_or_still_run_are_named() -> None:
    task = BackgroundTask(host="h", job="1", task="train", stage="launch", started=now(), limit_s=1)
    background.require_ended([task.model_copy(update={"ended": True, "rc": 0})])
    for bad, words in [
        (task, "still running"),
        (task.model_copy(update={"ended": True, "rc": 2}), "rc 2"),
        (task.model_copy(update={"ended": True, "reason": "rebooted"}), "rebooted"),
    ]:
        with pytest.raises(RemoteError) as caught:
            background.require_ended([bad])
        assert words in str(caught.value)
        assert "'train'" in str(caught.value)


def test_hosts_that_address_match_leaves_out_are_told(tmp_path: Path) -> None:
    def machine(key: str, address: str) -> Host:
        layer, service = key.split(".")[:2]
        return Host(key=key, layer=layer, service=service, testbed="x", provider="x", hostname="h", address=address)

    hosts = [machine("edge.w.1.1", "10.0.0.1"), machine("edge.w.1.2", "10.0.0.2"), machine("edge.s.2.1", "10.0.0.9")]
    beside = PlannedDependency(selector="edge.s", hosts=("edge.s.2.1",), grouping="address_match", prefix="beside")
    play = PLAYS[1].model_copy(update={"depends_on": (beside,)})
    told: list[Event] = []
    outcome: list[TaskResult] = []
    work.run_stage(
        (play,), "launch", hosts, folder=tmp_path, extra_vars={}, variables={}, observe=told.append, outcome=outcome
    )
    (event,) = told
    assert event.text.startswith("edge.w.1.1, edge.w.1.2: left out of the play on 'edge.*', because no host")
    assert outcome == []


def test_defaults_of_modules_are_for_those_that_are_run() -> None:
    shell = {"ansible.builtin.shell": "pwd", "module_defaults": {"ansible.builtin.shell": {"chdir": "/tmp"}}}
    given = {"tasks": [{"block": [shell]}], "handlers": [{"ansible.builtin.command": "true"}], "hosts": ["h"]}
    assert work.shortened(given) == {
        "tasks": [
            {"block": [{"ansible.legacy.shell": "pwd", "module_defaults": {"ansible.legacy.shell": {"chdir": "/tmp"}}}]}
        ],
        "handlers": [{"ansible.legacy.command": "true"}],
        "hosts": ["h"],
    }
    assert "ansible.builtin.shell" in shell, "what was given is as it was"


def test_a_table_fits_its_lines() -> None:
    rows = [("run", "because"), ("repeat-1/small", "x" * 90), ("repeat-1/large", "short")]
    fitted = outcome.fitted(rows, 79)
    assert [len("  ".join(row)) for row in fitted[1:2]] == [79]
    assert fitted[1][1].endswith("x...")
    assert fitted[2] == rows[2]
    assert len(outcome.fitted([("a" * 70, "b" * 90)], 79)[0][1]) == 20
