"""Whose hosts are whose: what an earlier command left to the user, no later failure releases by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from experiment_bookings import Bookings, in_a_child, killed, refusal

from e2c.environments.local import registry
from e2c.environments.local.provider import LocalProvider
from e2c.errors import E2CError, MissingToolError
from e2c.experiment import agenda, releasing, reservations, steps
from e2c.experiment.events import Event
from e2c.experiment.experiment import find
from e2c.experiment.failure import OnFailure

Testbeds = dict[str, Bookings]
LAYERS = "environment: {local: {}}\nlayers:\n- {name: edge, services: [{name: client, quantity: 2}]}\n"


class Desk:
    """Deploys, and remembers what was told."""

    def __init__(self, scenario: Path) -> None:
        self.scenario = scenario
        self.told = ""

    def __call__(self, event: Event) -> None:
        self.told += f"{event.text}\n"

    def deploy(self, **wish: bool) -> None:
        self.told = ""
        folder, wished = self.scenario, OnFailure(**wish)
        steps.deploy_all(folder, folder / "artifacts", testbed=None, wish=wished, destroy_after=False, observe=self)

    def fails(self, **wish: bool) -> str:
        with pytest.raises(E2CError) as caught:
            self.deploy(**wish)
        return str(caught.value)


@pytest.fixture
def desk(scenario: Path, testbeds: Testbeds) -> Desk:
    return Desk(scenario)


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets every workflow end as told."""

    def arrange(end: Callable[[], object]) -> None:
        monkeypatch.setattr(agenda, "play", lambda *_: end())

    return arrange


Breaks = Callable[[Callable[[], object]], None]


def booked(testbeds: Testbeds) -> int:
    return sum(len(testbed.booked) for testbed in testbeds.values())


def test_hosts_that_were_kept_stay_whatever_fails_later(desk: Desk, testbeds: Testbeds, breaks: Breaks) -> None:
    breaks(refusal)
    desk.fails(keep=True)
    assert "the hosts are kept, as asked" in desk.told
    desk.fails()
    assert booked(testbeds) == 2
    assert f"kept, because an earlier command kept them; free them with: e2clab destroy {desk.scenario}" in desk.told
    desk.fails(destroy=True)
    assert booked(testbeds) == 0


@pytest.mark.parametrize("place", [(reservations, "tell"), (agenda, "draw_up")])
def test_hosts_are_released_wherever_between_two_steps_ctrl_c_comes(
    desk: Desk, testbeds: Testbeds, monkeypatch: pytest.MonkeyPatch, place: tuple[ModuleType, str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        assert booked(testbeds) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(*place, interrupted)
    with pytest.raises(KeyboardInterrupt):
        desk.deploy()
    assert booked(testbeds) == 0


def test_hosts_of_a_deployment_that_went_well_stay(desk: Desk, testbeds: Testbeds, breaks: Breaks) -> None:
    desk.deploy()
    (desk.scenario / "artifacts" / "program.py").write_text("print('another one')")
    breaks(refusal)
    desk.fails()
    assert booked(testbeds) == 2
    assert "an earlier command kept them" in desk.told


def test_hosts_of_a_deployment_that_was_killed_are_released(desk: Desk, testbeds: Testbeds, breaks: Breaks) -> None:
    breaks(killed)
    assert in_a_child(desk.deploy) == -signal.SIGKILL
    assert booked(testbeds) == 2
    breaks(refusal)
    desk.fails()
    assert booked(testbeds) == 0


def test_where_nothing_was_acquired_nothing_was_kept(desk: Desk, testbeds: Testbeds, breaks: Breaks) -> None:
    testbeds["g5k"].faults["acquire"] = refusal
    desk.fails(keep=True)
    del testbeds["g5k"].faults["acquire"]
    breaks(refusal)
    desk.fails()
    assert booked(testbeds) == 0


@pytest.mark.netns
def test_a_dead_host_does_not_take_those_that_were_kept_with_it(tmp_path: Path) -> None:
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "layers_services.yaml").write_text(LAYERS)
    (tmp_path / "network.yaml").write_text("networks: []\n")
    (tmp_path / "workflow.yaml").write_text("- hosts: edge\n  launch: [{command: 'false'}]\n")
    desk = Desk(tmp_path)
    try:
        assert "launch failed" in desk.fails(keep=True)
        experiment = find(tmp_path, desk)
        assert experiment is not None
        record = registry.read(experiment.state.claims[0].resources["testbed"])
        assert record is not None
        (dead,) = [one.index for one in record.layout.hosts if one.key == "edge.client.1.2"]
        os.kill(record.processes[dead].pid, signal.SIGKILL)

        said = desk.fails()
        assert said.startswith("ssh failed on edge.client.1.2")
        assert f"repeat the command to go on; or release all hosts: e2clab destroy {tmp_path}" in said
        assert "kept, because an earlier command kept them" in desk.told
        again = find(tmp_path, desk)
        assert again is not None
        assert not again.state.released
        assert len(again.state.hosts) == 2
    finally:
        releasing.destroy(tmp_path, desk).require(tmp_path)
