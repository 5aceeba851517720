"""Local testbeds for tests: made for real, always released, and looked over afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from environments_lab import Lab
from worker_groups import pytest_collection_modifyitems as pytest_collection_modifyitems

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError
from e2c.model.host import Host


@pytest.fixture(scope="session")
def possible() -> None:
    """Skip where local testbeds cannot be made, with the product's own reason."""
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture
def lab(possible: None) -> Iterator[Lab]:
    lab = Lab()
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def standing(possible: None) -> Iterator[tuple[Lab, dict[str, Host]]]:
    """Three hosts for tests that leave no lasting mark on them."""
    lab = Lab()
    try:
        yield lab, lab.up(lab.claim())
    finally:
        lab.down()


@pytest.fixture(scope="session")
def shaped(possible: None) -> Iterator[Callable[[], tuple[Lab, dict[str, Host]]]]:
    """Three hosts on which netem works; made at the first call."""
    labs: list[tuple[Lab, dict[str, Host]]] = []

    def get() -> tuple[Lab, dict[str, Host]]:
        if not labs:
            lab = Lab()
            labs.append((lab, {}))
            claim = lab.claim(netem="auto")
            labs[0] = (lab, lab.up(claim))
            lab.provider.enable_netem(claim, (), lab.said.append)
        return labs[0]

    try:
        yield get
    finally:
        for lab, _ in labs:
            lab.down()
