"""A barrage of hostile messages changes nothing but the table of what was rejected; long form: faults_hostile.py."""

from __future__ import annotations

import pytest
from faults_hostile import TASKS, run

pytestmark = [pytest.mark.broker, pytest.mark.monetdb]


def test_hostile_messages_are_rejected_one_by_one_and_stop_nothing() -> None:
    found = run(messages=3000, seed=7)

    assert sum(found["sent"].values()) == 3000
    assert len(found["sent"]) == 9
    assert found["honest client"] == {"exit code": 0, "tasks": TASKS, "stored": TASKS}
    assert found["the same processes"]
    assert found["rejected"] > 1000
    assert found["without a reason"] == 0
