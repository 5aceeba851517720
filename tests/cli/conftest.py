"""A scenario of three local hosts, deployed once for the tests of a module that leave it as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_program import e2clab
from worker_groups import pytest_collection_modifyitems as pytest_collection_modifyitems

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError

LAYERS = """\
environment: {local: {}}
layers:
- name: cloud
  services:
  - name: Server
- name: edge
  services:
  - {name: Client, quantity: 2, roles: [sensors]}
"""


@pytest.fixture(scope="session")
def possible() -> None:
    """Skip where local hosts cannot be made, with the product's own reason."""
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))


def written(folder: Path) -> Path:
    (folder / "artifacts").mkdir(parents=True)
    (folder / "layers_services.yaml").write_text(LAYERS)
    (folder / "network.yaml").write_text("networks: []\n")
    (folder / "workflow.yaml").write_text("- hosts: edge\n  launch:\n  - command: 'true'\n")
    return folder


def released(folder: Path) -> None:
    done = e2clab("destroy", folder)
    assert done.returncode == 0, done.stderr
    records = Path("/run/e2c").glob("*/testbed.json")
    assert [record for record in records if str(folder) in record.read_text()] == []


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """A scenario that is not deployed."""
    return written(tmp_path / "scenario")


@pytest.fixture
def fresh(scenario: Path, possible: None) -> Iterator[Path]:
    """A scenario that a test may deploy, and that is released afterwards."""
    yield scenario
    released(scenario)


@pytest.fixture(scope="module")
def deployed(possible: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A deployed scenario, for tests that change nothing about it; it seems to have a board too."""
    folder = written(tmp_path_factory.mktemp("deployed") / "scenario")
    done = e2clab("layers-services", folder, folder / "artifacts")
    assert done.returncode == 0, done.stderr
    _add_board(Path(done.stdout.strip()))
    yield folder
    released(folder)


def _add_board(folder: Path) -> None:
    """Write down a board beside the hosts, as if the testbed had given one: there is none on this machine."""
    state, plan = (json.loads((folder / name).read_text()) for name in ("state.json", "plan.json"))
    known = {"key": "edge.mote.2.1", "layer": "edge", "service": "Mote", "roles": ["edge", "Mote", "motes"]}
    known |= {"testbed": "iotlab", "provider": "iotlab"}
    plan["hosts"].append(known)
    state["boards"].append(
        {**known, "address": "m3-1.grenoble.iot-lab.info", "site": "grenoble", "archi": "m3:at86rf231"}
    )
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "plan.json").write_text(json.dumps(plan))
