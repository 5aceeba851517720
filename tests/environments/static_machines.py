"""Hosts of a local testbed as the machines of ``static``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from environments_lab import Lab

from e2c.environments.base import Claim, Watch
from e2c.environments.static.provider import StaticProvider
from e2c.model.host import Host
from e2c.model.plan import PlannedHost
from e2c.remote import shell, sockets


class Machines:
    """A local testbed whose hosts are the machines, and scenarios that take them."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder = folder
        self.lab = Lab()
        self.claim = self.lab.claim()
        keys = tuple(f"machine.room.1.{place}" for place in range(1, number + 1))
        self.there = list(self.lab.up(self.claim, keys).values())
        self.provider = StaticProvider()
        self.said: list[str] = []
        self.waited: list[str] = []
        self.sockets: set[str] = set()

    @property
    def watch(self) -> Watch:
        return Watch(self.said.append, self.waited.append)

    def keys(self, host: Host, **others: Any) -> dict[str, Any]:
        return {"address": host.address, "user": "root", "port": 22, "keyfile": host.keyfile, **others}

    def wanted(self, machines: Iterable[dict[str, Any]]) -> list[PlannedHost]:
        return [
            PlannedHost(
                key=f"edge.sensor.1.{number}",
                layer="edge",
                service="sensor",
                roles=("edge", "sensor"),
                testbed="static",
                provider="static",
                request=machine,
            )
            for number, machine in enumerate(machines, 1)
        ]

    def name(self, machines: Sequence[dict[str, Any]], scenario: str = "one", experiment: str = "1") -> Claim:
        hosts = [{"key": f"edge.sensor.1.{number}", **machine} for number, machine in enumerate(machines, 1)]
        folder = str(self.folder / scenario)
        claim = self.provider.claim(
            experiment=f"{experiment}-{folder}",
            scenario=folder,
            job_name="test",
            walltime_s=60,
            settings={"hosts": hosts},
        )
        self.sockets.add(claim.resources["sockets"])
        return claim

    def take(
        self, machines: Sequence[dict[str, Any]], scenario: str = "one", experiment: str = "1"
    ) -> tuple[Claim, list[Host]]:
        claim = self.name(machines, scenario, experiment)
        return claim, list(self.provider.acquire(claim, self.wanted(machines), self.watch).hosts)

    def free(self, claim: Claim) -> list[str]:
        return self.provider.release(claim, self.said.append)

    def mark(self, host: Host) -> dict[str, Any] | None:
        told = shell.run(host, "cat /var/lib/e2c/claim.json").stdout
        return json.loads(told) if told else None

    def close(self) -> None:
        """End the connections of claims that were not released."""
        for folder in self.sockets:
            sockets.remove(folder)

    def down(self) -> None:
        self.close()
        self.lab.down()
