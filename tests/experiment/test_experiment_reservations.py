"""What is left of reservations is told, they can be lengthened, and their end is the reason given for what fails."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from experiment_bookings import Bookings, refusal

from e2c.environments.local.provider import LocalProvider
from e2c.errors import E2CError, RemoteError, StateError, TestbedError
from e2c.experiment import reservations
from e2c.experiment.deployment import deploy
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment, find
from e2c.experiment.failure import OnFailure, guarded
from e2c.experiment.state import BackgroundTask, now
from e2c.model.host import Host

Testbeds = dict[str, Bookings]
HOST = Host(
    key="cloud.server.1.1",
    layer="cloud",
    service="server",
    testbed="g5k",
    provider="g5k",
    hostname="gros-1",
    address="gros-1.nancy.grid5000.fr",
)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def deployed(scenario: Path, testbeds: Testbeds, told: list[Event]) -> Experiment:
    return deploy(
        scenario,
        scenario / "artifacts",
        testbed=None,
        wish=OnFailure(),
        command="layers-services",
        observe=told.append,
    )


def lasting(testbeds: Testbeds, seconds: float) -> None:
    """Let all reservations end so many seconds from now, Grid'5000's first."""
    for place, testbed in enumerate(testbeds.values()):
        testbed.book(dict.fromkeys(testbed.booked, time.time() + seconds + place))


def warnings(told: list[Event]) -> str:
    return "\n".join(event.text for event in told if event.kind == "warning" and event.phase == "reserve")


def test_what_is_left_is_told_after_deploying(deployed: Experiment, told: list[Event]) -> None:
    assert warnings(told) == ""
    (text,) = [event.text for event in told if event.phase == "reserve"]
    assert "the g5k reservation 17 at nancy lasts until" in text
    assert text.endswith("59 min from now")


def test_little_that_is_left_is_warned_of(deployed: Experiment, testbeds: Testbeds, told: list[Event]) -> None:
    reservations.tell(deployed)
    assert warnings(told) == ""
    lasting(testbeds, 300)
    reservations.refresh(deployed)
    reservations.tell(deployed)
    assert "4 min left" in warnings(told)
    assert f"e2clab extend {deployed.scenario}" in warnings(told)


def test_background_tasks_that_may_last_longer_are_warned_of(
    deployed: Experiment, testbeds: Testbeds, told: list[Event]
) -> None:
    task = BackgroundTask(host="h", job="1", task="train", stage="launch", started=now(), limit_s=7200)
    deployed.update(background=(task,))
    reservations.tell(deployed)
    assert "background tasks may run until" in warnings(told)
    told.clear()
    lasting(testbeds, 9000)
    reservations.tell(deployed)
    assert warnings(told) == "", "another command has lengthened it: the testbed is asked before anything is said"


def test_reservations_are_lengthened_and_written_down(
    deployed: Experiment, testbeds: Testbeds, told: list[Event]
) -> None:
    before = {name: testbed.booked for name, testbed in testbeds.items()}
    extended = reservations.extend(deployed.scenario, 1800, told.append, write=True)
    assert len(extended) == 2
    for name in ("g5k", "iotlab"):
        assert list(testbeds[name].booked.values()) == [end + 1800 for end in before[name].values()]
    again = find(deployed.scenario, told.append)
    assert again is not None
    assert {one.ends for one in again.state.reservations} == {one.ends for one in extended}


def test_beside_a_running_command_the_state_is_left_to_that(
    deployed: Experiment, testbeds: Testbeds, told: list[Event]
) -> None:
    state = (deployed.folder / "state.json").read_text()
    assert len(reservations.extend(deployed.scenario, 1800, told.append, write=False)) == 2
    assert (deployed.folder / "state.json").read_text() == state


def test_a_testbed_that_refuses_does_not_keep_the_other_from_being_lengthened(
    deployed: Experiment, testbeds: Testbeds, told: list[Event]
) -> None:
    testbeds["g5k"].faults["extend"] = refusal
    before = list(testbeds["iotlab"].booked.values())
    with pytest.raises(TestbedError, match="on fire"):
        reservations.extend(deployed.scenario, 60, told.append, write=True)
    assert list(testbeds["iotlab"].booked.values()) == [before[0] + 60]


def test_without_a_deployment_there_is_nothing_to_lengthen(scenario: Path, told: list[Event]) -> None:
    with pytest.raises(StateError, match="nothing is deployed"):
        reservations.extend(scenario, 60, told.append, write=True)


def test_local_hosts_have_no_walltime() -> None:
    claim = LocalProvider().claim(experiment="e", scenario="/s", job_name="j", walltime_s=1, settings={})
    with pytest.raises(TestbedError, match="local hosts have no walltime"):
        LocalProvider().extend(claim, 60, lambda text: None)


@pytest.mark.parametrize("early", [False, True], ids=["its time is over", "the testbed has ended it"])
def test_the_end_of_a_reservation_is_the_reason_that_is_given(
    deployed: Experiment, testbeds: Testbeds, told: list[Event], early: bool
) -> None:
    deployed.update(hosts=(HOST,))
    if early:
        testbeds["g5k"].book({})
    else:
        ends = {"g5k": time.time() - 60, "iotlab": time.time() + 60}
        gone = tuple(one.model_copy(update={"ends": ends[one.provider]}) for one in deployed.state.reservations)
        deployed.update(reservations=gone)
        testbeds["g5k"].faults["reservations"] = refusal
    unreachable = RemoteError("ssh failed on cloud.server.1.1", why="No route to host")
    with pytest.raises(E2CError) as caught, guarded(deployed, OnFailure()):
        raise unreachable
    text = str(caught.value)
    assert "the g5k reservation 17 at nancy ended at" in text
    assert "No route to host" in text
    assert str(deployed.folder) in text
    assert caught.value.__cause__ is unreachable
    assert not any(testbed.booked for testbed in testbeds.values())


def test_other_failures_keep_their_own_reason(deployed: Experiment, testbeds: Testbeds, told: list[Event]) -> None:
    deployed.update(hosts=(HOST,))
    with pytest.raises(RemoteError, match=r"^rc 3\.$"), guarded(deployed, OnFailure()):
        raise RemoteError("rc 3")
