"""Testbeds are asked at the same time whether they can be used, and everything that is in the way is told at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from experiment_bookings import Bookings, refusal

from e2c.errors import MissingToolError, TestbedError
from e2c.experiment.deployment import deploy
from e2c.experiment.events import Event
from e2c.experiment.failure import OnFailure

Testbeds = dict[str, Bookings]
LIMIT_S = 30


def up(scenario: Path, told: list[str] | None = None) -> None:
    def observe(event: Event) -> None:
        if told is not None:
            told.append(event.text)

    artifacts = scenario / "artifacts"
    deploy(scenario, artifacts, testbed=None, wish=OnFailure(), command="layers-services", observe=observe)


def test_testbeds_are_asked_at_the_same_time(scenario: Path, testbeds: Testbeds, asked: list[str]) -> None:
    meeting = threading.Barrier(2, timeout=LIMIT_S)
    for name in ("g5k", "iotlab"):
        testbeds[name].faults["check"] = meeting.wait  # raises where the other is not asked meanwhile
    told: list[str] = []
    up(scenario, told)
    assert sorted(asked[:2]) == ["g5k check", "iotlab check"]
    assert [text for text in told if text.startswith("whether")] == [
        "whether g5k can be used",
        "whether iotlab can be used",
    ]


def test_all_that_is_in_the_way_is_told_at_once_in_order(scenario: Path, testbeds: Testbeds, asked: list[str]) -> None:
    first = threading.Event()

    def late() -> None:
        first.wait(LIMIT_S)
        refusal()

    def at_once() -> None:
        first.set()
        raise MissingToolError("no key for it", where="FIT IoT-LAB", hint="Make one")

    testbeds["g5k"].faults["check"] = late
    testbeds["iotlab"].faults["check"] = at_once
    with pytest.raises(TestbedError) as caught:
        up(scenario)
    assert [line.rstrip(" .:") for line in str(caught.value).splitlines()] == [
        "2 things are in the way of this deployment",
        "the cluster is on fire. Try another one",
        "FIT IoT-LAB: no key for it. Make one",
    ]
    assert sorted(asked) == ["g5k check", "iotlab check"]


def test_what_is_wrong_alone_is_told_as_it_is(scenario: Path, testbeds: Testbeds) -> None:
    testbeds["iotlab"].faults["check"] = refusal
    with pytest.raises(TestbedError, match=r"^the cluster is on fire\. Try another one\.$"):
        up(scenario)


def test_a_fault_of_ours_goes_before_what_the_user_can_mend(scenario: Path, testbeds: Testbeds) -> None:
    def fault() -> None:
        raise ZeroDivisionError

    testbeds["g5k"].faults["check"] = refusal
    testbeds["iotlab"].faults["check"] = fault
    with pytest.raises(ZeroDivisionError):
        up(scenario)


@pytest.fixture
def ends() -> Iterator[threading.Event]:
    """Set when the test is over, so that no thread goes on."""
    event = threading.Event()
    yield event
    event.set()


def test_ctrl_c_does_not_wait_for_a_testbed_that_is_silent(
    scenario: Path, testbeds: Testbeds, asked: list[str], ends: threading.Event
) -> None:
    def silent() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        ends.wait(LIMIT_S)
        raise AssertionError("the command waited for this")

    testbeds["iotlab"].faults["check"] = silent
    with pytest.raises(KeyboardInterrupt):
        up(scenario)
    assert not ends.is_set()
    assert [what for what in asked if not what.endswith("check")] == []
    assert list(scenario.glob("2*")) == []
