"""A provider of local testbeds that remembers what it was asked, so that everything is released."""

from __future__ import annotations

import uuid

from environments_traces import namespace_inodes, traces

from e2c.environments.base import Claim
from e2c.environments.local.provider import LocalProvider
from e2c.model.host import Host
from e2c.model.plan import PlannedHost

THREE = ("cloud.master.1.1", "edge.client.1.1", "edge.client.1.2")
CLOUD_AND_EDGE = THREE[:2]


def planned(keys: tuple[str, ...] = THREE) -> list[PlannedHost]:
    return [
        PlannedHost(
            key=key,
            layer=key.split(".")[0],
            service=key.split(".")[1],
            roles=(key.split(".")[1],),
            testbed="g5k",
            provider="local",
        )
        for key in keys
    ]


class Lab:
    """A provider that remembers what it was asked, so that everything is released."""

    def __init__(self) -> None:
        self.provider = LocalProvider()
        self.claims: list[Claim] = []
        self.said: list[str] = []

    def claim(self, *, scenario: str = "/no/such/scenario", netem: str | None = None) -> Claim:
        claim = self.provider.claim(
            experiment=f"test {uuid.uuid4()}", scenario=scenario, job_name="test", walltime_s=600, settings={}
        )
        if netem:
            claim = claim.model_copy(update={"resources": {**claim.resources, "netem": netem}})
        self.claims.append(claim)
        return claim

    def up(self, claim: Claim, keys: tuple[str, ...] = THREE) -> dict[str, Host]:
        return {host.key: host for host in self.provider.acquire(claim, planned(keys), self.said.append).hosts}

    def down(self) -> None:
        for claim in self.claims:
            testbed = claim.resources["testbed"]
            spaces = namespace_inodes(testbed)
            self.provider.release(claim, self.said.append)
            assert traces(testbed, spaces) == []
