"""Machines that are not wiped: plugins end their services before these are released, and never hold that up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from static_machines import Machines

from e2c.experiment import deployment, releasing, serving
from e2c.experiment.events import Event
from e2c.experiment.failure import OnFailure
from e2c.remote import shell

pytestmark = pytest.mark.netns

PLUGIN = """\
import time
from e2c.services.base import Service

class Own(Service):
    def deploy(self):
        self.put("here", "/srv/own")
        self.kept["path"] = "/srv/own"
        if self.env.get("FAIL"):
            raise RuntimeError("half-way")

    def destroy(self):
        self.run(f"rm {self.kept.get('path', '/srv/own')}")

class Hangs(Own):
    def destroy(self):
        time.sleep(600)

class Raises(Own):
    def destroy(self):
        raise RuntimeError("out of order")
"""


def test_plugins_end_their_services_and_hold_up_no_release(
    possible: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(serving, "STOP_S", 12)
    machines = Machines(tmp_path, 3)
    scenario = tmp_path / "scenario"
    (scenario / "services").mkdir(parents=True)
    (scenario / "services" / "own.py").write_text(PLUGIN)
    told: list[Event] = []

    def write(**env: bool) -> None:
        services = [{"name": name, "environment": "static", "env": env} for name in ("Own", "Hangs", "Raises")]
        static = {"hosts": [{**machines.keys(host)} for host in machines.there]}
        layers = {"environment": {"static": static}, "layers": [{"name": "edge", "services": services}]}
        (scenario / "layers_services.yaml").write_text(json.dumps(layers))

    def deploy() -> None:
        deployment.deploy(
            scenario, scenario, testbed=None, wish=OnFailure(), command="layers-services", observe=told.append
        )

    def there() -> list[str]:
        return [shell.run(host, "cat /srv/own").stdout for host in machines.there]

    def warnings() -> list[str]:
        found = [event.text for event in told if event.kind == "warning"]
        told.clear()
        return found

    try:
        write()
        deploy()
        assert there() == ["here"] * 3
        warnings()
        releasing.destroy(scenario, told.append).require(scenario)
        assert there() == ["", "here", "here"]
        raised, hung = sorted((text for text in warnings() if "released all the same" in text), reverse=True)
        same = ". Its hosts are released all the same"
        assert hung == f"service edge.hangs.2 was not ended by its plugin: no answer within 12 s{same}"
        place = f"{scenario}/services/own.py:20"
        assert raised == f"service edge.raises.3 was not ended by its plugin: {place}: RuntimeError: out of order{same}"
        assert [machines.mark(host) for host in machines.there] == [None] * 3

        # a deployment that fails half-way is ended too, as far as it came
        write(FAIL=True)
        with pytest.raises(Exception, match=r"edge\.own\.1 could not be deployed: RuntimeError: half-way"):
            deploy()
        assert there() == ["", "here", "here"]
        assert [machines.mark(host) for host in machines.there] == [None] * 3
    finally:
        machines.down()
