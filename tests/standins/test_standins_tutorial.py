"""The published tutorial, whole, on Grid'5000 and FIT IoT-LAB as far as they can be played; no rehearsal."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from standins_lab import StandIns

from e2c.environments.local.provider import LocalProvider
from e2c.errors import MissingToolError

pytestmark = [pytest.mark.netns, pytest.mark.switch, pytest.mark.broker, pytest.mark.monetdb, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "tests" / "cases" / "tutorial"
APPLICATION = ROOT / "examples" / "provenance-tutorial" / "artifacts" / "user-application.py"
SECRETS = ("g5k-secret", "iotlab-secret", "aW90bGFiLXNlY3JldA==")


@pytest.fixture
def shaped() -> Iterator[StandIns]:
    """Stand-ins on whose machines netem works."""
    try:
        LocalProvider().check({})
    except MissingToolError as error:
        pytest.skip(str(error))
    with StandIns(shaped=True) as lab:
        yield lab
        assert lab.living() == []


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """The published configuration, unmodified, with our application, which the published one does not ship."""
    folder = tmp_path / "scenario"
    folder.mkdir()
    for name in ("layers_services.yaml", "network.yaml", "workflow.yaml"):
        shutil.copy(PUBLISHED / name, folder / name)
    shutil.copytree(PUBLISHED / "artifacts", folder / "artifacts")
    shutil.copy(APPLICATION, folder / "artifacts")
    return folder


def test_the_published_tutorial_runs_whole(shaped: StandIns, scenario: Path) -> None:
    done = shaped.run("deploy", scenario, scenario / "artifacts")
    assert done.returncode == 0, done.stderr
    assert "rehearsal" not in done.stderr
    folder = Path(done.stdout.strip())

    (job,) = shaped.grid5000.living()
    (experiment,) = shaped.iotlab.living()
    # less what has passed since the common slot began, which the other testbed's hosts share
    assert 58 * 60 < job.walltime <= 59 * 60
    assert (job.deploys, len(job.nodes)) == (True, 2)
    assert experiment.nodes == ["a8-1.grenoble.iot-lab.info"]
    (deployment,) = shaped.grid5000.deployments.values()
    assert (deployment.environment, sorted(deployment.nodes)) == ("debian11-x64-big", sorted(job.nodes))
    assert shaped.public_key.strip() in deployment.key

    parts = json.loads(shaped.run("inspect", scenario, "--format", "json").stdout)
    hosts = {host["service"]: host for host in parts["hosts"]}
    assert list(hosts) == ["cloud.master.1.1", "edge.worker.1.1", "provenance_service.1"]
    names = {key: json.dumps(host) for key, host in hosts.items()}
    assert "gros-1.nancy" in names["cloud.master.1.1"]
    assert "node-a8-1.grenoble" in names["edge.worker.1.1"]
    assert "gros-2.nancy" in names["provenance_service.1"]
    (opened,) = job.firewall
    assert (opened["addr"], opened["port"]) == (["gros-2-ipv6.nancy.grid5000.fr"], [1883])

    counts = "SELECT count(*) AS tasks FROM task t, training_output o WHERE o.training_task_id = t.id"
    answer = shaped.run("query", scenario, counts, "--format", "json")
    assert json.loads(answer.stdout) == [{"tasks": 18}], answer.stderr
    clients = parts["services"][0]["health"]["clients"]
    assert {client["host"] for client in clients} == {"gros-1.nancy.grid5000.fr", "node-a8-1.grenoble.iot-lab.info"}

    (link,) = yaml.safe_load((folder / "network-validate" / "summary.yaml").read_text())["links"]
    assert {pair["family"]: pair["verdict"] for pair in link["pairs"]} == {"v4": "no way", "v6": "ok"}
    assert (folder / "provenance-data" / "training_input.csv").exists()

    freed = shaped.run("destroy", scenario)
    assert freed.returncode == 0, freed.stderr
    assert shaped.living() == []
    assert "nothing to release" in shaped.run("destroy", scenario).stderr
    written = [file.read_text(errors="replace") for file in folder.rglob("*") if file.is_file()]
    for text in (done.stderr, freed.stderr, *written):
        assert not any(secret in text for secret in SECRETS)
