"""A part of a stage: hosts, and a task to begin with."""

from __future__ import annotations

from typing import Any

import pytest

from e2c.errors import ScenarioError
from e2c.experiment import work
from e2c.experiment.choice import Choice, choose
from e2c.model.plan import PlannedDependency, PlannedPlay


def named(*names: str) -> tuple[dict[str, Any], ...]:
    return tuple({"name": name, "shell": "true"} for name in names)


BLOCK: dict[str, Any] = {
    "name": "training",
    "when": "yes",
    "block": list(named("load", "train")),
    "rescue": list(named("save")),
    "always": list(named("tidy")),
}
PLAYS = (
    PlannedPlay(index=0, selector="cloud", hosts=("c.m.1.1",), stages={"launch": named("serve", "check")}),
    PlannedPlay(
        index=1,
        selector="edge",
        hosts=("e.w.1.1", "e.w.1.2", "e.w.1.3"),
        depends_on=(PlannedDependency(selector="cloud", hosts=("c.m.1.1",), grouping="round_robin", prefix="server"),),
        stages={"launch": (*named("begin"), BLOCK, *named("end")), "finalize": named("fetch")},
    ),
)


def names(choice: Choice) -> list[list[str]]:
    return [[str(task.get("name")) for task in tasks] for _, tasks in choose(PLAYS, "launch", choice)]


def test_without_a_choice_all_is_run() -> None:
    assert names(Choice()) == [["serve", "check"], ["begin", "training", "end"]]
    assert choose(PLAYS, "prepare", Choice()) == []


def test_from_a_task_on_all_that_follows() -> None:
    assert names(Choice(start_at="check")) == [["check"], ["begin", "training", "end"]]
    assert names(Choice(start_at="end")) == [["end"]]
    assert names(Choice(start_at="training")) == [["training", "end"]]


def test_from_a_task_within_a_block_with_what_the_block_has_around_it() -> None:
    ((_, (block, end)),) = choose(PLAYS, "launch", Choice(start_at="train"))
    assert block == {**BLOCK, "block": list(named("train"))}
    assert end["name"] == "end"
    ((_, (block, _)),) = choose(PLAYS, "launch", Choice(start_at="save"))
    assert block == {"name": "training", "when": "yes", "block": list(named("save")), "always": list(named("tidy"))}
    ((_, (block, _)),) = choose(PLAYS, "launch", Choice(start_at="tidy"))
    assert block == {"name": "training", "when": "yes", "block": list(named("tidy"))}


def test_hosts_that_are_chosen_and_only_plays_that_have_them() -> None:
    (play,) = work.ansible_plays(PLAYS, "launch", choice=Choice(frozenset(["e.w.1.3", "e.w.1.1"])))
    assert play["hosts"] == ["e.w.1.1", "e.w.1.3"]
    assert names(Choice(frozenset(["c.m.1.1"]))) == [["serve", "check"]]


def test_a_task_is_looked_for_among_the_plays_of_the_chosen_hosts() -> None:
    with pytest.raises(ScenarioError, match="no task of launch is called 'serve'"):
        names(Choice(frozenset(["e.w.1.1"]), "serve"))


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(start_at="trian"), "Did you mean 'train'?"),
        (Choice(start_at="zzz"), "serve, check, begin, training, load, train, save, tidy, end"),
        (Choice(frozenset(["x.y.1.1"])), "no play of launch is for x.y.1.1"),
    ],
)
def test_what_is_not_there_is_an_error_that_helps(choice: Choice, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        names(choice)
    assert words in str(caught.value)


def test_tasks_without_names_cannot_be_begun_with() -> None:
    plays = (PlannedPlay(index=0, selector="x", hosts=("h",), stages={"launch": ({"shell": "true"},)}),)
    with pytest.raises(ScenarioError, match="Give the tasks of launch names"):
        choose(plays, "launch", Choice(start_at="shell"))


def test_a_part_of_a_stage_without_tasks_is_refused() -> None:
    assert choose((), "launch", Choice()) == []
    for choice in (Choice(frozenset(["e.w.1.1"])), Choice(start_at="train")):
        with pytest.raises(ScenarioError, match=r"workflow\.yaml has no tasks of launch"):
            choose((), "launch", choice)
