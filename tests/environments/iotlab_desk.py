"""A user of FIT IoT-LAB for tests: an account at the stand-in of its API, and a record of what was told."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from iotlab_api import IotLabApi

from e2c.environments.base import Acquisition, Claim, Watch
from e2c.environments.iotlab.provider import IotLabProvider
from e2c.model.plan import PlannedHost
from e2c.model.reservation import Reservation

ACCOUNT, PASSWORD = "jdoe", "iotlab-secret"
M3, A8 = "m3:at86rf231", "a8:at86rf231"
POWER = {"name": "power", "archi": "m3", "power": True, "period": 8244, "average": 4}
RSSI = {"mode": "rssi", "channels": [11, 26], "period": 10, "num_per_channel": 1}


class Desk:
    """One scenario of one user."""

    def __init__(self, api: IotLabApi, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.api = api
        self.home = home
        self.provider = IotLabProvider()
        self.said: list[str] = []
        self.waited: list[str] = []
        self.told: list[Reservation] = []
        self.watch = Watch(self.said.append, self.waited.append, self.told.append)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("IOTLAB_API_URL", api.url)
        monkeypatch.setenv("NO_PROXY", "*")
        monkeypatch.delenv("IOTLAB_PASSWORD_FILE", raising=False)
        monkeypatch.setenv("E2C_API_TIMEOUT", "5")
        self.log_in()

    def log_in(self, password: str = PASSWORD) -> None:
        (self.home / ".iotlabrc").write_text(f"{ACCOUNT}:{base64.b64encode(password.encode()).decode()}")

    def claim(self, scenario: str = "/scenarios/forest", artifacts: Path | None = None, **settings: Any) -> Claim:
        claim = self.provider.claim(
            experiment="x",
            scenario=scenario,
            job_name="forest walk",
            walltime_s=3541,
            settings={"cluster": "grenoble", **settings},
        )
        return claim.model_copy(update={"resources": {"artifacts_dir": str(artifacts)}}) if artifacts else claim

    def acquire(self, claim: Claim, hosts: Sequence[PlannedHost]) -> Acquisition:
        return self.provider.acquire(claim, hosts, self.watch)

    def release(self, claim: Claim) -> list[str]:
        return self.provider.release(claim, self.watch)


def planned(service: str, number: int = 1, **request: Any) -> list[PlannedHost]:
    """Machines of a service of the layer ``edge``."""
    keys = {"cluster": "grenoble", **request} if "servers" not in request else request
    return [
        PlannedHost(
            key=f"edge.{service}.1.{machine}",
            layer="edge",
            service=service,
            roles=("edge", service),
            testbed="iotlab",
            provider="iotlab",
            request=keys,
        )
        for machine in range(1, number + 1)
    ]
