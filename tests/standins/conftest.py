"""The stand-ins, for the tests of this room."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from standins_lab import StandIns
from worker_groups import pytest_collection_modifyitems as pytest_collection_modifyitems

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError


@pytest.fixture
def standins() -> Iterator[StandIns]:
    """Two Grid'5000 nodes and an IoT-LAB host behind their jump hosts; no reservation lives at the end."""
    if os.geteuid() != 0:
        pytest.skip("local hosts need root")
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    with StandIns() as lab:
        yield lab
        assert lab.living() == []
