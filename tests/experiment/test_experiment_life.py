"""What is booked is free again, whatever fails, and a deployment that was cut off goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from experiment_bookings import SCENARIO, Bookings, in_a_child, killed, refusal

from e2c.errors import E2CError, StateError, TestbedError
from e2c.experiment import acquisition, releasing, steps
from e2c.experiment.deployment import deploy
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment, find
from e2c.experiment.failure import OnFailure, guarded
from e2c.experiment.state import PLAN_FILE, STATE_FILE

Testbeds = dict[str, Bookings]


class TerminatedError(BaseException):
    """What the command line makes of SIGTERM."""


class Desk:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, event: Event) -> None:
        self.told.append(event.text)

    @property
    def text(self) -> str:
        return "\n".join(self.told)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def up(scenario: Path, desk: Desk, command: str = "layers-services", **wish: object) -> Experiment:
    return deploy(scenario, scenario / "artifacts", testbed=None, wish=OnFailure(**wish), command=command, observe=desk)  # type: ignore[arg-type]


def run(scenario: Path, desk: Desk, **wish: object) -> Experiment:
    return steps.deploy_all(
        scenario,
        scenario / "artifacts",
        testbed=None,
        wish=OnFailure(**wish),  # type: ignore[arg-type]
        destroy_after=False,
        observe=desk,
    )


def booked(testbeds: Testbeds) -> list[str]:
    return [name for testbed in testbeds.values() for name in testbed.booked]


def raising(error: BaseException) -> Callable[[], None]:
    def fault() -> None:
        raise error

    return fault


def test_cheap_testbeds_come_first_and_the_others_get_a_common_slot(
    scenario: Path, testbeds: Testbeds, asked: list[str], desk: Desk
) -> None:
    (scenario / "layers_services.yaml").write_text(
        SCENARIO + "  - name: box\n    environment: static\n    servers: [box.example.org]\n"
    )
    testbeds["static"].faults["acquire"] = lambda: asked.append(f"claims {len(found().state.claims)}")
    testbeds["static"].faults["check"] = lambda: None

    def found() -> Experiment:
        experiment = find(scenario, desk)
        assert experiment is not None
        return experiment

    up(scenario, desk)
    acquired = [what for what in asked if "acquire" in what or "slot" in what or "claims" in what]
    assert acquired == ["static acquire", "claims 3", "slot of 2", "g5k acquire", "iotlab acquire"]


def test_what_a_host_says_at_every_login_is_none_of_its_facts() -> None:
    found = acquisition._facts("Welcome to gros-1\nLinux 6.1.0\n4\n16000000\n")
    assert found == {"kernel": "Linux 6.1.0", "cores": 4, "memory_kib": 16000000}


def test_one_testbed_needs_no_common_slot(scenario: Path, testbeds: Testbeds, asked: list[str], desk: Desk) -> None:
    (scenario / "layers_services.yaml").write_text(SCENARIO.partition("- name: edge")[0].replace("  iotlab: {}\n", ""))
    up(scenario, desk)
    assert [what for what in asked if "acquire" in what or "slot" in what] == ["g5k acquire"]
    assert not [what for what in asked if what.startswith(("iotlab", "static"))], "they have nothing to do with it"


def test_what_the_first_gave_is_free_when_the_second_fails(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    testbeds["iotlab"].faults["acquire"] = refusal
    with pytest.raises(TestbedError, match=r"the cluster is on fire\. Try another one\."):
        up(scenario, desk)
    assert booked(testbeds) == []
    assert "released g5k job" in desk.text
    with pytest.raises(StateError, match="nothing is deployed any more"):
        steps.take_up(scenario, "workflow", desk)


def test_keep_keeps_and_says_how_to_release(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    testbeds["iotlab"].faults["acquire"] = refusal
    with pytest.raises(TestbedError):
        up(scenario, desk, keep=True)
    assert len(booked(testbeds)) == 2
    assert f"free them with: e2clab destroy {scenario}" in desk.text


@pytest.mark.parametrize("answer", [True, False])
def test_a_user_who_is_there_decides(scenario: Path, testbeds: Testbeds, desk: Desk, answer: bool) -> None:
    testbeds["iotlab"].faults["acquire"] = refusal
    with pytest.raises(TestbedError):
        up(scenario, desk, ask=lambda: answer)
    assert len(booked(testbeds)) == (2 if answer else 0)


@pytest.mark.parametrize("wish", [{}, {"destroy": True}])
def test_nobody_is_asked_after_sigterm_or_with_destroy_on_fail(
    scenario: Path, testbeds: Testbeds, desk: Desk, wish: dict[str, bool]
) -> None:
    error: BaseException = RuntimeError("a fault of ours") if wish else TerminatedError()
    testbeds["iotlab"].faults["acquire"] = raising(error)
    with pytest.raises(type(error)):
        up(scenario, desk, ask=raising(AssertionError("asked")), **wish)
    assert booked(testbeds) == []
    assert "nothing more is saved" not in desk.text


def test_a_second_ctrl_c_while_asked_or_saving_releases_at_once(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    testbeds["iotlab"].faults["acquire"] = refusal
    with pytest.raises(TestbedError, match="on fire"):
        up(scenario, desk, ask=raising(KeyboardInterrupt()))
    assert booked(testbeds) == []


def test_ctrl_c_during_a_release_only_tells(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    def impatient() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)

    up(scenario, desk)
    testbeds["g5k"].faults["release"] = impatient
    assert releasing.destroy(scenario, desk).failures == []
    assert booked(testbeds) == []
    assert "releasing, please wait" in desk.text


def test_a_terminal_that_has_gone_does_not_keep_anything_booked(scenario: Path, testbeds: Testbeds) -> None:
    def gone(event: Event) -> None:
        raise BrokenPipeError

    testbeds["iotlab"].faults["acquire"] = refusal
    with pytest.raises(TestbedError, match="on fire"):
        deploy(
            scenario,
            scenario / "artifacts",
            testbed=None,
            wish=OnFailure(),
            command="deploy",
            observe=gone,
        )
    assert booked(testbeds) == []


def test_a_testbed_that_does_not_release_is_told_and_the_others_are_freed(
    scenario: Path, testbeds: Testbeds, desk: Desk
) -> None:
    up(scenario, desk)
    testbeds["g5k"].faults["release"] = refusal
    done = releasing.destroy(scenario, desk)
    assert [name.partition("@")[0] for name in booked(testbeds)] == ["life"]
    assert len(done.freed) == 1
    with pytest.raises(StateError, match=r"may still be booked: g5k: the cluster is on fire.*e2clab destroy"):
        done.require(scenario)
    del testbeds["g5k"].faults["release"]
    releasing.destroy(scenario, desk).require(scenario)
    assert booked(testbeds) == []
    assert releasing.destroy(scenario, desk).freed == []


def damaged(folder: Path) -> Iterator[tuple[str, str]]:
    """Ways in which the files of an experiment can be lost: what is done to which file."""
    whole = (folder / STATE_FILE).read_text()
    yield STATE_FILE, whole[: len(whole) // 2]
    yield STATE_FILE, json.dumps({**json.loads(whole), "version": 99})
    yield STATE_FILE, "\0garbage\xff"
    yield STATE_FILE, ""
    yield PLAN_FILE, "{"
    yield PLAN_FILE, ""


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("finds", [True, False])
def test_destroy_works_whatever_became_of_the_files(
    scenario: Path, testbeds: Testbeds, desk: Desk, case: int, finds: bool
) -> None:
    folder = up(scenario, desk).folder
    name, content = list(damaged(folder))[case]
    (folder / name).write_text(content)
    if not finds:
        for testbed in testbeds.values():
            testbed.faults["find"] = refusal
    done = releasing.destroy(scenario, desk)
    told_by_files = name == PLAN_FILE or '"version": 99' in content
    if finds or told_by_files:
        assert booked(testbeds) == []
        assert len(done.freed) == 2
    else:
        assert {failure.partition(" ")[0] for failure in done.failures} == {"g5k", "iotlab", "static"}
    if finds:
        assert done.failures == []


def test_an_output_folder_that_was_deleted_hides_nothing(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    experiment = up(scenario, desk)
    for file in experiment.folder.iterdir():
        file.unlink()
    experiment.folder.rmdir()
    testbeds["static"].faults["find"] = refusal
    done = releasing.destroy(scenario, desk)
    assert booked(testbeds) == []
    with pytest.raises(StateError, match="static could not be asked: the cluster is on fire"):
        done.require(scenario)


def test_a_testbed_that_was_never_used_may_be_silent(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    up(scenario, desk)
    testbeds["static"].faults["find"] = refusal
    releasing.destroy(scenario, desk).require(scenario)
    assert "static could not be asked whether it holds more" in desk.text


@pytest.mark.root
def test_a_full_disk_at_the_state_releases_what_was_acquired_and_says_so(
    scenario: Path, testbeds: Testbeds, desk: Desk
) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a tiny file system needs root")
    artifacts = scenario.parent / "artifacts"
    artifacts.mkdir()
    assert os.system(f"mount -t tmpfs -o size=64k tiny {scenario}") == 0
    try:
        (scenario / "layers_services.yaml").write_text(SCENARIO)

        def fill() -> None:
            with (scenario / "big").open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 512)
                except OSError:
                    pass

        testbeds["iotlab"].faults["acquire"] = fill
        with pytest.raises(StateError, match="No space left"):
            deploy(scenario, artifacts, testbed=None, wish=OnFailure(), command="layers-services", observe=desk)
        assert booked(testbeds) == []
        assert "everything was released, but that cannot be written down" in desk.text
        releasing.destroy(scenario, desk).require(scenario)
        (scenario / "big").unlink()
        assert releasing.destroy(scenario, desk).freed == []
    finally:
        assert os.system(f"umount {scenario}") == 0


@pytest.mark.parametrize("testbed", ["g5k", "iotlab"])
def test_killed_while_acquiring_the_next_command_takes_up_what_is_booked(
    scenario: Path, testbeds: Testbeds, desk: Desk, testbed: str
) -> None:
    testbeds[testbed].faults["acquire"] = killed
    assert in_a_child(lambda: up(scenario, desk)) == -signal.SIGKILL
    left = booked(testbeds)
    assert len(left) == (1 if testbed == "g5k" else 2)
    del testbeds[testbed].faults["acquire"]
    folder = up(scenario, desk).folder
    assert "which was cut off in phase acquire" in desk.text
    assert len(booked(testbeds)) == 2
    assert [path.name for path in scenario.glob("2*")] == [folder.name]
    assert up(scenario, desk).folder == folder
    assert "nothing to do" in desk.text


def test_killed_and_then_changed_the_scenario_is_released_first(
    scenario: Path, testbeds: Testbeds, asked: list[str], desk: Desk
) -> None:
    testbeds["iotlab"].faults["acquire"] = killed
    in_a_child(lambda: up(scenario, desk))
    del testbeds["iotlab"].faults["acquire"]
    (scenario / "layers_services.yaml").write_text(SCENARIO + "    quantity: 2\n")
    asked.clear()
    up(scenario, desk)
    assert "was changed since" in desk.text
    relevant = [what for what in asked if what.endswith((" acquire", " release"))]
    assert sorted(relevant[:2]) == ["g5k release", "iotlab release"]  # at once
    assert relevant[2:] == ["g5k acquire", "iotlab acquire"]


def test_killed_then_destroyed_nothing_is_booked(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    testbeds["iotlab"].faults["acquire"] = killed
    in_a_child(lambda: up(scenario, desk))
    assert booked(testbeds)
    releasing.destroy(scenario, desk).require(scenario)
    assert booked(testbeds) == []


def test_a_failing_step_keeps_what_an_earlier_command_acquired(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    up(scenario, desk)
    experiment = steps.take_up(scenario, "workflow", desk)
    with pytest.raises(E2CError, match="late"), guarded(experiment, OnFailure(ask=raising(AssertionError("asked")))):
        raise TestbedError("too late")
    assert len(booked(testbeds)) == 2
    assert "kept, because an earlier command deployed them" in desk.text
    with pytest.raises(E2CError), guarded(experiment, OnFailure(destroy=True)):
        raise TestbedError("too late")
    assert booked(testbeds) == []


def test_deploy_does_what_is_left(scenario: Path, testbeds: Testbeds, desk: Desk) -> None:
    experiment = run(scenario, desk)
    names = [record.phase for record in experiment.state.phases]
    assert names == ["acquire", "connect", "serve", "emulate", "prepare", "launch", "finalize", "backup"]
    with pytest.raises(StateError, match="was run already"):
        run(scenario, desk)
    assert len(booked(testbeds)) == 2
    (scenario / "artifacts" / "application.py").write_text("print('another one')")
    again = run(scenario, desk)
    names = [record.phase for record in again.state.phases]
    assert again.folder == experiment.folder
    assert names[8:] == ["connect", "connect", "prepare", "launch", "finalize", "backup"]
