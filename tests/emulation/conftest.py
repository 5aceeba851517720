"""Hosts with netem, for tests of links."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from worker_groups import pytest_collection_modifyitems as pytest_collection_modifyitems

from e2c import plugins
from e2c.emulation import apply
from e2c.errors import MissingToolError
from e2c.model.host import Host
from e2c.model.plan import PlannedHost

KEYS = ("cloud.master.1.1", "edge.client.1.1", "edge.client.1.2", "fog.gateway.1.1")


@contextmanager
def standing(keys: Sequence[str]) -> Iterator[tuple[Host, ...]]:
    """Local hosts on which ``tc ... netem`` works."""
    provider = plugins.load(plugins.ENVIRONMENTS, "local")()
    claim = provider.claim(
        experiment=f"test {uuid.uuid4()}", scenario="/no/such", job_name="test", walltime_s=600, settings={}
    )
    claim = claim.model_copy(update={"resources": {**claim.resources, "netem": "auto"}})
    planned = [
        PlannedHost(key=key, layer=key.split(".")[0], service=key.split(".")[1], testbed="local", provider="local")
        for key in keys
    ]
    try:
        try:
            hosts = provider.acquire(claim, planned, print).hosts
        except MissingToolError as error:
            pytest.skip(str(error))
        provider.enable_netem(claim, (), print)
        yield hosts
    finally:
        provider.release(claim, print)


@pytest.fixture(scope="session")
def testbed() -> Iterator[tuple[Host, ...]]:
    """Four hosts."""
    with standing(KEYS) as hosts:
        yield hosts


@pytest.fixture(scope="session")
def layers() -> Iterator[tuple[Host, ...]]:
    """Twelve hosts."""
    names = ("cloud", "fog", "edge")
    with standing([f"{layer}.host.1.{number}" for layer in names for number in range(1, 5)]) as hosts:
        yield hosts


@pytest.fixture
def dozen(layers: tuple[Host, ...]) -> tuple[Host, ...]:
    """The same twelve hosts, four in the cloud, four in the fog and four at the edge, their links unshaped."""
    apply.reset(layers)
    return layers


@pytest.fixture
def hosts(testbed: tuple[Host, ...]) -> tuple[Host, ...]:
    """The same hosts, their links unshaped."""
    apply.reset(testbed)
    return testbed
