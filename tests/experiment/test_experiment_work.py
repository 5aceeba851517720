from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2c.errors import RemoteError
from e2c.experiment import work
from e2c.experiment.state import BackgroundTask, now
from e2c.model.plan import PlannedPlay
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
    path = tmp_path / work.OUTPUT_FILE
    results = [
        TaskResult(play=0, host="cloud.master.1.1", task="é\ttab", status="failed", rc=3, stdout="a\nb", stderr="\x07"),
        TaskResult(play=1, host="edge.w.1.1", task="c", status="changed", rc=0, job="j1", limit_s=60),
    ]
    plays = work.ansible_plays(PLAYS, "launch")
    work.record(path, "launch", plays, {"working_dir": "/x"}, results)
    work.record(path, "finalize", plays[:1], {}, [])
    first, second, third = yaml.safe_load_all(path.read_text())
    assert first["TASK"] == "LAUNCH"
    assert first["RETURN"] == [
        {"host": "cloud.master.1.1", "task": "é\ttab", "status": "FAILED", "rc": 3, "stdout": "a\nb", "stderr": "\x07"}
    ]
    assert second["HOSTS"] == ["edge.w.1.1", "edge.w.1.2"]
    assert second["RETURN"][0]["ansible_job_id"] == "j1"
    assert third["RETURN"] == []
    assert [task.job for task in work.started(results, "launch")] == ["j1"]


def test_background_tasks_that_failed_or_still_run_are_named() -> None:
    task = BackgroundTask(host="h", job="1", task="train", stage="launch", started=now(), limit_s=1)
    work.require_ended([task.model_copy(update={"ended": True, "rc": 0})])
    for bad, words in [
        (task, "still running"),
        (task.model_copy(update={"ended": True, "rc": 2}), "rc 2"),
        (task.model_copy(update={"ended": True, "reason": "rebooted"}), "rebooted"),
    ]:
        with pytest.raises(RemoteError) as caught:
            work.require_ended([bad])
        assert words in str(caught.value)
        assert "'train'" in str(caught.value)
