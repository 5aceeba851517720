"""What is remembered of plugins: when they fail, when they are gone, and what they save."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2c import plugins
from e2c.errors import E2CError, ServiceError
from e2c.experiment import serving
from e2c.experiment.events import Event
from e2c.experiment.experiment import Experiment
from e2c.experiment.state import State
from e2c.model.host import Addresses, Board, Host
from e2c.model.plan import Plan, PlannedHost
from e2c.model.service import Registration, Served

BASE = "from e2c.services.base import Service\n"
SERVICES = ("First", "Second", "Third")


def planned(number: int, name: str) -> PlannedHost:
    return PlannedHost(
        key=f"edge.{name.lower()}.{number}.1",
        layer="edge",
        service=name,
        roles=("edge", name, f"1_{number}", "local"),
        testbed="local",
        provider="local",
        numbers=(1, number, 1),
        metadata={"env": {"N": number}},
    )


def host(one: PlannedHost) -> Host:
    fields = {name: getattr(one, name) for name in ("key", "layer", "service", "roles", "testbed", "provider")}
    return Host(**fields, hostname="h", address="10.0.0.1", addresses=Addresses(v4="10.0.0.1"))


class Desk:
    """An experiment whose hosts are never reached."""

    def __init__(self, folder: Path, boards: tuple[str, ...] = ()) -> None:
        self.told: list[Event] = []
        self.services = folder / "services"
        hosts = tuple(planned(number, name) for number, name in enumerate(SERVICES, 1))
        output = folder / "20260101-000000"
        for path in (self.services, output):
            path.mkdir()
        state = State(
            experiment=output.name,
            scenario=str(folder),
            plan_digest="x",
            hosts=tuple(host(one) for one in hosts if one.service not in boards),
        )
        plan = Plan(job_name="x", walltime_s=1, testbeds={}, hosts=hosts)
        self.experiment = Experiment(output, state, plan, self.told.append)
        plugins.look_in(folder)
        self.runs = 0

    def write(self, **bodies: str) -> None:
        """Plugins with that text in their classes, in a new file: modules are loaded once."""
        for path in self.services.glob("*.py"):
            path.unlink()
        self.runs += 1
        classes = (f"class {name}(Service):\n    {body}\n" for name, body in bodies.items())
        (self.services / f"run{self.runs}.py").write_text(BASE + "".join(classes))

    def served(self) -> dict[str, bool]:
        return {one.key: one.complete for one in self.experiment.state.served}

    def warnings(self) -> list[str]:
        return [event.text for event in self.told if event.kind == "warning"]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    yield Desk(tmp_path)
    plugins.look_in(tmp_path / "elsewhere")


GOOD = "def deploy(self): self.kept['n'] = self.env['N']"
BAD = "def deploy(self): 1 / 0"


def test_what_was_begun_stays_known_until_it_is_deployed(desk: Desk) -> None:
    desk.write(First=GOOD, Third=BAD)
    with pytest.raises(ServiceError, match=r"run1\.py:5: service edge\.third\.3 could not be deployed: ZeroDivision"):
        serving.serve(desk.experiment)
    assert desk.served() == {"edge.first.1": True, "edge.third.3": False}
    assert not desk.experiment.state.done("serve")
    # cut off even earlier the next time, the third is still one that may have to be ended
    desk.write(First=BAD, Third=GOOD)
    with pytest.raises(ServiceError, match=r"edge\.first\.1"):
        serving.serve(desk.experiment)
    assert desk.served() == {"edge.first.1": False, "edge.third.3": False}
    desk.write(First=GOOD, Third=GOOD)
    serving.serve(desk.experiment)
    assert desk.served() == {"edge.first.1": True, "edge.third.3": True}
    assert [one.kept for one in desk.experiment.state.served] == [{"n": 1}, {"n": 3}]


def test_a_plugin_that_takes_too_long_is_told_with_what_allows_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write(First="def deploy(self): import time; time.sleep(600)")
    monkeypatch.setenv("E2C_SERVICE_TIMEOUT", "1")
    with pytest.raises(ServiceError, match=r"not finish within 1 s\. Let it take longer with E2C_SERVICE_TIMEOUT="):
        serving.serve(desk.experiment)
    assert desk.served() == {"edge.first.1": False}


def test_a_scenario_without_plugins_remembers_nothing(desk: Desk) -> None:
    serving.serve(desk.experiment)
    assert desk.served() == {}
    assert serving.extras(desk.experiment.state) == {}


def test_boards_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    desk = Desk(tmp_path, boards=("Second",))
    board = Board(
        key="edge.second.2.1",
        layer="edge",
        service="Second",
        testbed="l",
        provider="l",
        address="m3",
        site="s",
        archi="m3",
    )
    desk.experiment.update(boards=(board,))
    desk.write(First=GOOD, Second=GOOD)
    serving.serve(desk.experiment)
    assert desk.served() == {"edge.first.1": True}
    assert "edge.second.2 runs on boards, on which its plugin can do nothing" in desk.warnings()
    plugins.look_in(tmp_path / "elsewhere")


def test_all_that_can_be_saved_is_saved(desk: Desk, tmp_path: Path) -> None:
    save = "def backup(self, folder): (folder / 'n').write_text(str(self.kept['n']))"
    desk.write(First=f"{GOOD}\n    def backup(self, folder): 1 / 0", Second=GOOD, Third=f"{GOOD}\n    {save}")
    serving.serve(desk.experiment)
    failures = []
    for one in serving.savers(None):
        try:
            one(desk.experiment, tmp_path / "run")
        except E2CError as error:
            failures.append(str(error))
    assert len(failures) == 1
    assert "service edge.first.1 could not be saved: ZeroDivisionError" in failures[0]
    assert (tmp_path / "run/services-data/edge.third.3/n").read_text() == "3"
    assert not (tmp_path / "run/services-data/edge.second.2").exists(), "it has no such method"


def test_a_plugin_that_is_gone_is_told(desk: Desk, tmp_path: Path) -> None:
    desk.write(First=f"{GOOD}\n    def check(self): return 'asleep'")
    serving.serve(desk.experiment)
    (one,) = desk.experiment.state.served
    assert serving.health(desk.experiment, one) == {"healthy": False, "reason": "asleep"}
    Path(one.source).unlink()
    reason = serving.health(desk.experiment, one)["reason"]
    assert reason == f"its plugin {one.source} is there no more"
    with pytest.raises(
        ServiceError, match=r"edge\.first\.1 could not be saved: its plugin .* is there no more\. Put it back"
    ):
        [save(desk.experiment, tmp_path) for save in serving.savers(None)]


def registration(key: str, **values: Any) -> Registration:
    return Registration(key=key, host="cloud.x.1.1", **values)


def test_entries_of_several_registrations_do_not_replace_each_other() -> None:
    registered = (
        registration("cloud.x.1.1", port=80, extra={"a": 1}),
        registration("cloud.x.1.main.1", sub_service="main", port=81, extra={"a": 2, "b": 3}),
    )
    one = Served(
        key="cloud.x.1",
        layer="cloud",
        name="X",
        numbers=(1, 1),
        hosts=("cloud.x.1.1",),
        plugin="X",
        source="x.py",
        registered=registered,
    )
    state = State(experiment="e", scenario="/s", plan_digest="x", served=(one,))
    part = {"sub_service": "main", "sub_service_id": "1"}
    assert serving.extras(state) == {
        "cloud.x.1.1": {"service_port": 80, "a": 1, "b": 3, **part},
        "cloud.x.1.main.1": {"service_port": 81, "a": 2, "b": 3, **part},
    }
    assert serving.registered(state) == {"cloud.x.1.1": ("cloud.x.1.main.1",)}
