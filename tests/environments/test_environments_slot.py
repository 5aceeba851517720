"""A common time on Grid'5000 and FIT IoT-LAB."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from grid5000_user import DEPLOY, User, hosts
from iotlab_api import IotLabApi

from e2c.environments import slot
from e2c.environments.base import Claim
from e2c.environments.g5k import dates
from e2c.environments.iotlab.provider import IotLabProvider
from e2c.errors import TestbedError
from e2c.model.plan import PlannedHost

BOARD = PlannedHost(
    key="edge.sensor.1.1",
    layer="edge",
    service="Sensor",
    testbed="iotlab",
    provider="iotlab",
    request={"archi": "m3:at86rf231", "cluster": "grenoble"},
)


class Both(User):
    """Somebody with accounts on both testbeds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.iotlab = IotLabApi()
        self.environment |= {"IOTLAB_API_URL": self.iotlab.url, "E2C_SLOT_WINDOW": "1200"}
        rc = self.home / ".iotlabrc"
        rc.write_text(f"jdoe:{base64.b64encode(b'iotlab-secret').decode()}")
        rc.chmod(0o600)

    def requests(self, **settings: object) -> list[tuple[Claim, list[PlannedHost]]]:
        boards = IotLabProvider().claim(
            experiment="e",
            scenario=str(self.scenario),
            job_name="try",
            walltime_s=3600,
            settings={"cluster": "grenoble"},
        )
        return [(self.claim(**(DEPLOY | settings)), hosts(2)), (boards, [BOARD])]

    def free(self) -> None:
        (machines, _), (boards, _) = self.requests()
        self.release(machines)
        IotLabProvider().release(boards, self.said.append)
        assert self.api.living() == []
        assert self.iotlab.living() == []

    def occupy(self, seconds: float) -> None:
        now = time.time()
        for number in (1, 2, 3):
            self.api.occupy(f"gros-{number}.nancy.grid5000.fr", now - 60, now + seconds)


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    both = Both(tmp_path)
    for name, value in both.environment.items():
        monkeypatch.setenv(name, value)
    both.log_in()
    with both.api, both.iotlab:
        yield both


def test_both_start_together_and_are_taken_up_by_name(both: Both) -> None:
    both.occupy(500)
    requests = both.requests()
    slot.secure(requests, both.watch)
    (job,), (experiment,) = both.api.living(), both.iotlab.living()
    assert abs(job.starts - experiment.starts) <= 60
    assert job.starts >= time.time() + 400
    assert {reservation.provider for reservation in both.reserved} == {"g5k", "iotlab"}
    slot.secure(requests, both.watch)
    assert both.acquire(*requests[0])["cloud.master.1.1"] == "gros-1.nancy.grid5000.fr"
    assert (both.api.living(), both.iotlab.living()) == ([job], [experiment])
    both.free()


def test_no_common_time(both: Both) -> None:
    both.occupy(7200)
    with pytest.raises(TestbedError) as caught:
        slot.secure(both.requests(), both.watch)
    assert "Grid'5000 and FIT IoT-LAB have no common time for this experiment within 1200 s" in str(caught.value)
    assert "E2C_SLOT_WINDOW" in str(caught.value)
    assert (both.api.living(), both.iotlab.living()) == ([], [])


def test_second_testbed_that_refuses_leaves_the_first_to_the_caller(both: Both) -> None:
    both.iotlab.faults.answer("POST", "/experiments", 500, {"code": 500, "message": "quota exceeded"})
    with pytest.raises(TestbedError, match="quota exceeded"):
        slot.secure(both.requests(), both.watch)
    both.free()


def test_slot_that_is_taken_by_somebody_else_meanwhile_is_searched_again(both: Both) -> None:
    both.api.faults.before("POST", "/jobs$", lambda: both.occupy(400))
    slot.secure(both.requests(), both.watch)
    (job,) = both.api.living()
    assert job.starts >= time.time() + 300
    assert len(both.iotlab.living()) == 1
    both.free()


def test_the_date_of_the_scenario_is_kept(both: Both) -> None:
    start = int(time.time()) + 5400
    slot.secure(both.requests(reservation=dates.there(start)), both.watch)
    (job,), (experiment,) = both.api.living(), both.iotlab.living()
    assert abs(job.starts - start) <= 60
    assert abs(experiment.starts - start) <= 60
    both.free()


def test_one_testbed_needs_no_search(both: Both) -> None:
    slot.secure(both.requests()[:1], both.watch)
    assert both.api.requests == []
