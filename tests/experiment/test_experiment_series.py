"""Several scenarios, one after the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from experiment_bookings import Bookings, refusal

from e2c.config.problems import ProblemsError
from e2c.errors import TestbedError
from e2c.experiment import series, steps
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.failure import OnFailure
from e2c.experiment.lock import locked


@pytest.fixture
def three(scenario: Path, testbeds: dict[str, Bookings]) -> list[Path]:
    """Three scenarios of a study; none is deployed."""
    made = [scenario.parent / "study" / name for name in ("a", "b", "c")]
    for folder in made:
        shutil.copytree(scenario, folder)
    return made


def deploy(folder: Path) -> Experiment:
    return steps.deploy_all(
        folder,
        artifacts=folder / "artifacts",
        testbed=None,
        wish=OnFailure(),
        destroy_after=True,
        observe=lambda _: None,
    )


def check(folders: list[Path], told: list[Event]) -> None:
    series.check(folders, folders[0] / "artifacts", testbed=None, app_conf=[], observe=told.append)


def test_all_problems_of_all_scenarios_are_told_and_nothing_is_acquired(three: list[Path], asked: list[str]) -> None:
    for folder in three[1:]:
        (folder / "network.yaml").write_text("networks: 3\n")
    with pytest.raises(ProblemsError) as caught:
        check(three, [])
    assert {Path(problem.file).parent.name for problem in caught.value.problems} == {"b", "c"}
    assert [what for what in asked if "acquire" in what] == []


def test_a_testbed_that_refuses_one_refuses_all(three: list[Path], testbeds: dict[str, Bookings]) -> None:
    check(three, [])
    testbeds["iotlab"].faults["check"] = refusal
    with pytest.raises(TestbedError, match="on fire"):
        check(three, [])


def test_one_that_fails_does_not_keep_the_others_from_their_turn(
    three: list[Path], testbeds: dict[str, Bookings]
) -> None:
    count = iter(range(9))
    testbeds["iotlab"].faults["acquire"] = lambda: refusal() if next(count) == 0 else None
    turns, told = [series.Turn(folder) for folder in three], list[str]()
    with locked(three[2]):
        series.run(turns, deploy, lambda turn: told.append(turn.scenario.name))
    assert [turn.outcome for turn in turns] == ["failed", "done", "failed"]
    assert told == ["a", "b", "c"]
    assert "on fire" in turns[0].reason
    assert turns[0].folder is not None, "its results are told although it failed"
    assert turns[2].folder is None, "nothing of it was begun"
    assert turns[1].folder is not None
    assert turns[1].folder.parent == three[1]
    assert "another command works on this scenario" in turns[2].reason
    assert [name for testbed in testbeds.values() for name in testbed.booked] == []


def test_an_interrupt_leaves_the_truth_in_the_turns(three: list[Path]) -> None:
    def interrupted(_: Path) -> Experiment:
        raise KeyboardInterrupt

    turns = [series.Turn(folder) for folder in three]
    with pytest.raises(KeyboardInterrupt):
        series.run(turns, interrupted, lambda _: None)
    assert [turn.outcome for turn in turns] == ["interrupted", "not begun", "not begun"]
